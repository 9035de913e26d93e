"""The schema of ``aicmo.db``, as the steps that built it.

Append-only: a step that has been released is never edited. Each runs in one transaction with its own record. Before the
first step touches a database that already holds something, the file is copied beside itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import StoreDamaged, StoreNewer
from aicmo.paths import make_private
from aicmo.store import bulk
from aicmo.store.database import Database, connect, create_private_file, translated
from aicmo.store.steps.first_campaign import FIRST_CAMPAIGN
from aicmo.store.steps.people import PEOPLE
from aicmo.store.steps.sending import SENDING

if TYPE_CHECKING:
    from sqlite_utils import Migrations
    from sqlite_utils.db import Database as SqliteUtilsDatabase

APPLICATION_ID = 0x41494D4F
"""``AIMO`` in the file's header: tells our database from any other."""
SCHEMA_VERSION = 3
"""How many steps there are; also kept in the file as ``user_version``, so that opening an up-to-date file is cheap."""


def open_database(path: Path, *, rehearsal: bool = False, clock: Clock = SYSTEM_CLOCK) -> Database:
    """Open ``path``, creating or migrating it first if need be. ``rehearsal``: see ``Database``.

    Raises ``StoreNewer``, ``StoreReadOnly``, ``StoreDamaged`` or ``StoreLocked``; the file is then as it was.
    """
    create_private_file(path)
    with translated(path), contextlib.closing(connect(path)) as connection:
        if _version(connection, path) < SCHEMA_VERSION:
            with _only_one_migrates(path):
                _migrate(connection, path, clock.now())
        bulk.complete_after_a_kill(connection)
    return Database(path, rehearsal=rehearsal)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreNewer(
            f"{path} was written by a newer AICMO (schema {version}; this program knows {SCHEMA_VERSION}).",
            hint="Nothing was changed. Upgrade this program, or name another folder with --data-dir.",
        )
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and mark != APPLICATION_ID:
        raise StoreDamaged(
            f"{path} is not an AICMO database.", hint="Nothing was changed. Name another folder with --data-dir."
        )
    return version


@contextlib.contextmanager
def _only_one_migrates(path: Path) -> Iterator[None]:
    """Held by the operating system, so that two programs started together migrate once."""
    lock = path.with_name(path.name + ".migrating")
    with lock.open("a") as handle:
        make_private(lock)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _migrate(connection: sqlite3.Connection, path: Path, now: datetime) -> None:
    from sqlite_utils import Database as SqliteUtilsDatabase

    version = _version(connection, path)
    if version == SCHEMA_VERSION:  # another program was faster
        return
    connection.execute("PRAGMA journal_mode=WAL")
    if version > 0:
        copy = path.with_name(f"{path.name}.schema-{version}.{now:%Y%m%dT%H%M%S}")
        connection.execute("VACUUM INTO ?", (str(copy),))
        make_private(copy)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    _steps().apply(SqliteUtilsDatabase(connection))
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _steps() -> Migrations:
    from sqlite_utils import Migrations

    steps = Migrations("aicmo")

    @steps()
    def first_campaign(db: SqliteUtilsDatabase) -> None:
        for statement in FIRST_CAMPAIGN:
            db.execute(statement)
        db.execute(
            "INSERT INTO meta VALUES ('secret', ?), ('instance', ?)", [secrets.token_bytes(32), secrets.token_bytes(8)]
        )

    @steps()
    def people(db: SqliteUtilsDatabase) -> None:
        for statement in PEOPLE:
            db.execute(statement)

    @steps()
    def sending(db: SqliteUtilsDatabase) -> None:
        for statement in SENDING:
            db.execute(statement)

    return steps
