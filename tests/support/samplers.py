"""The client that catches lies: it asks every ready pod for its models and reads what is said.

What a lie is stands in `truths`.
"""

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from support import truths
from support.terminals import condition
from support.traffic import Answer, Door
from support.truths import ANSWER_SECONDS, Place, Record, Sample, Stall, Word
from support.watchers import Access, Body, Watcher

_LANES = 6
_PAUSE_SECONDS = 0.03
_BEAT_SECONDS = 0.05
_STALL_SECONDS = 0.25  # less is in PROPAGATION
_SERVICE = "serving.kserve.io/inferenceservice"


class Sampler:
    """Samples the models of one service until the end of its `with` block, which fails on a lie.

    `values` tells what the model behind each storageUri answers; `service` is a namespace and
    the name of an InferenceService in it; its pods are asked at `port`, each time after `pause`.
    """

    def __init__(
        self,
        access: Access,
        service: tuple[str, str],
        values: Mapping[str, float],
        port: int = 8080,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self.record = Record()
        namespace, self._service = service
        self._values, self._port, self._pause = values, port, pause
        self._over = threading.Event()
        models = f"/apis/serving.kserve.io/v1alpha1/namespaces/{namespace}/trainedmodels"
        pods = f"/api/v1/namespaces/{namespace}/pods"
        self._watchers = (
            Watcher(access, models, self._models, self._model, self._silence),
            # Where the pods are stays known: they answer while the API server does not.
            Watcher(access, pods, self._pods, self._pod, lambda: None),
        )
        self._askers = [
            threading.Thread(target=self._ask, args=(lane,), daemon=True) for lane in range(_LANES)
        ]
        self._askers.append(threading.Thread(target=self._beat, daemon=True))

    def __enter__(self) -> Self:
        for watcher in self._watchers:
            watcher.start()
        for watcher in self._watchers:
            assert watcher.begun.wait(10), "the API server gives no list"
        for asker in self._askers:
            asker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if kind is None:
            self.check()
        self.end()

    def stop(self) -> None:
        """Ask no more; what is said is still read."""
        self._over.set()
        for asker in self._askers:
            asker.join(ANSWER_SECONDS + 1)

    def end(self) -> None:
        """Read no more."""
        for watcher in self._watchers:
            watcher.end()

    def check(self) -> None:
        """Fail where a lie was told up to now, or where nothing was asked."""
        now = time.time()
        time.sleep(truths.bound(self.record, now, now) + 0.1)  # what is said of the last answers
        found = truths.lies(self.record, self._values, time.time())
        assert not found, f"{len(found)} lies: {'; '.join(found[:3])}"
        assert self.record.samples, "nobody was asked: this proves nothing"

    def answers(self, model: str) -> list[Answer]:
        """List what a model answered, at whichever pod."""
        return [one.answer for one in self.record.samples if one.model == model]

    def failures(self, model: str) -> list[Answer]:
        """List the requests for a model that failed."""
        return [answer for answer in self.answers(model) if answer.status != 200]

    # What is said.

    def _models(self, items: list[Body]) -> None:
        for name in self.record.words.keys() - {item["metadata"]["name"] for item in items}:
            self.record.say(name, Word(time.time()))
        for item in items:
            self._model("ADDED", item)

    def _model(self, event: str, body: Body) -> None:
        name = body["metadata"]["name"]
        if event == "DELETED" or body["spec"]["inferenceService"] != self._service:
            self.record.say(name, Word(time.time()))
            return
        ready = condition(body, "Ready")
        uri = body["spec"]["model"]["storageUri"]
        word = Word(time.time(), ready["status"], uri, ready.get("reason", ""))
        self.record.say(name, word)

    def _silence(self) -> None:
        for name, told in self.record.words.items():
            self.record.say(name, Word(time.time(), "", told[-1].uri))

    def _pods(self, items: list[Body]) -> None:
        for uid in self.record.places.keys() - {item["metadata"]["uid"] for item in items}:
            self.record.place(uid, Place(time.time()))
        for item in items:
            self._pod("ADDED", item)

    def _pod(self, event: str, body: Body) -> None:
        meta = body["metadata"]
        if (meta.get("labels") or {}).get(_SERVICE) != self._service:
            return
        if "deletionTimestamp" in meta:
            self.record.leaving.add(meta["uid"])
        is_ready = event != "DELETED" and condition(body, "Ready")["status"] == "True"
        address = body["status"].get("podIP", "") if is_ready else ""
        self.record.place(meta["uid"], Place(time.time(), address))

    # What is asked.

    def _beat(self) -> None:
        """Notice that nothing ran for a while, of the operator, the servers, or this."""
        last = time.time()
        while not self._over.wait(_BEAT_SECONDS):
            now = time.time()
            if now - last > _STALL_SECONDS:
                self.record.stalls.append(Stall(now, now - last))
            last = now

    def _ask(self, lane: int) -> None:
        while not self._over.wait(self._pause):
            for pod, address, model in self.record.questions(lane, _LANES):
                if self._over.wait(self._pause):
                    return
                door = Door(f"{address}:{self._port}", self._service, model)
                sample = Sample(pod, model, door.ask(ANSWER_SECONDS))
                self.record.add(sample)
