"""What the API server says of objects, word by word, as a watch brings it."""

import base64
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

Body = dict[str, Any]
_QUIET_SECONDS = 30.0
_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Access:
    """How the API server is reached."""

    host: str
    port: int
    context: ssl.SSLContext

    @classmethod
    def read(cls, kubeconfig: Path) -> Self:
        """Read a kubeconfig whose certificates are inside it."""
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        place = urlsplit(cluster["server"])
        context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for key in ("client-certificate-data", "client-key-data"):
                files.append(Path(folder) / key)
                files[-1].write_bytes(base64.b64decode(user[key]))
            context.load_cert_chain(*files)
        return cls(place.hostname or "", place.port or 443, context)

    def connect(self, seconds: float) -> http.client.HTTPSConnection:
        """Make a connection; it opens with its first request."""
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=seconds, context=self.context
        )


class Watcher(threading.Thread):
    """Reads a collection until it is told to end.

    `listed` is given all objects, at the start and whenever a watch has ended; `changed` each
    event in between; `lost` is called when the API server is silent, until `listed` is again.
    """

    def __init__(
        self,
        access: Access,
        path: str,
        listed: Callable[[list[Body]], None],
        changed: Callable[[str, Body], None],
        lost: Callable[[], None],
    ) -> None:
        super().__init__(daemon=True)
        self.begun = threading.Event()
        self._access, self._path = access, path
        self._listed, self._changed, self._lost = listed, changed, lost
        self._over = threading.Event()

    def end(self) -> None:
        """Stop; the thread lingers until its connection says something."""
        self._over.set()

    def run(self) -> None:
        """Read."""
        while not self._over.is_set():
            connection = self._access.connect(_QUIET_SECONDS)
            try:
                self._follow(connection, self._list(connection))
            except TimeoutError:
                continue  # quiet, not silent: a list tells what it is
            except (OSError, http.client.HTTPException, ValueError):
                self._lost()
                self._over.wait(_AGAIN_SECONDS)
            finally:
                connection.close()

    def _list(self, connection: http.client.HTTPSConnection) -> str:
        connection.request("GET", self._path)
        answer = json.loads(_checked(connection.getresponse()).read())
        self._listed(answer["items"])
        self.begun.set()
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _follow(self, connection: http.client.HTTPSConnection, version: str) -> None:
        connection.request("GET", f"{self._path}?watch=1&resourceVersion={version}")
        response = _checked(connection.getresponse())
        while (line := response.readline()) and not self._over.is_set():
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            self._changed(event["type"], event["object"])


def _checked(response: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if response.status != 200:
        raise http.client.HTTPException(f"the API server answered {response.status}")
    return response
