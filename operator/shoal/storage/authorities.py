"""Whose certificates are trusted beside those that everybody trusts (contract §4.6).

The installation's own CA bundle is a mounted file, read whenever a store is opened, so that a
new one takes effect without a restart. A bundle that is not there or that cannot be read stops
nobody who does not need it. Callers: openings, weblinks.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shoal import names


@dataclass(frozen=True, slots=True)
class Authorities:
    """The bundle as PEM text, "" for none; `trust` says what helps where it is not enough."""

    text: str
    trust: str

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """What aiohttp is told for one request; True leaves it to the session."""
        return context(self.text) if self.text else True

    def advice(self, error: object) -> str:
        """Say what helps, if it was a certificate that was not trusted."""
        return f"; {self.trust}" if isinstance(error, ssl.SSLCertVerificationError) else ""


def read(environ: Mapping[str, str]) -> Authorities:
    """Read the bundle that the variables name."""
    folder = environ.get(names.CA_BUNDLE_FOLDER_VARIABLE, "")
    if not folder:
        return Authorities(
            "",
            f"name a ConfigMap that has the authority as {names.CA_BUNDLE_KEY} under "
            "storageInitializer.caBundleConfigMapName in inferenceservice-config",
        )
    path = Path(folder, names.CA_BUNDLE_KEY)
    config_map = environ.get(names.CA_BUNDLE_CONFIG_MAP_VARIABLE, "")
    where = f"the CA bundle {path} (ConfigMap {config_map})"
    try:
        text = path.read_text(errors="replace")
        if names.CA_BUNDLE_MARK not in text:
            return Authorities("", f"{where} has no certificate")
        context(text)
    except OSError as error:
        # ssl's errors, of which this is one kind, name no file.
        return Authorities("", f"{where} cannot be read: {error.strerror or error}")
    return Authorities(text, f"add the authority to {where}")


def make(text: str) -> ssl.SSLContext:
    """Make a client's TLS context that trusts these authorities too; "" is none.

    Raises:
        OSError: OpenSSL cannot read one.
    """
    made = ssl.create_default_context()
    if text:
        # Comments beside the certificates may have any letters, and OpenSSL takes ASCII alone.
        made.load_verify_locations(cadata=text.encode("ascii", "ignore").decode())
    return made


context = lru_cache(maxsize=2)(make)
"""The same, kept: it is asked for with every request."""
