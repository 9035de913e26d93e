"""What the simulated audience did, on disk: the truth that analytics and the inbox are compared with.

``audience.ndjson`` has one line per act, written when it is done: after the mail lies in the mailbox, after the last
request was answered. One process writes, any number read; a last line that is still being written is not there yet.
Who is not in it did nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import NotFound
from aicmo.sandbox.audience.rates import MACHINES

_FILE = "audience.ndjson"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that was done with one message."""

    kind: str
    """The field of ``AudienceRates`` it counts for."""
    recipient: str
    message_id: str
    """Of the message it was done with, with its angle brackets."""
    delay_s: float
    """Seconds since the delivery in the audience's own time; the same for the same seed."""
    at: datetime
    """When it happened by the sandbox's clock, which the scale has shortened."""
    how: str = ""
    """A reply: ``top``, ``below`` or ``bare`` (where the quote stands), ``new subject``; a bounce: whose wording;
    an unsubscribe: ``post``, ``mailto`` or ``words``."""
    link: str = ""
    """A click: what was clicked."""
    asked: tuple[str, ...] = ()
    """The addresses on loopback that answered a request for them, in order: images, links, the one-click address."""
    user_agent: str = ""
    """Of these requests; empty when there was none."""
    answer: str = ""
    """The Message-ID of the mail that it put into INBOX; empty when it wrote none."""

    @property
    def machine(self) -> bool:
        """Whether no person was behind it."""
        return self.kind in MACHINES


class AudienceLog:
    """The writer. It is not buffered: what ``add`` returned for, the operating system has."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self.count = 0
        """Acts recorded since the last ``clear``."""

    def add(self, act: Act) -> None:
        """Record an act. Raises ``OSError`` when the disk will not have it."""
        line = json.dumps({**asdict(act), "at": rfc3339(act.at)}).encode() + b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        self.count += 1

    def clear(self) -> None:
        os.ftruncate(self._file, 0)
        self.count = 0

    def close(self) -> None:
        os.close(self._file)


def read_audience(folder: Path) -> list[Act]:
    """Every act so far, in order. Raises ``NotFound`` when no sandbox with an audience ever wrote to ``folder``."""
    try:
        lines = (folder / _FILE).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        raise NotFound(f"No audience has read its mail in {folder}.") from None
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [Act(**{**row, "at": parse_rfc3339(row["at"]), "asked": tuple(row["asked"])}) for row in rows]
