"""The wanted models: ConfigMaps watched through the API, or else their mounted copies.

```
 list ──► watch ──► (closed, 410, error) ──► list …          of each shard; see shardsets
   └─ silent for some seconds ──► the mounted files, as long as the API stays silent
```

The kubelet's copies may be older than what the API said before it fell silent, so once the API
has been heard, only a *change* of the files counts. Callers: processes.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from shoal import modelconfig, names
from shoal.agent import metrics
from shoal.agent.apis import Api
from shoal.agent.errors import ApiError
from shoal.agent.shardsets import ShardSet, WholeList
from shoal.modelconfig import Model, ModelConfigError

_LOG = logging.getLogger(__name__)
_SILENT_SECONDS = 5.0
_FIRST_SILENT_SECONDS = 2.0  # with nothing to serve yet
_FILE_SECONDS = 1.0
_WATCH_SECONDS = (240, 360)
_LASTING_SECONDS = 2.0
_PAUSE_SECONDS = (0.2, 5.0)
_GONE = 410
_LIST = "the list of models"

OnModels = Callable[[tuple[Model, ...], str], None]


class Watch:
    """Hands every whole list of wanted models to `on_models`, with its content's sha256."""

    def __init__(self, api: Api, service: str, folder: str, on_models: OnModels) -> None:
        self._api = api
        self._name = partial(names.model_config, service)
        self._folder = Path(folder)
        self._on_models = on_models
        self._shards = ShardSet(self._name)
        self._digest = ""
        self._group = asyncio.TaskGroup()
        self._followers: dict[int, asyncio.Task[None]] = {}
        self._deaf: set[int] = set()  # shards of which the API says nothing
        self._heard = asyncio.Event()
        self._is_silent = False
        self._complaints: dict[str, str] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        async with self._group:
            self._follow_shards(1)
            self._group.create_task(self._follow_file())

    def _follow_shards(self, count: int) -> None:
        """Follow so many shards; one that is followed again is read anew."""
        for index in range(count):
            if index not in self._followers:
                self._hear(index, heard=False)
                self._followers[index] = self._group.create_task(self._follow(index))
        for index in [index for index in self._followers if index >= count]:
            self._followers.pop(index).cancel()
            self._shards.drop(index)
            self._hear(index, heard=True)

    async def _follow(self, index: int) -> None:
        failures = 0  # and watches that ended as soon as they had begun
        version = ""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                version = version or await self._list(index)
                began = clock()
                version = await self._watch(index, version)
            except ApiError as error:
                version, began = "", clock()
                self._shards.drop(index)  # the files may bring newer ones before it is read again
                self._hear(index, heard=False)
                metrics.CONFIG_ERRORS.labels("api").inc()
                self._complain(index, f"cannot be followed: {error}")
            failures = 0 if clock() - began >= _LASTING_SECONDS else failures + 1
            low, high = _PAUSE_SECONDS
            ceiling = min(high, low * 2 ** min(failures, 10)) if failures else 0
            await asyncio.sleep(random.uniform(ceiling / 2, ceiling))  # noqa: S311 - jitter

    def _hear(self, index: int, *, heard: bool) -> None:
        """Note whether the API answers for a shard; it is silent while it does not for one."""
        (self._deaf.discard if heard else self._deaf.add)(index)
        if self._deaf:
            self._heard.clear()
        else:
            self._heard.set()
            self._is_silent = False

    async def _list(self, index: int) -> str:
        body = await self._api.list_one("configmaps", self._name(index))
        self._hear(index, heard=True)
        items = body.get("items") or []
        if items:
            self._read(index, items[0])
        else:
            self._miss(index, "does not exist: held models stay")
        return str(body["metadata"]["resourceVersion"])

    async def _watch(self, index: int, version: str) -> str:
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - spreads reconnections
        events = self._api.watch_one("configmaps", self._name(index), version, seconds)
        async for event in events:
            body: dict[str, Any] = event["object"]
            if event["type"] == "ERROR":
                if body.get("code") == _GONE:
                    return ""
                raise ApiError(int(body.get("code", 0)), str(body.get("message", "")))
            version = body["metadata"]["resourceVersion"]
            if event["type"] in {"ADDED", "MODIFIED"}:
                self._read(index, body)
            elif event["type"] == "DELETED":
                self._miss(index, "was deleted: held models stay")
        return version

    def _read(self, index: int, body: dict[str, Any]) -> None:
        try:
            shard = modelconfig.read(body)
        except ModelConfigError as error:
            metrics.CONFIG_ERRORS.labels("content").inc()
            self._miss(index, f"cannot be read, held models stay: {error}")
        else:
            self._shards.put(index, shard)
            self._complaints.pop(self._name(index), None)
            self._act()

    def _miss(self, index: int, complaint: str) -> None:
        """Do nothing while a shard is missing, be it one that is to go."""
        self._shards.drop(index)
        if index < self._shards.count:
            self._complain(index, complaint)
        self._act()

    def _act(self) -> None:
        """Hand the list on if it is whole, and follow what is needed to make it so."""
        whole = self._shards.whole()
        # What was read of a shard that is no more must not be taken for what one of the same
        # name says later, so it is dropped here, and read anew if it comes back.
        self._follow_shards(whole.shards if whole else self._shards.count)
        if whole:
            self._hand_on(whole)

    def _hand_on(self, whole: WholeList) -> None:
        self._complaints.pop(_LIST, None)
        if whole.digest != self._digest:
            self._digest = whole.digest
            self._on_models(whole.models, whole.digest)

    async def _follow_file(self) -> None:
        before: dict[int, dict[str, str]] | None = None
        lack = ""
        while True:
            if await self._silent():
                files = await asyncio.to_thread(_mounted, self._folder)
                if files and (not self._digest or (before is not None and files != before)):
                    self._read_files(files)
                before = files
                await asyncio.sleep(_FILE_SECONDS)
            else:
                before = None
                # A second long, so that it is no change of the number on its way.
                if lack == (lack := self._shards.lack()):
                    self._tell_lack(lack)

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

    def _read_files(self, files: dict[int, dict[str, str]]) -> None:
        shards = ShardSet(self._name)
        try:
            for index, data in files.items():
                shards.put(index, modelconfig.decode_shard(data))
        except ModelConfigError as error:
            metrics.CONFIG_ERRORS.labels("content").inc()
            self._tell(_LIST, f"cannot be read from its mounted files, held models stay: {error}")
            return
        if whole := shards.whole():
            self._hand_on(whole)
        else:
            self._tell_lack(shards.lack())

    def _tell_lack(self, lack: str) -> None:
        if lack:
            self._tell(_LIST, f"is not whole, held models stay: {lack}")

    def _complain(self, index: int, complaint: str) -> None:
        self._tell(self._name(index), complaint)

    def _tell(self, subject: str, complaint: str) -> None:
        """Warn of what is wrong with a subject, once until it is something else."""
        level = logging.DEBUG if complaint == self._complaints.get(subject) else logging.WARNING
        self._complaints[subject] = complaint
        _LOG.log(level, "%s %s", subject, complaint)


def _mounted(folder: Path) -> dict[int, dict[str, str]]:
    """Read the mounted shards, as far as there are any."""
    keys = (names.MODELS_KEY, names.SHARDS_KEY)
    found: dict[int, dict[str, str]] = {}
    for index in range(names.MOUNTED_SHARDS):
        for key in keys:
            text = _text(folder / names.mounted_shard(index, key))
            if text is not None:
                found.setdefault(index, {})[key] = text
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
