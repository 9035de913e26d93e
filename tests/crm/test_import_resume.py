"""An import that was killed is gone on with, and leaves what an uninterrupted one would have left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from aicmo.crm import CRMRepository, ImportResult
from aicmo.crm.importing.resume import ImportLock
from aicmo.crm.imports import Imports
from aicmo.store import Database, open_database
from bench.import_kill import kill_many

Import = Callable[..., ImportResult]

PEOPLE = "email,tags\n" + "".join(f"p{n}@x.example,t{n}\n" if n % 4 else f"nobody {n},\n" for n in range(40))


class PowerCut(BaseException):
    """Nothing of ours catches it."""


@pytest.fixture
def cut(db: Database, imported: Import, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Import until so many batches of ten rows are in, and leave everything as a killed process does."""

    def run(batches: int, content: str = PEOPLE, **options: object) -> None:
        left = [batches]

        def progress(_: object) -> None:
            left[0] -= 1
            if not left[0]:
                raise PowerCut

        with monkeypatch.context() as patch, pytest.raises(PowerCut):
            patch.setattr("aicmo.crm.importing.target.StoreTarget.end", lambda *_: None)
            imported(content, progress=progress, batch_rows=10, **options)

    return run


def test_a_killed_import_is_gone_on_with_and_says_so(
    db: Database, crm: CRMRepository, imported: Import, cut: Callable[..., None]
) -> None:
    cut(2)
    assert Imports(db).list()[0].state == "interrupted"
    there = crm.count()
    result = imported(PEOPLE, batch_rows=7)  # where the batches end does not matter
    assert (result.import_id, result.resumed_at, there) == (1, 20, 15)
    assert result.warnings == ("An import of this file was interrupted; it went on behind row 20.",)
    assert result.counts.as_dict() == {
        "rows": 40, "created": 30, "updated": 0, "unchanged": 0, "skipped": 0, "rejected": 10,
    }  # fmt: skip
    assert result.reasons == {"no @": 10}
    assert [each.state for each in Imports(db).list()] == ["done"]


@pytest.mark.parametrize("options", [{"policy": "overwrite"}, {"tags": ["x"]}, {"from_start": True}])
def test_with_other_options_it_begins_anew(
    imported: Import, cut: Callable[..., None], options: dict[str, object]
) -> None:
    cut(2)
    result = imported(PEOPLE, **options)
    assert (result.import_id, result.resumed_at) == (2, 0)


def test_another_file_of_that_name_begins_anew(imported: Import, cut: Callable[..., None]) -> None:
    cut(2)
    assert imported(PEOPLE.replace("p39", "p3x")).resumed_at == 0


def test_what_somebody_still_works_on_is_left_to_them(db: Database, imported: Import, cut: Callable[..., None]) -> None:
    cut(2)
    lock = ImportLock(db, 1)
    assert lock.acquire()
    assert imported(PEOPLE).import_id == 2
    lock.release()


def test_no_lock_is_left_behind(db: Database, imported: Import, cut: Callable[..., None]) -> None:
    cut(1)
    imported(PEOPLE)
    assert [each.name for each in db.path.parent.glob("*import*")] == []


def indexes(db: Database) -> set[str]:
    return db.read(lambda c: {row[0] for row in c.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'contact'")})


def test_what_a_first_import_sets_aside_comes_back_when_it_ends(db: Database, imported: Import) -> None:
    whole = indexes(db)
    within: list[set[str]] = []
    imported(PEOPLE, progress=lambda _: within.append(indexes(db)), batch_rows=10)
    assert whole - within[0] == {"contact_domain"}, "the trigger of the full text index is never seen to be gone"
    assert indexes(db) == whole
    imported(PEOPLE.replace("@x", "@y"), progress=lambda _: within.append(indexes(db)))
    assert within[-1] == whole, "only a first import does without it"


def test_a_store_whose_first_import_was_killed_is_whole_when_it_is_opened_again(
    db: Database, cut: Callable[..., None]
) -> None:
    whole = indexes(db)
    cut(2)
    assert indexes(db) < whole
    with closing(sqlite3.connect(db.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        open_database(db.path).close()  # somebody writes: nobody waits for them
        other.execute("ROLLBACK")
    assert indexes(db) < whole
    open_database(db.path).close()
    assert indexes(db) == whole


def test_whoever_came_in_is_found_by_every_word(db: Database, imported: Import, cut: Callable[..., None]) -> None:
    def check(connection: sqlite3.Connection) -> list[int]:
        connection.execute("INSERT INTO contact_fts (contact_fts, rank) VALUES ('integrity-check', 1)")
        return [row[0] for row in connection.execute("SELECT rowid FROM contact_fts WHERE contact_fts MATCH 'example'")]

    cut(2)
    assert len(db.write(check)) == 15
    imported(PEOPLE)
    imported(PEOPLE.replace("@x", "@y"), batch_rows=1)
    assert len(db.write(check)) == 60


def test_kill_9_anywhere_leaves_what_an_uninterrupted_run_leaves() -> None:
    killed = kill_many(5, seed=(seed := 20261122))
    assert [each.differences for each in killed] == [()] * 5, f"seed {seed}"
    assert any(each.resumed_at for each in killed), "no kill fell into an import"
