"""The file itself: opened, migrated, refused; written by one thread, many at a time."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from aicmo.errors import StoreDamaged, StoreError, StoreLocked, StoreNewer, StoreReadOnly
from aicmo.store import Database, database, open_database
from aicmo.store.database import create_private_file
from aicmo.store.migrations import SCHEMA_VERSION


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database that was created and closed again."""
    path = tmp_path / "data" / "aicmo.db"
    open_database(path).close()
    return path


@pytest.fixture
def db(file: Path) -> Iterator[Database]:
    opened = open_database(file)
    yield opened
    opened.close()


def test_what_is_created_is_for_its_owner_alone(file: Path) -> None:
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert {each.name: each.stat().st_mode & 0o777 for each in file.parent.iterdir()} == {
        "aicmo.db": 0o600,
        "aicmo.db.migrating": 0o600,
    }


def test_a_file_that_others_could_read_is_closed_to_them(file: Path) -> None:
    file.chmod(0o644)
    open_database(file).close()
    assert file.stat().st_mode & 0o777 == 0o600


ASK_FROM_OUTSIDE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=0) as db:
    db.execute("BEGIN IMMEDIATE")
"""


def test_opening_it_once_more_leaves_the_locks_that_are_held_on_it(tmp_path: Path) -> None:
    """POSIX drops all locks that a process has on a file when it closes any descriptor of it."""
    file = tmp_path / "data" / "aicmo.db"
    create_private_file(file)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        create_private_file(file)
        asked = subprocess.run([sys.executable, "-c", ASK_FROM_OUTSIDE, file], capture_output=True, text=True)
        assert "database is locked" in asked.stderr


def test_a_link_to_where_nothing_is_yet_is_followed(tmp_path: Path) -> None:
    link, target = tmp_path / "aicmo.db", tmp_path / "elsewhere.db"
    link.symlink_to(target)
    create_private_file(link)
    assert target.is_file() and target.stat().st_mode & 0o777 == 0o600


def test_all_tables_are_strict_and_referenced(db: Database) -> None:
    tables = db.read(
        lambda each: each.execute(
            """SELECT name, strict FROM pragma_table_list
               WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_sqlite_*'"""
        ).fetchall()
    )
    assert tables and all(row["strict"] for row in tables if not row["name"].startswith("contact_fts"))
    assert db.read(lambda each: each.execute("PRAGMA foreign_keys").fetchone()[0]) == 1


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()


def read_only(path: Path) -> None:
    path.chmod(0o400)


def damaged(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def torn(path: Path) -> None:
    """The header survives, the pages behind it do not."""
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))


def a_stranger(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (newer, StoreNewer),
        (read_only, StoreReadOnly),
        (damaged, StoreDamaged),
        (torn, StoreDamaged),
        (a_stranger, StoreDamaged),
    ],
)
def test_a_database_that_cannot_be_used_gives_one_sentence_and_stays_as_it_is(
    file: Path, harm: object, error: type[StoreError]
) -> None:
    harm(file)  # type: ignore[operator]
    before = file.read_bytes()
    with pytest.raises(error) as told:
        open_database(file)
    assert str(file) in told.value.message and told.value.hint
    assert file.read_bytes() == before


def test_a_locked_database_says_so_and_that_trying_again_helps(
    file: Path, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreLocked) as told:
            db.write(lambda each: each.execute("DELETE FROM contact"))
        assert told.value.retryable
        assert db.read(lambda each: each.execute("SELECT count(*) FROM contact").fetchone()[0]) == 0
    finally:
        other.rollback()
        other.close()
    db.write(lambda each: each.execute("DELETE FROM contact"))


def test_an_older_database_is_copied_before_it_is_migrated(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aicmo.store import migrations

    opened = open_database(file)
    opened.write(lambda each: each.execute("INSERT INTO tag (key, name) VALUES ('vip', 'vip')"))
    opened.close()
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    open_database(file).close()
    (copy,) = file.parent.glob("aicmo.db.schema-*")
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT name FROM tag").fetchall() == [("vip",)]
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    connection.close()


def test_two_programs_that_start_together_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "aicmo.db"
    code = "import sys, pathlib, aicmo.store as s; s.open_database(pathlib.Path(sys.argv[1])).close()"
    started = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]
    assert [each.wait() for each in started] == [0] * 4
    open_database(path).close()


def test_one_failing_write_undoes_only_itself(db: Database) -> None:
    gate = threading.Event()
    waiting = db.submit(lambda _: gate.wait())  # holds the writer, so that the next ones share a commit

    def insert(name: str) -> database.Work[int]:
        return lambda each: each.execute("INSERT INTO tag (key, name) VALUES (?, ?)", (name, name)).rowcount

    def breaks(each: sqlite3.Connection) -> None:
        insert("lost")(each)
        raise ValueError("no")

    good, bad, late = db.submit(insert("a")), db.submit(breaks), db.submit(insert("b"))
    gate.set()
    waiting.result()
    assert (good.result(), late.result()) == (1, 1)
    with pytest.raises(ValueError, match="no"):
        bad.result()
    assert [row[0] for row in db.read(lambda each: each.execute("SELECT name FROM tag ORDER BY name").fetchall())] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), StopIteration()])
def test_whatever_a_write_raises_reaches_its_caller_and_the_next_one_is_written(
    db: Database, error: BaseException
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO tag (key, name) VALUES ('lost', 'lost')")
        raise error

    with pytest.raises(type(error)):
        db.submit(fail).result(timeout=30)
    db.submit(lambda each: each.execute("INSERT INTO tag (key, name) VALUES ('vip', 'vip')")).result(timeout=30)
    assert [row["name"] for row in db.read(lambda each: each.execute("SELECT name FROM tag").fetchall())] == ["vip"]


async def test_whatever_a_write_raises_reaches_a_coroutine(db: Database) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"), anyio.fail_after(30):
        await db.awrite(fail)


def test_a_database_that_cannot_be_opened_for_any_reason_refuses_the_write(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = open_database(file)

    def fail(path: Path) -> sqlite3.Connection:
        raise MemoryError

    monkeypatch.setattr(database, "connect", fail)
    with pytest.raises(MemoryError):
        db.submit(lambda each: None).result(timeout=30)
    db.close()


def test_a_reading_connection_cannot_write(db: Database) -> None:
    from aicmo.errors import AicmoError

    with pytest.raises(AicmoError):
        db.read(lambda each: each.execute("DELETE FROM tag"))


def test_what_was_queued_is_written_when_the_database_is_closed(file: Path) -> None:
    opened = open_database(file)
    for number in range(300):
        opened.submit(
            lambda each, n=number: each.execute("INSERT INTO tag (key, name) VALUES (?, ?)", (str(n), str(n)))  # type: ignore[misc]
        )
    opened.close()
    opened.close()
    again = open_database(file)
    assert again.read(lambda each: each.execute("SELECT count(*) FROM tag").fetchone()[0]) == 300
    again.close()
    with pytest.raises(StoreError):
        opened.submit(lambda each: None)
