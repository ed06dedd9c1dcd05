"""Which runtime serves what is asked for (contract §3.2, §3.3); reasons and words are upstream's.

```
 named         the service's own runtime, else the namespace's of that name, else the cluster's
 left open     the runtime that the service is on, else the best that fits
```

A host of many models is put only on a server that can load them while it runs; where the user
names a runtime, that is the user's word.

A service that runs is not broken by its runtime: one that was deleted, disabled or changed
so that it no longer fits is a concern that is told, while the pods go on as they are.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shoal.api.servingruntimes import CLUSTER_KIND, Runtime
from shoal.errors import ReconcileError, StalledError
from shoal.reasons import Reason
from shoal.runtimes import servertypes
from shoal.runtimes.asks import Ask
from shoal.runtimes.pins import Pin

V1: Final = "v1"
# In this order, from the first to the last choice.
PROTOCOLS: Final = (V1, "v2", "grpc-v1", "grpc-v2")


@dataclass(frozen=True, slots=True)
class Choice:
    """The runtime, and what is wrong with it for a service that is on it already.

    `runtime` is None where the service's runtime is gone: its pods go on as they are.
    """

    runtime: Runtime | None
    concern: ReconcileError | None = None


def choose(ask: Ask, runtimes: Sequence[Runtime], pin: Pin | None) -> Choice:
    """Choose the runtime; `pin` is the one that the service is on, for the spec as it is now.

    Raises:
        StalledError: none can be used, and the service is on none.
    """
    held = _held(runtimes, pin)
    return _named(ask, runtimes, pin, held) if ask.runtime else _open(ask, runtimes, pin, held)


def protocol(ask: Ask, runtime: Runtime) -> str:
    """Tell which protocol is spoken: the wanted one, else the runtime's first."""
    spoken = sorted(runtime.spec.protocol_versions or (), key=_rank)
    return ask.protocol or (spoken[0] if spoken else "")


def _named(ask: Ask, runtimes: Sequence[Runtime], pin: Pin | None, held: Runtime | None) -> Choice:
    found = held or _by_name(runtimes, ask.runtime)
    if found is None:
        error = StalledError(
            Reason.RUNTIME_NOT_RECOGNIZED,
            f"Waiting for runtime to become available: {ask.path}.runtime: No ServingRuntimes or"
            f" ClusterServingRuntimes with the name: {ask.runtime}; create it or name another",
        )
        if pin is None:
            raise error
        return Choice(None, error)
    problem = _problem(ask, found)
    if problem is not None and held is None:
        raise problem
    return Choice(found, problem)


def _open(ask: Ask, runtimes: Sequence[Runtime], pin: Pin | None, held: Runtime | None) -> Choice:
    if pin is not None and held is None:
        return Choice(None, _gone(ask, pin))
    if held is not None and (_is_disabled(held) or _problem(ask, held) is None):
        return Choice(held, _problem(ask, held))
    best = _best(ask, runtimes)
    if best is not None:
        return Choice(best)
    error = _none_fits(ask, runtimes)
    if held is None:
        raise error
    return Choice(held, error)


def _none_fits(ask: Ask, runtimes: Iterable[Runtime]) -> StalledError:
    words = f"No runtime found to support specified framework/version: {ask.path}: {ask.text} is"
    of_one = _best(replace(ask, is_host=False), runtimes)
    if of_one is None:
        words += (
            " served by no ServingRuntime of the namespace and by no ClusterServingRuntime that"
            " may be chosen by itself; install one, or name one under"
            " spec.predictor.model.runtime"
        )
    else:
        words += (
            f" served by {of_one.title}, whose server holds one model, and without storage the"
            " service is to hold many; write the storageUri of its model"
        )
    return StalledError(Reason.NO_SUPPORTING_RUNTIME, words)


def _held(runtimes: Iterable[Runtime], pin: Pin | None) -> Runtime | None:
    if pin is None:
        return None
    same = (one for one in runtimes if (one.kind, one.name) == (pin.kind, pin.name))
    return next(same, None)


def _by_name(runtimes: Iterable[Runtime], name: str) -> Runtime | None:
    found = [one for one in runtimes if one.name == name]
    return min(found, key=lambda one: one.kind == CLUSTER_KIND, default=None)


def _gone(ask: Ask, pin: Pin) -> StalledError:
    return StalledError(
        Reason.RUNTIME_NOT_RECOGNIZED,
        f"Waiting for runtime to become available: {ask.path}: {pin.kind} {pin.name}, which the"
        " pods were made from, no longer exists; they go on as they are, and the spec may be"
        " changed once it is back or another is named under spec.predictor.model.runtime",
    )


def _problem(ask: Ask, runtime: Runtime) -> StalledError | None:
    """Say why a runtime does not serve what is asked for; None where it does."""
    if _is_disabled(runtime):
        return StalledError(
            Reason.RUNTIME_DISABLED,
            f"Specified runtime is disabled: {ask.path}: {runtime.title} has spec.disabled true;"
            " enable it or name another",
        )
    if ask.protocol and not _speaks(runtime, ask.protocol):
        spoken = ", ".join(runtime.spec.protocol_versions or ())
        return StalledError(
            Reason.NO_SUPPORTING_RUNTIME,
            "Specified runtime does not support specified protocol version: "
            f"{ask.path}.protocolVersion: {runtime.title} speaks {spoken}, not {ask.protocol}",
        )
    if not _serves(runtime, ask, by_itself=False):
        return StalledError(
            Reason.NO_SUPPORTING_RUNTIME,
            "Specified runtime does not support specified framework/version: "
            f"{ask.path}: {runtime.title} does not list {ask.text} under"
            " spec.supportedModelFormats",
        )
    return None


def _best(ask: Ask, runtimes: Iterable[Runtime]) -> Runtime | None:
    """Choose among all; without a wanted protocol V1 comes first, then whatever there is.

    Upstream stops at V1, and so finds nothing for a format that only V2 servers serve. It
    chooses for a host as for one model, and so puts hosts on servers that hold one.
    """
    fitting = [one for one in runtimes if _may_be_chosen(one, ask)]
    protocols = [ask.protocol] if ask.protocol else [V1, ""]
    for group, wanted in itertools.product(_groups(ask, fitting), protocols):
        speaking = [one for one in group if not wanted or _speaks(one, wanted)]
        if speaking:
            return _first(ask, speaking)
    return None


def _groups(ask: Ask, fitting: Sequence[Runtime]) -> list[list[Runtime]]:
    """Sort a host's runtimes by their servers: made to load while they run, then able to."""
    if not ask.is_host:
        return [list(fitting)]
    wanted = (servertypes.Hosting.WELL, servertypes.Hosting.POORLY)
    return [
        [one for one in fitting if servertypes.hosting(one.server_type) is how] for how in wanted
    ]


def _first(ask: Ask, fitting: Iterable[Runtime]) -> Runtime:
    """Order as upstream: namespace, priority, lowest protocol, youngest, name."""
    return min(
        fitting,
        key=lambda one: (
            one.is_clusters,
            -_priority(one, ask.format),
            min(map(_rank, one.spec.protocol_versions or [""])),
            -one.metadata.created.timestamp(),
            one.name,
        ),
    )


def _may_be_chosen(runtime: Runtime, ask: Ask) -> bool:
    spec = runtime.spec
    has_workers = spec.worker_spec is not None
    return (
        not _is_disabled(runtime)
        and not spec.multi_model
        and has_workers == ask.spans_nodes
        and _serves(runtime, ask, by_itself=True)
    )


def _serves(runtime: Runtime, ask: Ask, *, by_itself: bool) -> bool:
    """Compare name and version as strings: "1" is not "1.0"; no version matches any."""
    return any(
        row.name == ask.format
        and ask.version in ("", row.version)
        and (row.auto_select or not by_itself)
        for row in runtime.spec.supported_model_formats or ()
    )


def _priority(runtime: Runtime, format_: str) -> int:
    """Read the priority of the first entry of that format; none is the lowest."""
    rows = (row for row in runtime.spec.supported_model_formats or () if row.name == format_)
    first = next(rows, None)
    return (first.priority or 0) if first else 0


def _speaks(runtime: Runtime, protocol: str) -> bool:
    spoken = runtime.spec.protocol_versions
    return not spoken or protocol in spoken


def _is_disabled(runtime: Runtime) -> bool:
    return bool(runtime.spec.disabled)


def _rank(protocol: str) -> int:
    return PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS)
