"""What is a lie: judged from what was asked of ready pods and what was said meanwhile. Pure.

A **lie** is a sample for which all of this holds:

- the pod was a ready one, by its watch, from before the request was sent until it ended, and if
  the request failed, until PROPAGATION after: that a pod is asked no more is a word as well, and
  Ready may then be True by the others;
- the request failed, took longer than ANSWER_SECONDS, or was answered with another value than
  that of a storageUri which the TrainedModel had then, or in the PROPAGATION before;
- the TrainedModel's Ready was seen True before the request was sent, and no other word came
  until PROPAGATION after it had ended.

And, where nobody could be asked: Ready True for longer than PROPAGATION without a ready pod.

A pod that was deleted while it was ready serves on until it has told of its models. Services
lead to it where no other is ready: then it is asked, and is a ready one until it does not answer.

PROPAGATION is what no design avoids: the server's end has to reach the agent, the operator, the
API server and whoever watches there, and where the machine itself stood still meanwhile it is as
much longer. A failure that lasts a moment only counts as well, unless Ready left True for it:
nothing is forgiven because it was short.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from support.traffic import Answer

# Agent 0.01 to 0.25 s (a burst of changes is one report), operator 0.03 s and its pass, one
# write, one event: 0.1 s on an idle machine; the rest is for two cores that do all of it.
PROPAGATION_SECONDS = 1.0
# A word about each of many models is a write each, and the API server takes about 200 a second.
WRITES_PER_SECOND = 150
ANSWER_SECONDS = 5.0  # a client's patience: what takes longer has not been answered


@dataclass(frozen=True)
class Word:
    """What was said of a model from `at` on; `ready` is empty while nothing is said of it."""

    at: float
    ready: str = ""
    uri: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """Where a pod takes requests from `at` on; empty while it takes none."""

    at: float
    address: str = ""


Told = TypeVar("Told", Word, Place)


@dataclass(frozen=True)
class Sample:
    """One request to one pod."""

    pod: str
    model: str
    answer: Answer


@dataclass(frozen=True)
class Stall:
    """A time in which nothing ran on this machine: seconds, and when it was over."""

    at: float
    seconds: float


@dataclass
class Record:
    """What was seen, in the order in which it came."""

    words: dict[str, list[Word]] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    writes_per_second: float = WRITES_PER_SECOND
    stalls: list[Stall] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)

    def say(self, model: str, word: Word) -> None:
        """Add a word, unless it repeats the last."""
        told = self.words.setdefault(model, [])
        if not told or replace(told[-1], at=word.at) != word:
            told.append(word)

    def place(self, pod: str, place: Place) -> None:
        """Add a place, unless it repeats the last; one that leaves does not come back."""
        told = self.places.setdefault(pod, [])
        if told and pod in self.leaving and not told[-1].address:
            return
        if not told or told[-1].address != place.address:
            told.append(place)

    def add(self, sample: Sample) -> None:
        """Add a request; a pod that leaves takes none after the first that nobody answered."""
        self.samples.append(sample)
        if sample.pod in self.leaving and not sample.answer.status:
            self.place(sample.pod, Place(sample.answer.asked))

    def ready_pods(self) -> dict[str, str]:
        """Give the addresses of the pods that take requests now: if none stays, those that go."""
        last = {pod: told[-1].address for pod, told in list(self.places.items())}
        taking = {pod: address for pod, address in last.items() if address}
        staying = {pod: address for pod, address in taking.items() if pod not in self.leaving}
        return staying or taking

    def questions(self, lane: int, lanes: int) -> Iterator[tuple[str, str, str]]:
        """Give a lane's share of one round: pods, their addresses, and the models to ask for.

        A pod that ends is left at once: each question to its address would take all patience.
        """
        for pod in self.ready_pods():
            for model in sorted(self.words)[lane::lanes]:
                address = self.ready_pods().get(pod)
                if not address:
                    break
                yield pod, address, model

    def reasons(self, model: str) -> list[tuple[str, str]]:
        """List the words about a model's Ready, with their reasons, one after the other."""
        said = [(word.ready, word.reason) for word in self.words.get(model, ())]
        return [word for at, word in enumerate(said) if at == 0 or said[at - 1] != word]

    def readiness(self, model: str) -> list[str]:
        """List what Ready became, one after the other; "" while nothing was said."""
        said = [word.ready for word in self.words.get(model, ())]
        return [ready for at, ready in enumerate(said) if at == 0 or said[at - 1] != ready]


def lies(record: Record, values: Mapping[str, float], now: float) -> list[str]:
    """List the lies in a record, each as a sentence; `values` are answers by storageUri.

    What is at an address without a value has no right answer."""
    found = [_lie(one, record) for one in record.samples if _is_lie(one, record, values)]
    return [*found, *_unbacked(record, now)]


def bound(record: Record, start: float, end: float) -> float:
    """Give PROPAGATION for what a record tells of the time between two moments, in seconds."""
    usual = PROPAGATION_SECONDS + len(record.words) / record.writes_per_second
    return usual + sum(
        stall.seconds
        for stall in record.stalls
        if start - usual < stall.at and stall.at - stall.seconds < end + usual
    )


def _is_lie(sample: Sample, record: Record, values: Mapping[str, float]) -> bool:
    asked, at = sample.answer.asked, sample.answer.at
    told, late = record.words.get(sample.model, []), bound(record, asked, at)
    end = at + late if sample.answer.value is None else at
    places = {place.address for place in _during(record.places[sample.pod], asked, end)}
    if len(places) != 1 or "" in places:
        return False
    if {word.ready for word in _during(told, asked, at + late)} != {"True"}:
        return False
    wished = {word.uri for word in _during(told, asked - late, at)}
    return sample.answer.value not in {values[uri] for uri in wished & values.keys()}


def _during(told: Sequence[Told], start: float, end: float) -> list[Told]:
    """List what held between two moments; at the first of them, what was told before it."""
    before = [one for one in told if one.at <= start][-1:]
    return [*before, *(one for one in told if start < one.at <= end)]


def _lie(sample: Sample, record: Record) -> str:
    answer = sample.answer
    late = bound(record, answer.asked, answer.at)
    start, end = answer.asked - late, answer.at + late
    said = ", ".join(
        f"{word.ready or 'unknown'} of {word.uri} at {word.at:.2f}"
        for word in _during(record.words[sample.model], start, end)
    )
    got = answer.text[:100] if answer.value is None else answer.value
    return (
        f"{sample.model} on {sample.pod}: {answer.status} {got!r} after"
        f" {answer.at - answer.asked:.2f} s, asked at {answer.asked:.2f}; Ready was {said}"
    )


def _unbacked(record: Record, now: float) -> Iterator[str]:
    """Find claims that stood longer than the bound while no pod took requests."""
    vacancies = list(_vacancies(record, now))
    for model, told in record.words.items():
        ends = [*(word.at for word in told[1:]), now]
        claims = [
            (word.at, end) for word, end in zip(told, ends, strict=False) if word.ready == "True"
        ]
        for start, end in claims:
            for opened, closed in vacancies:
                since, until = max(start, opened), min(end, closed)
                if until - since > bound(record, since, until):
                    yield f"{model}: Ready True at {since:.2f} without a ready pod"


def _vacancies(record: Record, now: float) -> Iterator[tuple[float, float]]:
    """Give the times in which no pod took requests."""
    told = [(place.at, pod, place.address) for pod, row in record.places.items() for place in row]
    ready: set[str] = set()
    since = 0.0
    for at, pod, address in sorted(told):
        was_vacant = not ready
        (ready.add if address else ready.discard)(pod)
        if was_vacant and ready:
            yield since, at
        if not was_vacant and not ready:
            since = at
    if not ready:
        yield since, now
