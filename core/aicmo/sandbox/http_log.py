"""What the HTTP servers handled, on disk: the truth that budgets, ledgers and at-most-once are compared with.

``http.ndjson`` has one line per request that was read to its end, written before any byte of its answer leaves, so a
client that was cut off finds here what became of its request. One process writes, any number read; a last line that is
still being written is not there yet. Keys are never in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import NotFound

_FILE = "http.ndjson"


@dataclass(frozen=True, slots=True)
class Handled:
    """One request."""

    server: str
    method: str
    path: str
    """Decoded, without its query."""
    at: datetime
    status: int
    """What the provider itself answered; 0 when a fault at ``request`` came before it."""
    effect: str = ""
    """What changed: ``matched``, ``enriched``, ``submitted``, ``created``, ``updated``, ``upserted``, ``deleted``,
    ``posted``. Empty when nothing did: a read, a miss, a refusal."""
    on: tuple[str, ...] = ()
    """The ids that the effect was on: people, a job, records."""
    credits: int = 0
    """How many it took; negative when it gave some back. Their sum is what was spent."""
    fault: str = ""
    """``phase action`` of what went wrong on purpose; empty when the client got the provider's answer."""
    body: str = ""
    """What was posted, for the webhook and the site only."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Names in lower case, for the webhook and the site only and without its credentials."""


class HttpLog:
    """The writer. It is not buffered: what ``add`` returned for, the operating system has."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def add(self, handled: Handled) -> None:
        """Record a request. Raises ``OSError`` when the disk will not have it."""
        line = json.dumps({**asdict(handled), "at": rfc3339(handled.at)}).encode() + b"\n"
        while line:
            line = line[os.write(self._file, line) :]

    def clear(self) -> None:
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        os.close(self._file)


def read_http_log(folder: Path) -> list[Handled]:
    """Every request handled so far, in order. Raises ``NotFound`` when no sandbox ever wrote to ``folder``."""
    try:
        lines = (folder / _FILE).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        raise NotFound(f"No sandbox has kept its requests in {folder}.") from None
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [Handled(**{**row, "at": parse_rfc3339(row["at"]), "on": tuple(row["on"])}) for row in rows]
