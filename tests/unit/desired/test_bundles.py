from typing import Any

import pytest

from shoal.desired import children, deployments
from shoal.errors import StalledError
from support import builders
from support.builders import Body

NAMED = {"storageInitializer": {"caBundleConfigMapName": "corporate"}}
OWN = {"env": [{"name": "STORAGE_URI", "value": "https://host/m"}]}
NAME = f"cabundle-{builders.SERVICE}"
VOLUME = {
    "name": "cabundle-cert",
    "configMap": {"name": NAME, "defaultMode": 0o644, "optional": True},
}


def _service(**predictor: Any) -> Body:
    return builders.inference_service(containers=[builders.container(**OWN)], predictor=predictor)


def _pod(body: Body, config: Body, **given: Any) -> Any:
    made = deployments.make(builders.wanted(body, config, **given))
    return made["spec"]["template"]["spec"]


def _told(box: Body) -> tuple[dict[str, str], list[Body]]:
    env = {row["name"]: row["value"] for row in box["env"] if row["name"].startswith("CA_")}
    return env, [row for row in box["volumeMounts"] if row["name"] == "cabundle-cert"]


@pytest.mark.parametrize("path", ["/etc/ssl/custom-certs", "/certs"])
def test_init_container_and_agent_have_it_and_the_server_has_not(path: str) -> None:
    config = {"storageInitializer": {**NAMED["storageInitializer"]}}
    config["storageInitializer"]["caBundleVolumeMountPath"] = path
    env = {"CA_BUNDLE_CONFIGMAP_NAME": NAME, "CA_BUNDLE_VOLUME_MOUNT_POINT": path}
    mounts = [{"name": "cabundle-cert", "mountPath": path, "readOnly": True}]
    one = _pod(_service(), config)
    host = _pod(builders.inference_service(), config, is_host=True)
    assert VOLUME in one["volumes"]
    assert VOLUME in host["volumes"]
    assert _told(one["initContainers"][0]) == (env, mounts)
    assert _told(host["containers"][1]) == (env, mounts)
    assert path not in [row["mountPath"] for row in one["containers"][0]["volumeMounts"]]


def test_without_it_nothing_is_added() -> None:
    pod = _pod(_service(), {})
    assert _told(pod["initContainers"][0]) == ({}, [])
    assert VOLUME not in pod["volumes"]


def _copies(body: Body, config: Body, **given: Any) -> list[Body]:
    made = children.make(builders.wanted(body, config, **given))
    return [child for child in made if child["metadata"]["name"] == NAME]


@pytest.mark.parametrize("is_host", [True, False])
def test_the_service_gets_a_copy_of_its_own(*, is_host: bool) -> None:
    body = builders.inference_service() if is_host else _service()
    (copy,) = _copies(body, NAMED, authority="PEM", is_host=is_host)
    assert copy["data"] == {"cabundle.crt": "PEM"}
    assert copy["metadata"]["ownerReferences"][0]["name"] == builders.SERVICE
    assert _copies(body, NAMED, is_host=is_host) == []
    assert _copies(body, {}, authority="PEM", is_host=is_host) == []


def test_who_fetches_nothing_gets_none() -> None:
    assert _copies(builders.inference_service(), NAMED, authority="PEM") == []


@pytest.mark.parametrize("is_host", [True, False])
def test_a_volume_of_that_name_is_refused_only_where_it_is_added(*, is_host: bool) -> None:
    volumes = {"volumes": [{"name": "cabundle-cert", "emptyDir": {}}]}
    body = builders.inference_service(predictor=volumes) if is_host else _service(**volumes)
    _pod(body, {}, is_host=is_host)
    with pytest.raises(StalledError, match=r"volumes\[0\]\.name: 'cabundle-cert' is used by"):
        _pod(body, NAMED, is_host=is_host)
