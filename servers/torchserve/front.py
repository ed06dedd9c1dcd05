"""Starts TorchServe, and stands in front of it: port 8080 is open once every model answers.

    python front.py torchserve --start --model-store=DIR --ts-config=FILE

TorchServe opens its own port before its models are loaded, and reads JSON only where a request
says that it is JSON, which those written for KServe often do not. KServe's image has a server in
front of it too, so a config.properties that was made for that one serves here.
"""

import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from email.message import Message
from http import HTTPStatus
from pathlib import Path

PORT = 8080
INFERENCE, MANAGEMENT, METRICS = 8085, 8081, 8082
OPTION = "--ts-config="
CONFIG = Path("/tmp/config.properties")  # noqa: S108 - the container's own
# What a client sends that says nothing of its body, as curl does.
UNSAID = "application/x-www-form-urlencoded"
_STEP_SECONDS = 0.2
_ANSWER_SECONDS = 600  # a model's own responseTimeout ends before
_TYPE = "Content-Type"
_OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


def rewritten(config: str, environ: Mapping[str, str]) -> str:
    """Give TorchServe's settings addresses that are free here, whatever they say of them."""
    own = {
        "inference_address": f"http://127.0.0.1:{INFERENCE}",
        "management_address": f"http://127.0.0.1:{MANAGEMENT}",
        "metrics_address": f"http://0.0.0.0:{METRICS}",
        "disable_token_authorization": "true",
    }
    if envelope := environ.get("TS_SERVICE_ENVELOPE"):
        own["service_envelope"] = envelope
    kept = [line for line in config.splitlines() if line.partition("=")[0].strip() not in own]
    return "\n".join([*kept, *(f"{key}={value}" for key, value in own.items())]) + "\n"


def are_loaded(versions: Sequence[Mapping[str, object]]) -> bool:
    """Tell from what TorchServe says of a model whether its workers are up."""
    return bool(versions) and all(_has_workers(version) for version in versions)


def _has_workers(version: Mapping[str, object]) -> bool:
    workers = version.get("workers")
    return isinstance(workers, list) and any(one.get("status") == "READY" for one in workers)


def content_type(given: str | None) -> str:
    """Take a body of which nothing is said for JSON."""
    return given if given and given != UNSAID else "application/json"


def passed_on(given: Message, *, has_body: bool) -> dict[str, str]:
    """Choose the headers of a request for TorchServe; an ingress may write their names small."""
    headers = {
        name: value
        for name, value in given.items()
        if name.lower() not in (*_OF_A_CONNECTION, _TYPE.lower())
    }
    return headers | ({_TYPE: content_type(given.get(_TYPE))} if has_body else {})


def models() -> list[str]:
    """Ask TorchServe for the names of its models."""
    return [row["modelName"] for row in json.loads(_managed("/models"))["models"]]


def wait(server: subprocess.Popen[bytes]) -> list[str]:
    """Wait until TorchServe and all its models answer; return the models' names."""
    while server.poll() is None:
        try:
            names = models()
            if all(are_loaded(json.loads(_managed(f"/models/{name}"))) for name in names):
                return names
        except (OSError, http.client.HTTPException, ValueError):
            pass  # it is not up yet
        time.sleep(_STEP_SECONDS)
    return []


def _managed(path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", MANAGEMENT, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


class Front(http.server.BaseHTTPRequestHandler):
    """Passes a request on, and its answer back."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Pass on what has no body."""
        self._pass_on(None)

    def do_POST(self) -> None:
        """Pass on what has one, of a length that is told."""
        if self.headers.get("Transfer-Encoding"):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _pass_on(self, body: bytes | None) -> None:
        headers = passed_on(self.headers, has_body=body is not None)
        behind = http.client.HTTPConnection("127.0.0.1", INFERENCE, timeout=_ANSWER_SECONDS)
        try:
            behind.request(self.command, self.path, body, headers)
            answer = behind.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            said = json.dumps({"error": f"TorchServe does not answer: {error}"}).encode()
            self._answer(HTTPStatus.BAD_GATEWAY, [(_TYPE, "application/json")], said)
        finally:
            behind.close()

    def _answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for key, value in headers:
            if key.lower() not in _OF_A_CONNECTION:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """TorchServe logs each request itself."""


def main(argv: Sequence[str]) -> int:
    """Serve until TorchServe ends; return the exit code."""
    config = next((word.removeprefix(OPTION) for word in argv if word.startswith(OPTION)), "")
    CONFIG.write_text(rewritten(Path(config).read_text() if config else "", os.environ))
    kept = [word for word in argv if not word.startswith(OPTION)]
    server = subprocess.Popen([*kept, f"{OPTION}{CONFIG}", "--foreground"])  # noqa: S603 - told to
    names = wait(server)
    if server.poll() is None and not names:
        sys.stderr.write(f"{config}: names no model (model_snapshot or load_models)\n")
        server.terminate()
        return 1
    if names:
        sys.stderr.write(f"serving {', '.join(names)}\n")
        front = http.server.ThreadingHTTPServer(("", PORT), Front)
        threading.Thread(target=front.serve_forever, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
