"""Whether this database is still the one that last sent from here, or a copy or a backup of it.

There are two witnesses. Inside stand the computer and the numbers that the file system gave the file: a folder that is
moved or renamed keeps them, a copy has others. And a count of how far it has sent stands inside and also in the
*name* of an empty file beside it, the mark: a backup that is put over the file, or over the whole folder, brings at
most its own older mark, and the newer one stays and says that something is missing. A disk or virtual machine that is
set back as a whole takes both witnesses along; that cannot be told here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import StoreReadOnly
from aicmo.store import meta
from aicmo.store.meta import Identity

MACHINE_ID = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
"""Of systemd and D-Bus: the same for an installation however its host is renamed. Where there is none, only the file's
number tells a copy."""
_FROM_HERE, _BIRTH, _BIRTH_AT = -100, 0x800, 80
"""Of statx(2): AT_FDCWD, STATX_BTIME, and where in its answer the time of birth stands."""
_PLACE = "sender: place"
_STOPPED = "sender: stopped"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was found when campaigns were stopped because of a copy or a backup, and has not been dealt with yet."""

    at: str
    why: str
    """What gave it away; a clause."""
    campaigns: tuple[int, ...]
    """Those that nobody has resumed or cancelled since."""


def finding(db: sqlite3.Connection, database: Path) -> str:
    """What shows that ``database`` was copied or restored since it last sent, as a clause; empty when nothing does."""
    identity, kept = meta.identity(db), meta.told(db, _PLACE)
    mark = max(_marks(database, identity), default=None)
    if kept is None:
        return "more was sent from here than it knows of" if mark else ""
    if kept["machine"] != _machine(identity):
        return "it last sent on another computer"
    if kept["file"] != _file(database):
        return "its file is another one than that which last sent"
    if mark is None:
        return "the mark of what it sent is missing beside it"
    return "more was sent from here than it knows of" if mark > kept["count"] else ""


def last_at(db: sqlite3.Connection, now: datetime) -> datetime:
    """When it last sent; ``now`` when it never has."""
    kept = meta.told(db, _PLACE)
    return parse_rfc3339(kept["at"]) if kept else now


def settle_in(db: sqlite3.Connection, database: Path, now: datetime) -> int:
    """From now on this is the database that sends, and it is a step further; the count for ``leave_mark``.

    Raises ``StoreReadOnly``.
    """
    identity, kept = meta.identity(db), meta.told(db, _PLACE)
    marks = list(_marks(database, identity))
    if kept is None and not marks:
        leave_mark(database, identity, 0)  # else a kill before the first one would look like one that is missing
    count: int = 1 + max([kept["count"] if kept else 0, *marks])
    place = {"machine": _machine(identity), "file": _file(database), "count": count, "at": rfc3339(now)}
    meta.tell(db, _PLACE, place)
    return count


def leave_mark(database: Path, identity: Identity, count: int) -> None:
    """Say beside ``database`` how far it has sent; call it when that is on disk. Raises ``StoreReadOnly``."""
    mark = _mark(database, identity, count)
    try:
        older = [_mark(database, identity, each) for each in _marks(database, identity) if each != count]
        if older:
            older.pop().rename(mark)
        else:
            mark.touch(0o600)
        for each in older:
            each.unlink(missing_ok=True)
    except OSError as error:
        raise StoreReadOnly(
            f"The folder {database.parent} cannot be written: {error.strerror}.",
            hint="Nothing is sent without a mark of it there. Check the folder's rights and its space.",
        ) from error


# --- what was stopped for it, until a person has said that it may go on -----------------------------------------------


def stopped(db: sqlite3.Connection) -> Stopped | None:
    """``None`` when nothing was, or all of it has been dealt with."""
    found = meta.told(db, _STOPPED)
    return Stopped(found["at"], found["why"], tuple(found["campaigns"])) if found and found["campaigns"] else None


def note_stopped(db: sqlite3.Connection, found: Stopped) -> None:
    """Remember ``found``, together with the campaigns that an earlier one has left."""
    earlier = stopped(db)
    left = sorted({*found.campaigns, *(earlier.campaigns if earlier else ())})
    meta.tell(db, _STOPPED, {**asdict(found), "campaigns": left})


def dealt_with(db: sqlite3.Connection, campaign_id: int) -> None:
    """A person has looked at this campaign; harmless when it was not among them."""
    if (found := stopped(db)) is not None and campaign_id in found.campaigns:
        left = [each for each in found.campaigns if each != campaign_id]
        meta.tell(db, _STOPPED, {**asdict(found), "campaigns": left})


# --- inside -----------------------------------------------------------------------------------------------------------


def _file(database: Path) -> list[int]:
    """What the file system calls it. The number alone is soon given to another file, so when that file began to be
    stands beside it, where the system tells. It is not opened: to close it again would free the locks that SQLite holds
    on it (fcntl(2))."""
    told = database.stat()
    born_ns = int(getattr(told, "st_birthtime", 0) * 1e9) or _born_ns(database)
    return [told.st_ino, born_ns]


def _born_ns(path: Path) -> int:
    """By statx(2) of Linux, which Python does not offer; 0 where there is no such call or no answer."""
    import ctypes

    statx = getattr(ctypes.CDLL(None), "statx", None)
    told = ctypes.create_string_buffer(256)
    if statx is None or statx(_FROM_HERE, os.fsencode(path), 0, _BIRTH, told):
        return 0
    (answered,) = struct.unpack_from("I", told)
    seconds, nanoseconds = struct.unpack_from("qI", told, _BIRTH_AT)
    return int(seconds * 10**9 + nanoseconds) if answered & _BIRTH else 0


def _machine(identity: Identity) -> str:
    """This computer, hashed: its own number is nobody else's business (machine-id(5)). Empty where it has none."""
    for path in MACHINE_ID:
        with contextlib.suppress(OSError):
            if number := path.read_bytes().strip():
                return hashlib.blake2b(number, key=identity.secret, digest_size=8).hexdigest()
    return ""


def _mark(database: Path, identity: Identity, count: int) -> Path:
    return database.with_name(f"{database.name}.sent-{identity.instance.hex()}-{count}")


def _marks(database: Path, identity: Identity) -> Iterator[int]:
    """The counts of all marks of this database beside it."""
    stem = _mark(database, identity, 0).name[:-1]
    for path in database.parent.glob(f"{stem}*"):
        if (number := path.name.removeprefix(stem)).isdecimal():
            yield int(number)
