"""Keys and certificates of the cluster, made with ``openssl``; used by controlplane and node."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import shell

# openssl req wants a configuration; the system's own would add extensions that contradict ours.
_CONFIG = "[req]\ndistinguished_name = dn\n[dn]\n"
_DAYS = "3650"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A folder of certificates signed by one authority, made on first use and kept."""

    folder: Path

    def ca(self, name: str = "ca") -> Pair:
        """Return the authority's own certificate."""
        pair = self._pair(name)
        if not pair.certificate.exists():
            _request(pair, f"/CN=shoal-{name}", ["basicConstraints=critical,CA:TRUE"], None)
        return pair

    def issue(self, name: str, subject: str, *, hosts: Sequence[str] = (), ca: str = "ca") -> Pair:
        """Return a certificate for clients and servers; ``hosts`` are ``DNS:x`` and ``IP:x``."""
        pair = self._pair(name)
        if not pair.certificate.exists():
            extensions = [
                "basicConstraints=critical,CA:FALSE",
                "extendedKeyUsage=clientAuth,serverAuth",
            ]
            if hosts:
                extensions.append(f"subjectAltName={','.join(hosts)}")
            _request(pair, subject, extensions, self.ca(ca))
        return pair

    def account_key(self) -> Path:
        """Return the key that signs service account tokens."""
        path = self.folder / "service-accounts.key"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            shell.run(["openssl", "genrsa", "-out", str(path), "2048"])
        return path

    def _pair(self, name: str) -> Pair:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")


def _request(pair: Pair, subject: str, extensions: Sequence[str], ca: Pair | None) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as config:
        config.write(_CONFIG)
        config.flush()
        argv = ["openssl", "req", "-x509", "-config", config.name, "-nodes", "-days", _DAYS]
        argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        argv += ["-subj", subject, "-keyout", str(pair.key), "-out", f"{pair.certificate}.new"]
        for extension in extensions:
            argv += ["-addext", extension]
        if ca:
            argv += ["-CA", str(ca.certificate), "-CAkey", str(ca.key)]
        shell.run(argv)
    # Renamed last: a certificate that is there is a whole one, also after an interruption.
    Path(f"{pair.certificate}.new").rename(pair.certificate)
