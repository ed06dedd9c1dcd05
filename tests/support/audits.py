"""What a user asked of the API server, from its audit log."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CREATED = 201
GRANT_SECONDS = 2.0
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"

Act = tuple[str, str, str]  # user, verb, path


@dataclass(frozen=True, order=True)
class Use:
    """One right: a verb on a resource of a group; `status` and the like belong to the name."""

    group: str
    resource: str
    verb: str


@dataclass(frozen=True)
class Gap:
    """A time, its ends written as the log does, in which these users may be refused."""

    start: str
    end: str
    users: tuple[str, ...]

    def covers(self, entry: dict[str, Any]) -> bool:
        """Say whether an entry is in it."""
        is_theirs: bool = entry["user"]["username"].startswith(self.users)
        return is_theirs and self.start <= entry["stageTimestamp"] <= self.end


@dataclass(frozen=True)
class Audit:
    """The entries since a moment, in a folder that holds `audit.log` and its older parts."""

    folder: Path
    since: datetime
    gaps: list[Gap] = field(default_factory=list)

    @contextmanager
    def gap(self, now: Callable[[], datetime], *users: str) -> Iterator[None]:
        """Leave out what is refused meanwhile: rights are taken away on purpose.

        `users` are beginnings of names; without any, it is left out whoever asked.
        """
        start = _stamp(now())
        yield
        self.gaps.append(Gap(start, _stamp(now()), users or ("",)))

    def entries(self, user: str) -> Iterator[dict[str, Any]]:
        """Read what users whose names begin so asked, oldest file first."""
        start = _stamp(self.since)
        mark = json.dumps({"username": user}, separators=(",", ":"))[1:-2]
        files = sorted(self.folder.glob("audit*.log"), key=lambda path: path.stat().st_mtime)
        assert files, f"{self.folder}: no audit log; this cluster was not built by up.py"
        for file in files:
            with file.open() as lines:
                # Most lines are other users': looked at as text, they cost little.
                for line in (line for line in lines if mark in line and line.endswith("\n")):
                    entry = json.loads(line)
                    if entry["stageTimestamp"] >= start:
                        yield entry

    def uses(self, user: str) -> set[Use]:
        """List the rights that were made use of."""
        entries = (entry for entry in self.entries(user) if "objectRef" in entry)
        return {use for entry in entries for use in uses_of(entry)}

    def refused(self, user: str) -> list[str]:
        """List what was refused for want of a right.

        A right that was just granted may be asked for before the API server knows of it: what
        the same user was allowed within GRANT_SECONDS was not refused.
        """
        forbidden = [
            entry
            for entry in self.entries(user)
            if _decision(entry) == "forbid" and not any(gap.covers(entry) for gap in self.gaps)
        ]
        allowed = self._allowed(user, {_act(entry) for entry in forbidden})
        return [
            f"{entry['verb']} {entry['requestURI']}"
            for entry in forbidden
            if not any(
                0 < (_time(at) - _time(entry["stageTimestamp"])).total_seconds() < GRANT_SECONDS
                for at in allowed.get(_act(entry), ())
            )
        ]

    def _allowed(self, user: str, acts: set[Act]) -> dict[Act, list[str]]:
        found: dict[Act, list[str]] = {}
        for entry in self.entries(user) if acts else ():
            if _decision(entry) == "allow" and _act(entry) in acts:
                found.setdefault(_act(entry), []).append(entry["stageTimestamp"])
        return found


def _decision(entry: dict[str, Any]) -> str:
    said: str = entry.get("annotations", {}).get("authorization.k8s.io/decision", "")
    return said


def _act(entry: dict[str, Any]) -> Act:
    return entry["user"]["username"], entry["verb"], entry["requestURI"]


def _stamp(time: datetime) -> str:
    """Write a time as the log does, so that it compares as text."""
    return time.strftime(_FORM)


def _time(stamp: str) -> datetime:
    return datetime.strptime(stamp, _FORM).replace(tzinfo=UTC)


def uses_of(entry: dict[str, Any]) -> set[Use]:
    """Tell which rights an entry made use of.

    Applying an object that is not there yet is a patch in the log, and takes the right to create.
    """
    what = entry["objectRef"]
    resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
    made = (entry.get("responseStatus") or {}).get("code") == CREATED
    verbs = {entry["verb"], "create"} if made else {entry["verb"]}
    return {Use(what.get("apiGroup", ""), resource, verb) for verb in verbs}


def granted(role: dict[str, Any]) -> set[Use]:
    """List the rights that a Role or ClusterRole grants."""
    return {
        Use(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
