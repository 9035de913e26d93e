"""What the SMTP servers accepted, on disk: the truth that a ledger is compared with.

A folder holds ``mail.ndjson``, one line per message, and ``mail.raw``, the messages end to end as they were received.
A message is in both before its ``250`` leaves, so a killed client finds here what it never heard of. One process
writes, any number read; a last line that is still being written is not there yet.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aicmo.clock import SYSTEM_CLOCK, Clock, parse_rfc3339, rfc3339
from aicmo.errors import NotFound

_INDEX = "mail.ndjson"
_RAW = "mail.raw"
# A folded Message-ID stands on the line after its name (RFC 5322 2.2.3).
_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message."""

    server: str
    queue_id: str
    """What the ``250`` named, unique in its folder."""
    at: datetime
    mail_from: str
    """The envelope's sender; empty for ``<>``."""
    rcpt_to: tuple[str, ...]
    message_id: str
    """With its angle brackets; empty when the message has none."""
    peer_port: int
    """The client's port: the same for two messages over one connection."""
    size: int
    """Bytes, without the dots of transparency and the final one."""
    offset: int
    folder: Path

    @property
    def raw(self) -> bytes:
        """The message as it was received, read from the disk at each call."""
        with open(self.folder / _RAW, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class MailLog:
    """The writer. It is not buffered: what ``add`` returned for, the operating system has."""

    def __init__(self, folder: Path, *, clock: Clock = SYSTEM_CLOCK, added: Callable[[], None] = lambda: None) -> None:
        """``added`` is called after each message; it must cost nothing, for the client is still waiting."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._clock = clock
        self._added = added
        self._raw = os.open(folder / _RAW, flags, 0o600)
        self._index = os.open(folder / _INDEX, flags, 0o600)
        self.count = 0
        """Messages recorded since the last ``clear``."""
        self._serial = 0

    def add(self, server: str, mail_from: str, rcpt_to: Sequence[str], peer_port: int, content: bytes) -> str:
        """Record a message; returns its queue id. Raises ``OSError`` when the disk will not have it."""
        self._serial += 1
        found = _MESSAGE_ID.search(content[: content.find(b"\r\n\r\n") + 1 or None])
        line = {
            "server": server,
            "queue_id": f"{self._serial:08x}",
            "at": rfc3339(self._clock.now()),
            "mail_from": mail_from,
            "rcpt_to": rcpt_to,
            "message_id": found[1].strip().decode("utf-8", "replace") if found else "",
            "peer_port": peer_port,
            "size": len(content),
            "offset": os.lseek(self._raw, 0, os.SEEK_END),
        }
        _write(self._raw, content)
        _write(self._index, json.dumps(line).encode() + b"\n")
        self.count += 1
        self._added()
        return f"{self._serial:08x}"

    def clear(self) -> None:
        """Forget every message; queue ids go on counting."""
        os.ftruncate(self._index, 0)
        os.ftruncate(self._raw, 0)
        self.count = 0

    def close(self) -> None:
        os.close(self._raw)
        os.close(self._index)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def read_mail(folder: Path) -> list[Received]:
    """Every message accepted so far, in order. Raises ``NotFound`` when no sandbox ever wrote to ``folder``."""
    try:
        lines = (folder / _INDEX).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        raise NotFound(f"No sandbox has kept its mail in {folder}.") from None
    return [_parsed(line, folder) for line in lines]


class MailFollower:
    """Reads the log beside its writer: what is new since the last look, or what was at a place."""

    def __init__(self, folder: Path) -> None:
        """Raises ``FileNotFoundError`` when nothing ever wrote to ``folder``."""
        self._folder = folder
        self._index = open(folder / _INDEX, "rb")  # noqa: SIM115
        self._read_to = 0

    def next(self, limit: int) -> list[tuple[int, Received]]:
        """At most ``limit`` messages that were not read yet, in order, each with its place; empty at the end."""
        found: list[tuple[int, Received]] = []
        self._index.seek(self._read_to)
        while len(found) < limit and (line := self._index.readline()).endswith(b"\n"):
            found.append((self._read_to, _parsed(line, self._folder)))
            self._read_to += len(line)
        return found

    def at(self, place: int) -> Received:
        """The message at a place that ``next`` gave."""
        self._index.seek(place)
        return _parsed(self._index.readline(), self._folder)

    def rewind(self) -> None:
        """Begin again, as after ``MailLog.clear``."""
        self._index.close()
        self._index = open(self._folder / _INDEX, "rb")  # noqa: SIM115  # The old one still holds what it read ahead.
        self._read_to = 0

    def close(self) -> None:
        self._index.close()


def _parsed(line: bytes, folder: Path) -> Received:
    row = json.loads(line)
    row["at"] = parse_rfc3339(row["at"])
    row["rcpt_to"] = tuple(row["rcpt_to"])
    return Received(**row, folder=folder)
