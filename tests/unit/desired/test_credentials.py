import json
from typing import Any

import pytest

from shoal.api import inferenceservices
from shoal.desired import children, deployments
from shoal.desired.wanted import Wanted
from support import builders
from support.builders import Body

ANNOTATION = "serving.kserve.io/storageSecretName"


def _wanted(storage: Body, config: Body | None = None, **annotations: str) -> Wanted:
    body = builders.framework("sklearn", {"storage": storage}, annotations=annotations)
    server = builders.server(inferenceservices.parse(body), builders.runtime("sklearn"))
    return builders.wanted(body, config, server=server, secrets=("listed",))


def _init(wanted: Wanted) -> dict[str, Any]:
    (init,) = deployments.make(wanted)["spec"]["template"]["spec"]["initContainers"]
    return dict(init)


def _spec(wanted: Wanted) -> Any:
    env = {row["name"]: row["value"] for row in _init(wanted)["env"]}
    assert "SHOAL_STORAGE_SECRET" not in env
    return json.loads(env["SHOAL_STORAGE_SPEC"])


def _named(wanted: Wanted) -> dict[str, list[str]]:
    return {
        rule["resources"][0]: rule["resourceNames"] for rule in children.make(wanted)[0]["rules"]
    }


def test_the_init_container_learns_which_entry_and_nothing_of_it() -> None:
    wanted = _wanted({"key": "k", "path": "/a/b", "parameters": {"bucket": "b", "type": ""}})
    assert _init(wanted)["args"] == ["fetch", "storage://a/b", "/mnt/models"]
    assert _spec(wanted) == {
        "secret": "storage-config",
        "key": "k",
        "parameters": {"bucket": "b"},
    }


@pytest.mark.parametrize(
    ("config", "annotations", "secret"),
    [
        pytest.param({}, {}, "storage-config", id="the-usual"),
        pytest.param({"storageSpecSecretName": "mine"}, {}, "mine", id="by-the-setting"),
        pytest.param({}, {ANNOTATION: "own"}, "own", id="by-the-annotation"),
        pytest.param(
            {"storageSecretNameAnnotation": "a/b"},
            {"a/b": "own", ANNOTATION: "other"},
            "own",
            id="by-the-annotation-of-the-setting",
        ),
    ],
)
def test_which_secret_is_read_and_no_other_may_be(
    config: Body, annotations: dict[str, str], secret: str
) -> None:
    wanted = _wanted({"path": "a"}, {"credentials": config}, **annotations)
    assert _spec(wanted) == {"secret": secret}
    assert _named(wanted) == {"serviceaccounts": ["default"], "secrets": [secret]}


def test_an_authority_that_the_parameters_name_may_be_read() -> None:
    wanted = _wanted({"path": "a", "parameters": {"cabundle_configmap": "ca"}})
    assert _named(wanted)["configmaps"] == ["ca"]
