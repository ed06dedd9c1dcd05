"""The errors that a reconcile understands; anything else is a bug or the network.

```
Exception
└── ReconcileError        carries a reason and a message for a person
    ├── StalledError      only a change of the spec (or of a named object) helps: no retry
    └── WaitingError      something else comes first: look again after `delay` seconds
```
"""

from shoal.reasons import Reason


class ReconcileError(Exception):
    """Why a resource cannot be as wanted, in words that belong into its status."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class StalledError(ReconcileError):
    """Only a change of the spec helps; the message names the field by its path."""


class WaitingError(ReconcileError):
    """Something else comes first; look again after `delay` seconds."""

    def __init__(self, reason: Reason, message: str, *, delay: float) -> None:
        super().__init__(reason, message)
        self.delay = delay
