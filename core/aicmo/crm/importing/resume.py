"""Going on with an import that was killed.

How far it came is written in every batch's own transaction, with the file's fingerprint and the options it ran with.
Whoever imports the same file with the same options goes on there, unless somebody still works on it: that is told by a
lock of the operating system's, which dies with its holder, never by a process number.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from aicmo.clock import Clock
from aicmo.crm.importing.counts import ImportCounts
from aicmo.crm.importing.policy import Policies
from aicmo.crm.reading import STDIN
from aicmo.store import Database, changes, imports

ACTOR = "you"


@dataclass(frozen=True, slots=True)
class Job:
    """An import that has been begun."""

    import_id: int
    change_id: int
    source: str
    policies: Policies
    counts: ImportCounts = field(default_factory=ImportCounts)
    """Of the rows before ``rows_read``."""
    rows_read: int = 0
    """What an earlier process had done of it."""

    @property
    def cause(self) -> str:
        return f"import of {self.source}"


class ImportLock:
    """Held by the one process that works on an import; the system frees it however that process ends."""

    def __init__(self, db: Database, import_id: int) -> None:
        self._path = db.path.with_name(f"{db.path.name}.import-{import_id}")
        self._handle = -1

    def acquire(self) -> bool:
        """At once; False when another process, or another import in this one, holds it."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def release(self, *, remove: bool = False) -> None:
        """``remove``: nobody will work on that import again."""
        if remove:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        os.close(self._handle)


def is_under_way(db: Database, import_id: int) -> bool:
    """Whether somebody works on it now."""
    lock = ImportLock(db, import_id)
    if not lock.acquire():
        return True
    lock.release(remove=True)
    return False


def fingerprint_of(source: Path | BinaryIO) -> str:
    """Of all the bytes of a file, so that it is known again; empty for a stream, which nobody can read again."""
    if not isinstance(source, Path) or source == STDIN or not source.is_file():
        return ""
    with source.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def options_text(mapping: Mapping[str, str], policies: Policies, tags: Iterable[str], encoding: str | None) -> str:
    """What else decides what an import does; equal options are equal text."""
    said = {"mapping": dict(mapping), "policy": policies.as_dict(), "tags": sorted(tags), "encoding": encoding}
    return json.dumps(said, ensure_ascii=False, sort_keys=True)


def begin(
    db: Database, source: str, policies: Policies, fingerprint: str, options: str, clock: Clock
) -> tuple[Job, ImportLock]:
    """A new import, and its lock, taken before anybody else can see it."""

    def work(connection: sqlite3.Connection) -> tuple[Job, ImportLock]:
        now = clock.now()
        change_id = changes.begin(connection, "import", f"Import of {source}", ACTOR, now)
        import_id = imports.begin(connection, source, change_id, now, fingerprint=fingerprint, options=options)
        lock = ImportLock(db, import_id)
        lock.acquire()
        return Job(import_id, change_id, source, policies), lock

    return db.write(work)


def interrupted(
    db: Database, source: str, policies: Policies, fingerprint: str, options: str
) -> tuple[Job, ImportLock] | None:
    """The import to go on with, if there is one that nobody works on."""
    if not fingerprint:
        return None
    for number in [each.id for each in db.read(lambda c: imports.unfinished(c, fingerprint, options))]:
        lock = ImportLock(db, number)
        if not lock.acquire():
            continue
        left = db.read(functools.partial(imports.get, import_id=number))  # as its last holder left it
        if left.status == "running" and left.change_id is not None:
            counts = ImportCounts.from_stored(left.counts)
            return Job(left.id, left.change_id, source, policies, counts, left.rows_read), lock
        lock.release()
    return None
