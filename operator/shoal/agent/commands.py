"""`shoal fetch URI DEST [URI DEST …]`: models into folders, then the end. Caller: `__main__`.

It is the init container `storage-initializer` of a service with a model of its own. What goes on
is told on standard output, in plain lines; a failure is one sentence on standard error and in
the file that the kubelet reads, so that it is found in the InferenceService's status.
"""

import asyncio
import contextlib
import functools
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import ClientSession

from shoal import logs
from shoal.agent import deliveries, retries
from shoal.agent.accounts import Accounts, Identity
from shoal.agent.apis import Api
from shoal.agent.deliveries import Tools
from shoal.settings import FetchSettings
from shoal.storage import transfers
from shoal.storage.credentials import Credentials
from shoal.storage.failures import FetchError
from shoal.storage.limits import Limits
from shoal.storage.uris import Location

FAILED, MISUSED, STOPPED = 1, 2, 128 + signal.SIGTERM

Pairs = Sequence[tuple[Location, Path]]


class UsageError(ValueError):
    """What is wrong with the arguments."""


def run(settings: FetchSettings, words: Sequence[str]) -> int:
    """Bring every model, one after the other; return the exit code."""
    logs.install_plain()
    try:
        asyncio.run(_run(settings, parse(words)))
    except UsageError as error:
        return _end(settings, MISUSED, str(error))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return _end(settings, STOPPED, "stopped; the next run goes on with what has come")
    except Exception as error:  # noqa: BLE001 - whatever it is, one sentence is told of it
        return _end(settings, FAILED, retries.failure(error).message)
    return 0


def parse(words: Sequence[str]) -> Pairs:
    """Read the arguments.

    Raises:
        UsageError: they are no pairs of address and folder, each folder once.
    """
    if not words or len(words) % 2:
        raise UsageError("give addresses, each followed by a folder: shoal fetch URI DEST …")
    folders = [Path(word).absolute() for word in words[1::2]]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UsageError(f"{folder}: is named twice; give each model a folder of its own")
    try:
        return list(zip(map(transfers.parse, words[::2]), folders, strict=True))
    except FetchError as error:
        raise UsageError(error.message) from error


async def _run(settings: FetchSettings, pairs: Pairs) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with ClientSession() as session:
        tools = Tools(
            known=_known(settings, session),
            session=session,
            limits=Limits.told(settings.downloads),
            patience=settings.patience_seconds,
            tell=_tell,
            draw=random.random,
        )
        for location, folder in pairs:
            await deliveries.run(location, folder, tools)


def _known(settings: FetchSettings, session: ClientSession) -> deliveries.Known:
    """Read credentials as the agent does; outside of a cluster those of the environment."""
    if not settings.namespace:
        return functools.partial(_of_environment, settings)
    api = Api(session, settings.api_url, settings.namespace, settings.token_dir)
    identity = Identity(settings.namespace, settings.service_account, settings.storage_secret)
    return Accounts(api, identity, settings.environ).read


async def _of_environment(settings: FetchSettings) -> Credentials:
    return Credentials(environ=settings.environ)


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
