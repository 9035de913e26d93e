"""One at a time over all processes: a lock that the operating system holds for us.

The system frees it however its holder ends, ``kill -9`` included, so there is never a stale lock to clear by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from aicmo.paths import make_private_dir


@contextlib.contextmanager
def file_lock(file: Path) -> Iterator[bool]:
    """Hold ``file`` while inside; yields False, at once, when another process holds it."""
    make_private_dir(file.parent)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
