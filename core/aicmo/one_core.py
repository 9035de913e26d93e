"""Keep a process that has only one thing to do on one processor core.

Python lets one thread run at a time, so a sender's event loop and its writing thread gain nothing from a second core:
they only carry the interpreter's lock, and each other's memory, from core to core, several times a message. On one core
a campaign goes out a sixth faster and costs a sixth less processor time. Not for the app, where a scan of the store may
well run beside the screen.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STAT = Path("/proc/thread-self/stat")
_PROCESSOR = 36
"""Where, among what follows the name there, stands the core a thread last ran on (proc(5))."""


@contextmanager
def on_one_core() -> Iterator[None]:
    """Hold all threads of this process, and those begun meanwhile, on the core that the caller runs on.

    Where the system has no way to ask for that (it is not Linux, or hides or forbids it), nothing is done.
    """
    if sys.platform != "linux" or not _STAT.exists():
        yield
        return
    allowed = os.sched_getaffinity(0)
    here = int(_STAT.read_text().rpartition(")")[2].split()[_PROCESSOR])
    try:
        _hold_on({here})
        yield
    finally:
        _hold_on(allowed)


def _hold_on(cores: set[int]) -> None:
    for thread in threading.enumerate():
        if thread.native_id is not None:
            with suppress(OSError):  # it has just ended, or a container forbids it
                os.sched_setaffinity(thread.native_id, cores)
