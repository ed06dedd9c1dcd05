"""The CA bundle that the configuration names: a ConfigMap beside it, watched (contract §4.6).

One that is not there or has no certificate changes nothing: services keep the copy that they
have, and an event says so. Upstream fails every service then (weakness C25).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from shoal import names
from shoal.cluster.ports import Body, Watcher
from shoal.reasons import Reason
from shoal.reconcile import follows
from shoal.reconcile.events import Recorder
from shoal.status.events import WARNING, Notice

_log: Final = logging.getLogger(__name__)


class Bundle:
    """Holds the text in force, "" where there is none; `on_change` hears when it is another."""

    def __init__(self, namespace: str, recorder: Recorder, on_change: Callable[[], None]) -> None:
        self._namespace = namespace
        self._recorder = recorder
        self._on_change = on_change
        self._name = ""
        self._renamed = asyncio.Event()
        self._told = ""
        self.text = ""

    def look_for(self, name: str) -> None:
        """Go by the ConfigMap of this name from now on; "" is none."""
        if name != self._name:
            self._name, self.text, self._told = name, "", ""
            self._renamed.set()

    async def follow(self, watcher: Watcher) -> None:
        """Keep up with the ConfigMap for ever, whichever it is."""
        while True:
            self._renamed.clear()
            parts = [
                asyncio.create_task(self._renamed.wait()),
                asyncio.create_task(self._follow(watcher, self._name)),
            ]
            try:
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                for part in done:
                    part.result()
            finally:
                for part in parts:
                    part.cancel()
                await asyncio.gather(*parts, return_exceptions=True)

    async def offer(self, body: Body | None) -> None:
        """Take the ConfigMap as it is now."""
        text = str(((body or {}).get("data") or {}).get(names.CA_BUNDLE_KEY, ""))
        if names.CA_BUNDLE_MARK not in text:
            await self._refuse(body)
            return
        self._told = ""
        if text != self.text:
            self.text = text
            _log.info("%s/%s is the CA bundle in force", self._namespace, self._name)
            self._on_change()

    async def _follow(self, watcher: Watcher, name: str) -> None:
        if name:
            await follows.config_map(watcher, self._namespace, name, self.offer)
        await asyncio.Event().wait()

    async def _refuse(self, body: Body | None) -> None:
        what = f"has no {names.CA_BUNDLE_KEY} with a certificate" if body else "does not exist"
        message = (
            f"ConfigMap {self._namespace}/{self._name}, which storageInitializer."
            f"caBundleConfigMapName names, {what}; services keep the CA bundle that they have"
        )
        if message == self._told:
            return
        self._told = message
        _log.error("%s", message)
        meta = {"name": self._name, "namespace": self._namespace}
        subject = {"metadata": meta, **(body or {}), "apiVersion": "v1", "kind": "ConfigMap"}
        await self._recorder.record(subject, [Notice(WARNING, Reason.CONFIG_INVALID, message)])
