"""Which ClusterStorageContainer fetches a service's own models (contract §4.1 to §4.3).

```
 named       spec.predictor.storageContainerName, which must fit
 left open   the first by name of those that fit: enabled, for init containers, and supporting
             every address; where none does, the operator's own init container
```

Upstream looks at the first address only, and takes whichever container its cache lists first
(contract's weaknesses C23, C36). A service stays with what it chose until what its pods are made
of changes in its spec, as with a runtime. Where its container is gone or unfit by then, its pods
go on as they are. Pure. Called by `reconcile`; the store asks whom a container concerns.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shoal import names, storagespecs
from shoal.api import fields, inferenceservices, isvcrules, modelstorages, storagecontainers
from shoal.api.predictors import Predictor
from shoal.api.storagecontainers import INIT_CONTAINER, KIND, StorageContainer
from shoal.desired import modelvolumes, records
from shoal.desired.modelvolumes import Model
from shoal.errors import ReconcileError, StalledError
from shoal.reasons import Reason

Body = Mapping[str, Any]

_FIELD: Final = "spec.predictor.storageContainerName"
_OURS: Final = ""


@dataclass(frozen=True, slots=True)
class Address:
    """One address that is to be fetched, and the folder that it is to be in.

    `field` says where it stands, `is_ours` whether the operator's own program fetches it too.
    `problem` is why it is not known, "" where it is: the operator
    does not read the Secret that may have the rest of it.
    """

    uri: str
    folder: str
    field: str
    is_ours: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The container, None where it is the operator's own or is gone; `name` is what is recorded.

    `concern` is what is wrong with the container of a service that runs; its pods then go on as
    they are. `doubt` is what the user should look at, `remark` what is good to know; `hints` are
    why containers that might have been meant were passed over.
    """

    name: str = _OURS
    container: StorageContainer | None = None
    concern: ReconcileError | None = None
    doubt: ReconcileError | None = None
    remark: str = ""
    hints: tuple[str, ...] = ()


def choose(
    predictor: Predictor, containers: Sequence[StorageContainer], held: str | None
) -> Choice:
    """Choose; `held` is what the service is on, for the spec as it is now.

    Raises:
        StalledError: the container that is named cannot be used, and the service is on none.
    """
    wanted = addresses(predictor)
    if not wanted:
        return Choice()
    ordered = sorted(containers, key=lambda one: one.name)
    name = predictor.storage_container_name or held
    if name:
        return _named(name, wanted, ordered, is_held=name == held, predictor=predictor)
    fitting = [one for one in ordered if _problem(one, wanted) is None]
    doubt = _invalid(ordered)
    if held == _OURS or not fitting:
        return Choice(doubt=doubt, remark=_passed_over(fitting), hints=_hints(ordered, wanted))
    return _taken(fitting[0], _overlap(fitting[0], fitting) or doubt)


def held(deployment: Body | None, digest: str) -> str | None:
    """Read who fetches for the pods that there are, made for a predictor of this digest.

    Returns:
        A container's name, "" for the operator's own init container; None where there are none.
    """
    record = records.decode(deployment)
    if record is None or record.predictor != digest:
        return None
    return record.storage_container


def read(bodies: Iterable[Body]) -> list[StorageContainer]:
    """Read the containers; one that cannot be read serves nobody."""
    found = []
    for body in bodies:
        with contextlib.suppress(StalledError):
            found.append(storagecontainers.parse(body))
    return found


def addresses(predictor: Predictor) -> list[Address]:
    """List what is to be fetched, with addresses as other programs than ours are told them."""
    if not modelstorages.is_fetched(predictor):
        return []
    given = (predictor.storage and predictor.storage.parameters) or {}
    found = []
    for model in modelvolumes.models(predictor):
        if model.is_mounted:
            continue
        try:
            uri, problem = storagespecs.located(model.uri, given), ""
        except ValueError as error:
            uri, problem = model.uri, str(error)
        found.append(Address(uri, model.folder, model.field, _is_ours(model, predictor), problem))
    return found


def _is_ours(model: Model, predictor: Predictor) -> bool:
    if model.uri.startswith(storagespecs.PREFIX):
        return not inferenceservices.storage_refusal(predictor.storage)
    return inferenceservices.is_fetched(model.uri)


class Concerned:
    """Tells whom a container concerns that came, changed or went.

    Those that name it or are on it, and those that leave the choice open and have an address that
    it supports, or that one of its unusable regular expressions may have been for.
    """

    def __init__(self, body: Body) -> None:
        self._name = body["metadata"]["name"]
        self._container = next(iter(read([body])), None)

    def __call__(self, service: Body, deployment: Body | None) -> bool:
        """Tell whether the container concerns a service."""
        raw = service["spec"]["predictor"]
        if name := raw.get("storageContainerName"):
            return bool(name == self._name)
        if not _may_have_address(raw):
            return False
        record = records.decode(deployment)
        if record is not None and record.storage_container == self._name:
            return True
        return self._container is not None and self._may_fetch(self._container, raw)

    @staticmethod
    def _may_fetch(container: StorageContainer, raw: Body) -> bool:
        try:
            predictor = fields.validate(Predictor, raw, at="spec.predictor")
        except StalledError:
            return False
        uris = [row.uri for row in addresses(predictor)]
        return bool(uris) and bool(container.problems or any(map(container.supports, uris)))


def _may_have_address(raw: Body) -> bool:
    """Look without reading the whole predictor: most of many services are hosts."""
    if raw.get("storageUris"):
        return True
    specs = [raw.get(key) or {} for key in isvcrules.KEYS]
    boxes = raw.get("containers") or []
    rows = (boxes[0].get("env") or []) if boxes else []
    return any(spec.get("storageUri") or spec.get("storage") for spec in specs) or any(
        row.get("name") == names.STORAGE_URI_VARIABLE for row in rows
    )


def _named(
    name: str,
    wanted: Sequence[Address],
    ordered: Sequence[StorageContainer],
    *,
    is_held: bool,
    predictor: Predictor,
) -> Choice:
    found = next((one for one in ordered if one.name == name), None)
    problem = _missing(name, is_held=is_held) if found is None else _problem(found, wanted)
    if problem is not None and not is_held:
        raise problem
    if found is None or problem is not None:
        return Choice(name, concern=problem)
    if predictor.storage_container_name:
        return _taken(found, _invalid([found]))
    fitting = [one for one in ordered if _problem(one, wanted) is None]
    return _taken(found, _overlap(found, fitting) or _invalid(ordered))


def _taken(container: StorageContainer, doubt: ReconcileError | None) -> Choice:
    remark = f"The models are fetched by {container.title}."
    return Choice(container.name, container, doubt=doubt, remark=remark)


def _problem(container: StorageContainer, wanted: Sequence[Address]) -> StalledError | None:
    """Say why a container does not fetch these addresses; None where it does."""
    if container.disabled:
        return StalledError(
            Reason.STORAGE_CONTAINER_DISABLED,
            f"{container.title}: disabled is true; enable it or name another under {_FIELD}",
        )
    what = _mismatch(container, wanted) or _lack(container, wanted)
    if not what:
        return None
    told = "; ".join([what, *container.problems])
    return StalledError(Reason.STORAGE_CONTAINER_UNFIT, told)


def _mismatch(container: StorageContainer, wanted: Sequence[Address]) -> str:
    kind = container.spec.workload_type
    if kind != INIT_CONTAINER:
        return (
            f"{container.title}: spec.workloadType is {kind}; name one under {_FIELD} where it is"
            f" {INIT_CONTAINER}"
        )
    for row in wanted:
        if row.problem:
            return (
                f"{row.field.replace('.storageUri', '.storage.parameters')}: {row.problem};"
                f" {container.title} is to fetch, and the operator reads no Secret, so write it"
                " there"
            )
        if not container.supports(row.uri):
            return (
                f"{row.field}: is not supported by {container.title}; add its format to"
                " spec.supportedUriFormats there, or name another container"
            )
    return ""


def _lack(container: StorageContainer, wanted: Sequence[Address]) -> str:
    """Say what the container itself lacks for addresses that it supports."""
    if len(wanted) > 1 and not container.spec.supports_multi_model_download:
        return (
            f"spec.predictor.storageUris: {container.title} fetches one address only, because its"
            " spec.supportsMultiModelDownload is not true"
        )
    if not container.is_ours:
        return ""
    for field in ("command", "args"):
        if container.spec.container.get(field):
            return (
                f"{container.title}: spec.container.{field}: is of no use without an image, where"
                " the operator's own program fetches; remove it or name the image"
            )
    strange = [row.field for row in wanted if not row.is_ours]
    if strange:
        return (
            f"{strange[0]}: {container.title} has no image, and the operator's own program does"
            " not fetch this address; name an image that does"
        )
    return ""


def _missing(name: str, *, is_held: bool) -> StalledError:
    if is_held:
        told = (
            f"{KIND} {name}, which the pods were made with, no longer exists; they go on as they"
            f" are; create it again, or name another under {_FIELD}"
        )
    else:
        told = f"{_FIELD}: there is no {KIND} {name}; create it or name another"
    return StalledError(Reason.STORAGE_CONTAINER_NOT_FOUND, told)


def _overlap(taken: StorageContainer, fitting: Sequence[StorageContainer]) -> StalledError | None:
    others = ", ".join(one.name for one in fitting if one.name != taken.name)
    if not others:
        return None
    return StalledError(
        Reason.STORAGE_CONTAINERS_OVERLAP,
        f"The models are fetched by {taken.title}, and these support their addresses as well:"
        f" {others}. A service takes the first by name and stays with it; {_FIELD} names another.",
    )


def _invalid(containers: Sequence[StorageContainer]) -> StalledError | None:
    used = [one for one in containers if not one.disabled]
    problems = [text for one in used for text in one.problems]
    if not problems:
        return None
    told = f"Passed over: {'; '.join(problems)}."
    return StalledError(Reason.STORAGE_CONTAINER_INVALID, told)


def _passed_over(fitting: Sequence[StorageContainer]) -> str:
    if not fitting:
        return ""
    return (
        f"{fitting[0].title} supports the models' addresses by now. The pods were made before, and"
        " stay with the operator's own init container until spec.predictor changes."
    )


def _hints(containers: Sequence[StorageContainer], wanted: Sequence[Address]) -> tuple[str, ...]:
    """Say what is wrong with containers that support some of the addresses."""
    problems = [
        _problem(one, wanted)
        for one in containers
        if any(one.supports(row.uri) for row in wanted if not row.problem)
    ]
    return tuple(error.message for error in problems if error is not None)
