"""The `inferenceservice-config` in force: watched, and replaced only by a valid one.

A malformed value leaves the last good configuration in force and says so in an event on
the ConfigMap and in a metric.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from shoal import names
from shoal.api import settings
from shoal.cluster.ports import Body, Watcher
from shoal.reasons import Reason
from shoal.reconcile import follows, metrics
from shoal.reconcile.bundles import Bundle
from shoal.reconcile.events import Recorder
from shoal.settings import OperatorSettings
from shoal.status.events import WARNING, Notice

_log: Final = logging.getLogger(__name__)


class Configuration:
    """Holds the configuration in force; `on_change` hears when it is another one."""

    def __init__(
        self, process: OperatorSettings, recorder: Recorder, on_change: Callable[[], None]
    ) -> None:
        self.process = process
        self._namespace = process.namespace
        self._image = process.image
        self._recorder = recorder
        self._on_change = on_change
        self._told: str | None = None
        self._known = asyncio.Event()
        self.current = settings.parse({}, default_image=process.image)
        self.bundle = Bundle(process.namespace, recorder, on_change)

    def is_known(self) -> bool:
        """Tell whether `known` would return at once."""
        return self._known.is_set()

    async def known(self) -> None:
        """Return once a valid configuration, or the absence of any, has been seen.

        An operator that starts over an invalid one waits: to serve the defaults instead of
        the configuration that was in force would change every service.
        """
        await self._known.wait()

    async def follow(self, watcher: Watcher) -> None:
        """Keep up with the ConfigMap for ever."""
        await follows.config_map(watcher, self._namespace, names.OPERATOR_CONFIG, self.offer)

    async def offer(self, body: Body | None) -> None:
        """Take the ConfigMap as it is now; an absent one means the defaults."""
        try:
            offered = settings.parse((body or {}).get("data") or {}, default_image=self._image)
        except ValueError as error:
            metrics.CONFIG_VALID.set(0)
            await self._refuse(body or {}, str(error))
            return
        metrics.CONFIG_VALID.set(1)
        self._told = None
        self._known.set()
        if offered != self.current:
            self.current = offered
            self.bundle.look_for(offered.storage_initializer.ca_bundle_config_map_name)
            _log.info("%s/%s is in force", self._namespace, names.OPERATOR_CONFIG)
            self._on_change()

    async def _refuse(self, body: Body, why: str) -> None:
        if why == self._told:
            return
        self._told = why
        message = f"{why}; the last good configuration stays in force"
        _log.error("%s/%s: %s", self._namespace, names.OPERATOR_CONFIG, message)
        subject = body | {"apiVersion": "v1", "kind": "ConfigMap"}
        await self._recorder.record(subject, [Notice(WARNING, Reason.CONFIG_INVALID, message)])
