"""A model server for many scikit-learn models, to be copied and changed.

It speaks the part of the V2 (Open Inference) protocol that Shoal needs. The agent beside it puts
the files of model `m` under `/mnt/models/m` and calls the repository endpoints; users infer.

    POST /v2/repository/models/m/load     read /mnt/models/m/model.joblib, then answer for it
    POST /v2/repository/models/m/unload   forget it
    GET  /v2/models/m/ready               200 when m answers, 404 when it does not
    POST /v2/models/m/infer               {"inputs": [...]} -> {"outputs": [...]}
    GET  /v2/health/live, /v2/health/ready

Each connection has a thread of its own, so a slow load holds up nobody else, and a reload swaps
the model in one assignment: until it succeeds, the old one answers. A load that fails says why.
A joblib file is a program: load models only from buckets that you trust.
"""

import json
import os
import re
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn.ensemble  # noqa: F401 - imported now, so that the first load does not wait for it

MODEL_DIR = Path(os.environ.get("MODEL_DIR", "/mnt/models"))
MODELS: dict[str, Any] = {}

Answer = tuple[int, dict[str, Any]]


def load(name: str, _body: bytes) -> Answer:
    """Read a model from disk and put it in the place of the one that answered so far."""
    path = MODEL_DIR / name / "model.joblib"
    try:
        MODELS[name] = joblib.load(path)
    except Exception as error:  # noqa: BLE001 - a joblib file is a program: anything can come
        return 500, {"error": f"{path}: {type(error).__name__}: {error}"}
    return 200, {"name": name}


def unload(name: str, _body: bytes) -> Answer:
    """Forget a model."""
    return (200, {"name": name}) if MODELS.pop(name, None) is not None else unknown(name)


def ready(name: str, _body: bytes) -> Answer:
    """Say whether a model answers."""
    return (200, {"name": name, "ready": True}) if name in MODELS else unknown(name)


def infer(name: str, body: bytes) -> Answer:
    """Predict for the first input: [n] is n rows of one feature, [n, k] is n rows of k."""
    if (model := MODELS.get(name)) is None:
        return unknown(name)
    try:
        tensor = json.loads(body)["inputs"][0]
        rows = np.asarray(tensor["data"], np.float32).reshape(tensor["shape"])
        result = np.asarray(model.predict(rows.reshape(len(rows), -1)))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return 400, {"error": f"{type(error).__name__}: {error}"}
    datatype, kind = ("INT64", np.int64) if result.dtype.kind in "iu" else ("FP32", np.float32)
    output = {"name": "output-0", "shape": list(result.shape), "datatype": datatype}
    data = result.astype(kind).ravel().tolist()
    return 200, {"model_name": name, "outputs": [{**output, "data": data}]}


def health(_name: str, _body: bytes) -> Answer:
    """Say that the server runs."""
    return 200, {"live": True, "ready": True}


def unknown(name: str) -> Answer:
    """Say that a model is not loaded."""
    return 404, {"error": f"model {name!r} is not loaded"}


NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)"  # no slash and no leading dot: stays in MODEL_DIR
ROUTES = (
    (re.compile(rf"POST /v2/repository/models/{NAME}/load"), load),
    (re.compile(rf"POST /v2/repository/models/{NAME}/unload"), unload),
    (re.compile(rf"GET /v2/models/{NAME}/ready"), ready),
    (re.compile(rf"POST /v2/models/{NAME}/infer"), infer),
    (re.compile(r"GET /v2/health/(live|ready)"), health),
)


def route(request: str, body: bytes) -> Answer:
    """Answer `METHOD /path`."""
    for pattern, endpoint in ROUTES:
        if match := pattern.fullmatch(request):
            return endpoint(match.groupdict().get("name", ""), body)
    return 404, {"error": f"{request}: no such endpoint"}


class Handler(BaseHTTPRequestHandler):
    """One connection; it is kept open between requests."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one packet

    def answer(self) -> None:
        """Answer one request in JSON, and log what changes the models and what fails."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, content = route(f"{self.command} {self.path.partition('?')[0]}", body)
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        if "/repository/" in self.path or status == 500:  # noqa: PLR2004
            self.log_message('"%s" %d %s', self.requestline, status, content.get("error", ""))

    do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

    def log_request(self, *_: object) -> None:
        """Leave ordinary requests out of the log; probes alone would fill it."""


class Server(ThreadingHTTPServer):
    """A thread per connection, and room for a burst of new ones."""

    request_queue_size = 128


def main() -> None:
    """Serve until SIGTERM, and then for as long as others may still send requests here."""
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler)  # noqa: S104
    print(f"serving {MODEL_DIR} on port {server.server_port}", file=sys.stderr)  # noqa: T201
    drain = float(os.environ.get("DRAIN_SECONDS", "3"))
    signal.signal(signal.SIGTERM, lambda *_: threading.Timer(drain, server.shutdown).start())
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
