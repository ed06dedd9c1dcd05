"""A client that never stops asking, and what it was answered."""

import http.client
import json
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

BODY = json.dumps(
    {"inputs": [{"name": "input-0", "shape": [1], "datatype": "FP32", "data": [1.0]}]}
)


@dataclass(frozen=True)
class Answer:
    """One answer; a connection that failed has status 0."""

    asked: float  # time.time() when it was asked
    at: float  # time.time() when it was answered
    status: int
    text: str

    @property
    def value(self) -> float | None:
        """The number that the model gave."""
        return json.loads(self.text)["outputs"][0]["data"][0] if self.status == 200 else None


@dataclass(frozen=True)
class Door:
    """Where a model is asked: an address to connect to, and the host that is named there."""

    address: str  # host:port
    host: str
    model: str

    def ask(self, seconds: float = 10, body: str = BODY) -> Answer:
        """Ask once, on a connection of its own."""
        name, _, port = self.address.partition(":")
        asked = time.time()
        connection = http.client.HTTPConnection(name, int(port or 80), timeout=seconds)
        try:
            headers = {"Host": self.host, "Content-Type": "application/json"}
            connection.request("POST", f"/v2/models/{self.model}/infer", body, headers)
            response = connection.getresponse()
            return Answer(asked, time.time(), response.status, response.read().decode())
        except (OSError, http.client.HTTPException) as error:
            return Answer(asked, time.time(), 0, repr(error))
        finally:
            connection.close()


class Client(threading.Thread):
    """Asks until the end of its `with` block."""

    def __init__(self, door: Door, pause: float = 0.02, body: str = BODY) -> None:
        super().__init__(daemon=True)
        self.door = door
        self.answers: list[Answer] = []
        self._pause = pause
        self._body = body
        self._over = threading.Event()

    def run(self) -> None:
        """Ask."""
        while not self._over.wait(self._pause):
            self.answers.append(self.door.ask(body=self._body))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self.join(15)

    @property
    def failures(self) -> list[Answer]:
        """All answers but 200."""
        return [answer for answer in self.answers if answer.status != 200]
