"""What is wrong: in the end against what was asked, and on the way against what was said."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from shoal import modelconfig
from soak.hands import Body, Cluster, is_ready
from soak.plans import SERVICES, Wish
from support import truths
from support.terminals import condition
from support.traffic import Door
from support.truths import Record, Word

_ASKED_AT_ONCE = 8
CATCHING_UP_SECONDS = 5.0  # an operator that leads asks every agent before it says anything


def differences(cluster: Cluster, wanted: Mapping[str, Wish], replicas: int) -> list[str]:
    """List all in which the cluster is not as it was asked to be, each as a sentence."""
    return [
        *_models(cluster, wanted),
        *(line for name in SERVICES for line in _list(cluster, name, wanted)),
        *(line for name in SERVICES for line in _pods(cluster, name, wanted, replicas)),
    ]


def _models(cluster: Cluster, wanted: Mapping[str, Wish]) -> Iterator[str]:
    found = cluster.models()
    if odd := sorted(found.keys() ^ wanted.keys()):
        yield f"TrainedModels too many or missing: {', '.join(odd)}"
    for name in found.keys() & wanted.keys():
        ready = condition(found[name], "Ready")
        generation = found[name]["metadata"]["generation"]
        if ready["status"] != ("True" if wanted[name].is_good else "False"):
            yield f"{name}: Ready is {ready['status']}, {ready.get('reason')}: {wanted[name]}"
        elif ready.get("observedGeneration") != generation:
            yield f"{name}: its status is of generation {ready.get('observedGeneration')}"


def _list(cluster: Cluster, server: str, wanted: Mapping[str, Wish]) -> Iterator[str]:
    found = {
        model.name: (model.storage_uri, model.refresh)
        for body in cluster.lists(server)
        for model in modelconfig.decode(body["data"])
    }
    asked = {
        name: (cluster.address(wish.artifact), str(wish.refresh) if wish.refresh else "")
        for name, wish in wanted.items()
        if wish.service == server
    }
    for name in sorted(found.keys() | asked.keys()):
        if found.get(name) != asked.get(name):
            yield f"list of {server}: {name} is {found.get(name)}, not {asked.get(name)}"


def _pods(
    cluster: Cluster, server: str, wanted: Mapping[str, Wish], replicas: int
) -> Iterator[str]:
    pods = [pod for pod in cluster.pods(server) if is_ready(pod)]
    if len(pods) != replicas:
        yield f"{server}: {len(pods)} pods of {replicas} are ready"
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        for pod in pods:
            yield from filter(
                None,
                pool.map(
                    lambda row, pod=pod: _answer(pod, server, *row),
                    _asked(cluster, server, wanted),
                ),
            )


def _asked(
    cluster: Cluster, server: str, wanted: Mapping[str, Wish]
) -> Iterator[tuple[str, float | None]]:
    """Tell each model's answer: None for those that are not this server's any more."""
    for name, wish in wanted.items():
        if wish.service != server:
            yield name, None
        elif wish.is_good:
            yield name, cluster.values[cluster.address(wish.artifact)]


def _answer(pod: Body, server: str, model: str, value: float | None) -> str:
    answer = Door(f"{pod['status']['podIP']}:8080", server, model).ask()
    if answer.value == value and answer.status in (200, 404):
        return ""
    return f"{model} on {pod['metadata']['name']}: {answer.status} {answer.value}, not {value}"


def lies(
    records: Sequence[Record], values: Mapping[str, float], gaps: Sequence[tuple[float, float]]
) -> tuple[list[str], int]:
    """List the lies told while somebody led, and count those that nobody was there to take back.

    While nobody leads nothing is said anew, as while the API server is down: what was said
    before is not a word of that time.
    """
    now = time.time()
    all_of_them = [lie for record in records for lie in truths.lies(record, values, now)]
    told = [lie for record in records for lie in truths.lies(_silenced(record, gaps), values, now)]
    return told, len(all_of_them) - len(told)


def _silenced(record: Record, gaps: Sequence[tuple[float, float]]) -> Record:
    silences = list(_merged((start, end + CATCHING_UP_SECONDS) for start, end in sorted(gaps)))
    words = {model: _without(told, silences) for model, told in record.words.items()}
    return replace(record, words=words)


def _merged(spans: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Join spans, in their order, that touch."""
    held: tuple[float, float] | None = None
    for start, end in spans:
        if held and start <= held[1]:
            held = held[0], max(held[1], end)
            continue
        if held:
            yield held
        held = start, end
    if held:
        yield held


def _without(told: Sequence[Word], silences: Sequence[tuple[float, float]]) -> list[Word]:
    """Take back what was said in silences, which do not touch, and say it again after each."""
    heard = list(told)
    for start, end in silences:
        before = [word for word in told if word.at <= start]
        within = [word for word in told if start < word.at < end]
        heard = [replace(word, ready="") if word in within else word for word in heard]
        if before:
            heard.append(replace(before[-1], at=start, ready=""))
        if last := (before + within)[-1:]:
            heard.append(replace(last[0], at=end))
    return sorted(heard, key=lambda word: word.at)
