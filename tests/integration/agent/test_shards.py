"""A list of models that is in several ConfigMaps, as an agent finds it."""

import time
from typing import Any

from shoal import modelconfig, names
from shoal.modelconfig import Model
from support.agentrigs import until
from support.namespaces import Namespace, made, rule


def shard(*models: Model) -> dict[str, str]:
    """Make one of two."""
    return modelconfig.join(map(modelconfig.row, models), 2)


def mount(rig: Any, index: int, data: dict[str, str]) -> None:
    for key, text in data.items():
        path = rig.agent.config / names.mounted_shard(index, key)
        path.parent.mkdir(exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.rename(path)


def said(rig: Any, words: str) -> bool:
    return words in rig.agent.process.log.read_text()


def test_without_the_api_a_mounted_list_is_taken_once_it_is_whole(rig: Any) -> None:
    one, two, three = (
        rig.upload(name, value) for name, value in zip("abc", (1, 2, 3), strict=True)
    )
    mount(rig, 0, shard(one))
    rig.server.start()
    rig.agent.start()
    until(lambda: said(rig, "modelconfig-svc-1, one of 2, is not read"))
    assert rig.agent.report().models == {}
    assert rig.agent.status("/readyz") == 503
    mount(rig, 1, shard(two))
    rig.agent.loaded(one, two)
    mount(rig, 1, shard(two, three))
    rig.agent.loaded(one, two, three)
    (rig.agent.config / "shards").unlink()
    (rig.agent.config / "models.json").unlink()
    until(lambda: said(rig, "modelconfig-svc-0 is not read"))
    assert (rig.server.predict("a"), rig.server.predict("c")) == (1, 3)


def write(namespace: Namespace, index: int, data: dict[str, str]) -> None:
    config_map = made("v1", "ConfigMap", names.model_config("svc", index), data=data)
    config_map["metadata"]["annotations"] = {
        names.MODELS_DIGEST_ANNOTATION: modelconfig.digest(data)
    }
    namespace.apply(config_map)


def test_a_shard_that_may_not_be_read_is_said_and_allowed_it_is_read_soon(
    namespace: Namespace, api_rig: Any
) -> None:
    rig = api_rig
    namespace.secret(rig.bucket.secret())
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    write(namespace, 0, modelconfig.encode([one]))
    rig.agent.start()
    rig.agent.loaded(one)
    write(namespace, 1, shard(two))
    write(namespace, 0, shard(one))
    until(lambda: said(rig, "modelconfig-svc-1 cannot be followed"))
    assert rig.server.predict("one") == 1.0
    role = {"kind": "Role", "name": "more", "apiGroup": "rbac.authorization.k8s.io"}
    account = {"kind": "ServiceAccount", "name": "default", "namespace": namespace.name}
    group = "rbac.authorization.k8s.io/v1"
    more = rule("configmaps", ["get", "list", "watch"], names.model_config("svc", 1))
    namespace.apply(
        made(group, "Role", "more", rules=[more]),
        made(group, "RoleBinding", "more", roleRef=role, subjects=[account]),
    )
    allowed = time.monotonic()
    rig.agent.loaded(one, two)
    assert time.monotonic() - allowed < 20, "the pause between tries is at most five seconds"


def test_what_is_written_by_somebody_else_is_said_and_left_alone(
    namespace: Namespace, api_rig: Any
) -> None:
    rig = api_rig
    namespace.secret(rig.bucket.secret())
    one, two = rig.upload("one", 1.0), rig.upload("two", 2.0)
    namespace.want(one)
    rig.agent.start()
    rig.agent.loaded(one)
    data = modelconfig.encode([two])
    namespace.apply(
        made("v1", "ConfigMap", names.model_config("svc"), data=data)
        | {"metadata": {"name": names.model_config("svc"), "annotations": {}}}
    )
    until(lambda: said(rig, "its data is not what the operator wrote"))
    assert rig.agent.report().models.keys() == {"one"}
    namespace.want(two)
    rig.agent.loaded(two)
