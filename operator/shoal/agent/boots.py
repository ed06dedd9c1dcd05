"""Which boot of the node this is: bytes that were not synced are not believed after another one.

Callers: stores, destinations.
"""

from pathlib import Path

_ID = Path("/proc/sys/kernel/random/boot_id")


def read() -> str:
    """Name the boot, "" where the kernel does not."""
    return _ID.read_text() if _ID.exists() else ""
