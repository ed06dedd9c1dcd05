"""The wanted models: one ConfigMap, watched through the API, or else its mounted copy.

```
 list ──► watch ──► (closed, 410, error) ──► list …          every content read is handed on
   └─ silent for some seconds ──► the mounted file, as long as the API stays silent
```

The kubelet's copy may be older than what the API said before it fell silent, so once the API
has been heard, only a *change* of that file counts. Callers: processes.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shoal import modelconfig, names
from shoal.agent import metrics
from shoal.agent.apis import Api, ApiError
from shoal.modelconfig import Model, ModelConfigError

_LOG = logging.getLogger(__name__)
_SILENT_SECONDS = 5.0
_FIRST_SILENT_SECONDS = 2.0  # with nothing to serve yet
_FILE_SECONDS = 1.0
_WATCH_SECONDS = (240, 360)
_PAUSE_SECONDS = (0.2, 5.0)
_GONE = 410

OnModels = Callable[[tuple[Model, ...], str], None]


class Watch:
    """Hands every readable set of wanted models to `on_models`, with the content's sha256."""

    def __init__(self, api: Api, config_map: str, folder: str, on_models: OnModels) -> None:
        self._api = api
        self._config_map = config_map
        self._file = Path(folder, names.MODELS_KEY)
        self._on_models = on_models
        self._digest = ""
        self._heard = asyncio.Event()
        self._complaint = ""
        self._is_silent = False

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_api())
            group.create_task(self._follow_file())

    async def _follow_api(self) -> None:
        failures = 0
        version = ""
        while True:
            try:
                version = version or await self._list()
                failures = 0
                version = await self._watch(version)
            except ApiError as error:
                version = ""
                failures += 1
                self._heard.clear()
                metrics.CONFIG_ERRORS.labels("api").inc()
                self._complain(f"cannot follow ConfigMap {self._config_map}: {error}")
            low, high = _PAUSE_SECONDS
            ceiling = min(high, low * 2 ** min(failures, 10)) if failures else 0
            await asyncio.sleep(random.uniform(ceiling / 2, ceiling))  # noqa: S311 - jitter

    async def _list(self) -> str:
        body = await self._api.list_one("configmaps", self._config_map)
        self._heard.set()
        self._is_silent = False
        items = body.get("items") or []
        if items:
            self._read(items[0].get("data") or {})
        else:
            self._complain(f"ConfigMap {self._config_map} does not exist: held models stay")
        return str(body["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> str:
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - spreads reconnections
        events = self._api.watch_one("configmaps", self._config_map, version, seconds)
        async for event in events:
            body: dict[str, Any] = event["object"]
            if event["type"] == "ERROR":
                if body.get("code") == _GONE:
                    return ""
                raise ApiError(int(body.get("code", 0)), str(body.get("message", "")))
            version = body["metadata"]["resourceVersion"]
            if event["type"] in {"ADDED", "MODIFIED"}:
                self._read(body.get("data") or {})
            elif event["type"] == "DELETED":
                self._complain(f"ConfigMap {self._config_map} was deleted: held models stay")
        return version

    async def _follow_file(self) -> None:
        before: str | None = None
        while True:
            if await self._silent():
                text = await asyncio.to_thread(_text, self._file)
                may_use = not self._digest or (before is not None and text != before)
                if text is not None and may_use:
                    self._read({names.MODELS_KEY: text})
                before = text
                await asyncio.sleep(_FILE_SECONDS)
            else:
                before = None

    async def _silent(self) -> bool:
        """Wait for the API to be heard, at most some seconds; then tell whether it is silent."""
        if self._heard.is_set():
            await asyncio.sleep(_FILE_SECONDS)
            return False
        if self._is_silent:
            return True
        try:
            async with asyncio.timeout(_SILENT_SECONDS if self._digest else _FIRST_SILENT_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            self._is_silent = True
        return self._is_silent

    def _read(self, data: Mapping[str, str]) -> None:
        digest = content_digest(data)
        if digest == self._digest:
            return
        try:
            models = modelconfig.decode(data)
        except ModelConfigError as error:
            metrics.CONFIG_ERRORS.labels("content").inc()
            self._complain(
                f"ConfigMap {self._config_map} cannot be read, held models stay: {error}"
            )
            return
        self._digest = digest
        self._complaint = ""
        self._on_models(models, digest)

    def _complain(self, complaint: str) -> None:
        level = logging.DEBUG if complaint == self._complaint else logging.WARNING
        self._complaint = complaint
        _LOG.log(level, complaint)


def content_digest(data: Mapping[str, str]) -> str:
    """Identify a content of models.json."""
    return hashlib.sha256(data.get(names.MODELS_KEY, "").encode()).hexdigest()


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
