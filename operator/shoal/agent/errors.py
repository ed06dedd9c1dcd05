"""What those whom an agent asks refuse: the API server and the model server.

Beside what asks them, so that who only knows the errors need not import aiohttp.
"""


class ApiError(Exception):
    """What the API server said; `status` is 0 when it said nothing."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ServerDownError(Exception):
    """Nobody listens, or nobody answers."""


class ServerRefusedError(Exception):
    """The server's own words; `in_doubt` when it may still be doing what was asked."""

    def __init__(self, message: str, *, in_doubt: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.in_doubt = in_doubt
