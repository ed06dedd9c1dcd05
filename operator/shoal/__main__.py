"""The front door: `shoal operator | agent | fetch | crds`. Wires everything, decides nothing."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from shoal import __version__, logs, settings

# Each command imports its own rooms: an agent's memory is paid once per replica.
# ruff: noqa: PLC0415


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="shoal", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("operator", help="reconcile InferenceServices and TrainedModels")
    commands.add_parser("agent", help="load the models of one pod")
    fetch = commands.add_parser("fetch", help="bring models into folders, then end")
    fetch.add_argument("words", nargs="*", metavar="URI DEST", help="an address and its folder")
    crds = commands.add_parser("crds", help="write the CustomResourceDefinitions")
    crds.add_argument("directory", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "operator":
            return _operator()
        if chosen.command == "agent":
            return _agent()
        if chosen.command == "fetch":
            _fetch(chosen.words)
        return _crds(chosen.directory)
    except settings.SettingsError as error:
        sys.stderr.write(f"shoal {chosen.command}: {error}\n")
        return 2


def _operator() -> int:
    from shoal.handlers import operators

    made = settings.OperatorSettings.parse(os.environ)
    logs.install(made.log_level)
    return asyncio.run(operators.run(made))


def _agent() -> int:
    from shoal.agent import processes

    made = settings.AgentSettings.parse(os.environ)
    logs.install(made.log_level)
    asyncio.run(processes.run(made))
    return 0


def _fetch(words: Sequence[str]) -> NoReturn:
    from shoal.agent import commands

    code = commands.run(settings.FetchSettings.parse(os.environ), words)
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the interpreter's own end: a thread of obstore that calls into it just then aborts
    # the process, and the exit code would be another.
    os._exit(code)


def _crds(directory: Path) -> int:
    from shoal.api import crds

    crds.write(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
