"""`shoal fetch URI DEST [URI DEST …]`: models into folders, then the end. Caller: `__main__`.

It is the init container `storage-initializer` of a service with a model of its own. What goes on
is told on standard output, in plain lines; a failure is one sentence on standard error and in
the file that the kubelet reads, so that it is found in the InferenceService's status.
"""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from shoal import logs, modelconfig, storagespecs
from shoal.agent import allocations, deliveries, retries
from shoal.agent.accounts import Accounts, Identity
from shoal.agent.caches import Cache
from shoal.agent.deliveries import Tools
from shoal.settings import FetchSettings
from shoal.storage import entries, transfers, uris
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError
from shoal.storage.limits import Limits
from shoal.storage.sessions import Sessions
from shoal.storage.uris import Location
from shoal.storagespecs import StorageSpec

FAILED, MISUSED, STOPPED = 1, 2, 128 + signal.SIGTERM
_DIGEST = "SHOAL_ARTIFACT_DIGEST"

Pairs = Sequence[tuple[str, Path]]
Find = Callable[[str], Awaitable[tuple[Location, Credentials]]]


class UsageError(ValueError):
    """What is wrong with the arguments."""


def run(settings: FetchSettings, words: Sequence[str]) -> int:
    """Bring every model, one after the other; return the exit code."""
    logs.install_plain()
    allocations.keep()
    try:
        asyncio.run(_run(settings, parse(words, settings.storage_spec)))
    except UsageError as error:
        return _end(settings, MISUSED, str(error))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return _end(settings, STOPPED, "stopped; the next run goes on with what has come")
    except Exception as error:  # noqa: BLE001 - whatever it is, one sentence is told of it
        return _end(settings, FAILED, retries.failure(error).message)
    return 0


def parse(words: Sequence[str], spec: str = "") -> Pairs:
    """Read the arguments; `storage://PATH` is an address where a storage spec is told.

    Raises:
        UsageError: they are no pairs of address and folder, each folder once.
    """
    if not words or len(words) % 2:
        raise UsageError("give addresses, each followed by a folder: shoal fetch URI DEST …")
    folders = [Path(word).absolute() for word in words[1::2]]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(f"{folder}: is named twice; give each model a folder of its own")
    for word in words[::2]:
        if not (spec and word.startswith(storagespecs.PREFIX)):
            _check(word)
    return list(zip(words[::2], folders, strict=True))


def _check(address: str) -> None:
    try:
        transfers.parse(address)
    except FetchError as error:
        raise UsageError(error.message) from error


def check_digest(digest: str, pairs: Pairs) -> None:
    """Look at the digest that is promised.

    Raises:
        UsageError: it is none, or it may be of one model or of another.
    """
    if fault := modelconfig.digest_fault(digest):
        raise UsageError(f"{_DIGEST}: {fault}")
    if digest and len(pairs) > 1:
        raise UsageError(f"{_DIGEST}: is of one model, and {len(pairs)} are named; name one")


async def _run(settings: FetchSettings, pairs: Pairs) -> None:
    check_digest(settings.artifact_digest, pairs)
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with Sessions() as sessions:
        find = _finder(settings, sessions)
        tools = Tools(
            sessions=sessions,
            limits=Limits.told(settings.downloads),
            patience=settings.patience_seconds,
            tell=_tell,
            draw=random.random,
            digest=settings.artifact_digest,
            cache=_cache(settings),
        )
        for address, folder in pairs:
            await deliveries.run(uris.redact(address), partial(find, address), folder, tools)


def _cache(settings: FetchSettings) -> Cache | None:
    if not settings.cache_dir:
        return None
    return Cache(Path(settings.cache_dir), f"the model cache {settings.cache_name}")


def _finder(settings: FetchSettings, sessions: Sessions) -> Find:
    """Read credentials as the agent does; outside of a cluster those of the environment."""
    if not settings.namespace:
        return partial(_by_environment, settings)
    from shoal.agent.apis import Api  # noqa: PLC0415 - aiohttp takes its time

    api = Api(sessions.get(), settings.api_url, settings.namespace, settings.token_dir)
    identity = Identity(settings.namespace, settings.service_account, settings.storage_secret)
    accounts = Accounts(api, identity, settings.environ)
    if not settings.storage_spec:
        return partial(_by_account, accounts)
    try:
        return partial(_by_entry, accounts, storagespecs.decode(settings.storage_spec))
    except ValueError as error:
        raise UsageError(f"SHOAL_STORAGE_SPEC: {error}") from error


async def _by_environment(settings: FetchSettings, address: str) -> tuple[Location, Credentials]:
    return transfers.parse(address), Credentials(environ=settings.environ)


async def _by_account(accounts: Accounts, address: str) -> tuple[Location, Credentials]:
    return transfers.parse(address), await accounts.read()


async def _by_entry(
    accounts: Accounts, spec: StorageSpec, address: str
) -> tuple[Location, Credentials]:
    entry, known = await accounts.read_entry(spec)
    return entries.locate(address, entry), known


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end(settings: FetchSettings, code: int, message: str) -> int:
    """Say why it ends, to whoever reads the log and to the kubelet."""
    sentence = " ".join(message.split())
    sys.stderr.write(f"{sentence}\n")
    note = Path(settings.termination_log)
    with contextlib.suppress(OSError):
        if note.is_file():  # only the kubelet makes it
            note.write_text(sentence)
    return code
