"""Object stores as real processes, on loopback by default: Azurite, fake-gcs, versitygw."""

import base64
import hashlib
import hmac
import http.client
import json
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, urlsplit

from cluster import azurite, binaries, packages
from cluster.certificates import Pair
from support.agentrigs import ACCESS_KEY, SECRET_KEY, Process, free_port, listens, until

_VERSION = "2021-08-06"


@dataclass
class Azurite:
    """Azure Blob Storage; container `models`. Each has an account and a key of its own."""

    process: Process
    endpoint: str
    account: str
    key: str

    @classmethod
    def make(
        cls,
        folder: Path,
        account: str = "shoal",
        key: str = "first",
        host: str = "127.0.0.1",
    ) -> "Azurite":
        """Start it; `host` is the address of this machine at which it listens."""
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        argv = [*azurite.ensure(), "--blobHost", host, "--blobPort", str(port)]
        argv += ["--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry"]
        encoded = base64.b64encode(key.encode()).decode()
        process = Process(argv, {"AZURITE_ACCOUNTS": f"{account}:{encoded}"}, folder / "log")
        process.start()
        until(lambda: listens(port, host))
        made = cls(process, f"http://{host}:{port}/{account}", account, encoded)
        made.create("models")
        return made

    def create(self, container: str, access: str = "") -> None:
        """Create a container, with `access` "container" a public one."""
        headers = {"x-ms-blob-public-access": access} if access else {}
        self.send("PUT", f"/{container}", {"restype": "container"}, headers)

    def put(self, key: str, content: bytes, container: str = "models") -> None:
        """Upload a blob under this very key."""
        path = f"/{container}/{quote(key)}"
        self.send("PUT", path, {}, {"x-ms-blob-type": "BlockBlob"}, content)

    def send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes = b"",
    ) -> None:
        """Send a request, signed with the account's key."""
        parts = urlsplit(self.endpoint)
        headers = {**headers, "x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{self.account}{parts.path}{path}"
        resource += "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
        length = str(len(body)) if body else ""
        text = f"{method}\n\n\n{length}\n" + "\n" * 8 + f"{lines}{resource}"
        digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        headers |= {"Authorization": f"SharedKey {self.account}:{signature}"}
        headers |= {"Content-Length": str(len(body))}
        words = "&".join(f"{name}={value}" for name, value in query.items())
        connection = http.client.HTTPConnection(parts.netloc)
        connection.request(method, f"{parts.path}{path}?{words}".rstrip("?"), body, headers)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        assert answer.status == http.HTTPStatus.CREATED, (answer.status, said)

    def secret(self, **data: str) -> dict[str, str]:
        """Make the data of the Secret that users write for it."""
        given = {"AZURE_STORAGE_ACCESS_KEY": self.key, "AZURE_STORAGE_ENDPOINT": self.endpoint}
        return {"AZURE_STORAGE_ACCOUNT_NAME": self.account, **given, **data}

    def sas(self, container: str = "models", *, key: str = "") -> str:
        """Sign a token that lets read a container, and list it, for an hour."""
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        resource = f"/blob/{self.account}/{container}"
        fields = ["rl", "", expires, resource, "", "", "", _VERSION, "c", *[""] * 7]
        text = "\n".join(fields).encode()
        digest = hmac.new(base64.b64decode(key or self.key), text, hashlib.sha256).digest()
        signature = quote(base64.b64encode(digest).decode(), safe="")
        return f"sp=rl&se={quote(expires)}&sv={_VERSION}&sr=c&sig={signature}"


@dataclass
class FakeGcs:
    """Google Cloud Storage; bucket `models`. It lets everybody in, whatever they show."""

    process: Process
    endpoint: str

    @classmethod
    def make(cls, folder: Path, front: int = 0) -> "FakeGcs":
        """Start it; `front` is the port of what stands before it, if anything does."""
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        program = binaries.ensure("fake-gcs-server") / "fake-gcs-server"
        argv = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        argv += ["-backend", "memory", "-public-host", f"127.0.0.1:{front or port}"]
        process = Process(argv, {}, folder / "log")
        process.start()
        until(lambda: listens(port))
        made = cls(process, f"http://127.0.0.1:{port}")
        made.post("/storage/v1/b?project=p", json.dumps({"name": "models"}).encode())
        return made

    def put(self, key: str, content: bytes) -> None:
        """Upload an object under this very key."""
        name = quote(key, safe="")
        self.post(f"/upload/storage/v1/b/models/o?uploadType=media&name={name}", content)

    def post(self, path: str, body: bytes) -> None:
        """Send a request."""
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        assert answer.status == http.HTTPStatus.OK, (answer.status, said)


@dataclass
class Gateway:
    """An S3 server, in front of a folder or of Azurite; bucket `models`, keys of its own."""

    process: Process
    endpoint: str
    folder: Path

    @classmethod
    def make(
        cls,
        folder: Path,
        *,
        tls: Pair | None = None,
        domain: str = "",
        azurite: Azurite | None = None,
    ) -> "Gateway":
        """Start it."""
        port = free_port()
        (folder / "data" / "models").mkdir(parents=True)
        argv = [str(binaries.ensure("versitygw") / "versitygw"), "--quiet"]
        argv += ["--port", f"127.0.0.1:{port}"]
        if tls:
            argv += ["--cert", str(tls.certificate), "--key", str(tls.key)]
        if domain:
            argv += ["--virtual-domain", f"{domain}:{port}"]
        if azurite:
            argv += ["azure", "-a", azurite.account, "-k", azurite.key, "-u", azurite.endpoint]
        else:
            argv += ["posix", "--nometa", str(folder / "data")]
        keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        process = Process(argv, keys, folder / "log")
        process.start()
        until(lambda: listens(port))
        host = domain or "127.0.0.1"
        return cls(process, f"{'https' if tls else 'http'}://{host}:{port}", folder / "data")

    def put(self, key: str, content: bytes) -> None:
        """Put a file behind it; only what a folder can hold."""
        target = (self.folder / "models" / key).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def ensure() -> None:
    """Have every program here built or installed: no test's time is meant for that."""
    packages.ensure(packages.GIT)
    azurite.ensure()
    for name in ("fake-gcs-server", "versitygw"):
        binaries.ensure(name)
