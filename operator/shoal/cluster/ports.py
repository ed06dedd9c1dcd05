"""What the flow asks of the cluster: Protocols, so that tests can answer with fakes."""

from collections.abc import AsyncGenerator, Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from shoal.cluster.kinds import Kind
from shoal.modelstates import Report

Body = dict[str, Any]


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status, `reason` the server's word.

    `causes` are its words for the details, such as NamespaceTerminating; before `retry_after`
    seconds are over it does not want to be asked again.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        causes: frozenset[str] = frozenset(),
        *,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after

    @property
    def is_final(self) -> bool:
        """Whether it is the object that is refused (invalid, malformed, or against a policy)."""
        return self.status in (400, 422)

    @property
    def is_passing(self) -> bool:
        """Whether it says nothing of the object: the API server is busy, or not there."""
        is_broken = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_broken or self.status == HTTPStatus.TOO_MANY_REQUESTS

    @property
    def is_absence(self) -> bool:
        """Whether an apply found nothing, or something made anew, in the object's place.

        To apply to what is gone means to create it, for which the right is missing, or the
        object is incomplete.
        """
        return self.status in (404, 409, 422) or "cannot create" in self.message

    @property
    def is_farewell(self) -> bool:
        """Whether the namespace is being deleted: nothing is to be made in it any more."""
        return "NamespaceTerminating" in self.causes


class Cluster(Protocol):
    """Reads and writes of Kubernetes objects as plain dicts; each raises ApiError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """Read one object; None where there is none."""

    async def list(self, kind: Kind, namespace: str = "") -> list[Body]:
        """Read all objects of a kind that match its selector."""

    async def version(self) -> tuple[int, int]:
        """Tell the API server's version, such as (1, 34)."""

    async def apply(self, body: Body, *, subresource: str = "") -> Body:
        """Server-side apply, forced, as our one field manager; return what is stored."""

    async def rehearse(self, body: Body) -> Body:
        """Ask what an apply would leave stored; nothing is."""

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, version: str = ""
    ) -> None:
        """Delete exactly this object; one that is gone, or of another version, is no error."""

    async def create(self, body: Body) -> Body:
        """Create an object that nobody else writes (events, leases)."""


class Watcher(Protocol):
    """Watches one object."""

    def watch(self, kind: Kind, namespace: str, name: str) -> AsyncGenerator[Body | None, None]:
        """Yield the object now and each time that it changed; None while there is none."""


class Agents(Protocol):
    """What the agents of the pods said last."""

    def report(self, pod_uid: str) -> Report | None:
        """Return the agent's last report; None while it gives no answer."""

    def is_heard(self, pod_uid: str) -> bool:
        """Tell whether it is known what the agent says, be it that it gives no answer."""

    def follow(self, service: tuple[str, str], pods: Mapping[str, str]) -> None:
        """Follow these pods (uid to address) of a service, and those before until `leave`."""

    def leave(self, service: tuple[str, str], but: Collection[str]) -> None:
        """Follow no pods of a service but these any more: the others' agents let them end."""
