"""An import can be taken back: whom it created and what it changed, but for what changed since."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.clock import SYSTEM_CLOCK
from aicmo.crm import CRMRepository, ImportResult
from aicmo.crm.importing import POLICIES
from aicmo.crm.importing.resume import ImportLock
from aicmo.crm.imports import Imports
from aicmo.errors import IllegalTransition, NotFound
from aicmo.store import Database, changes, imports, open_database, people, suppressions, undoing
from aicmo.store.events import Event

Import = Callable[..., ImportResult]

BEFORE = "email,first_name,company,stage,tags\nann@x.example,Ann,,NEW,old\nbob@x.example,Bob,Bolt,NEW,\n"
ROWS = (
    "email,first_name,company,stage,tags\nann@x.example,Anna,Acme,ENGAGED,vip\nnew@x.example,New,,VERIFIED,vip\n"
    "new@x.example,,Nova,,\nbob@x.example,Bob,Bolt,,\n"
)


def everything(db: Database) -> str:
    """All that is held about anybody, but for when it was touched and the receipts of going to and fro."""

    def told(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        images = []
        for row in connection.execute("SELECT id FROM contact ORDER BY id").fetchall():
            image = people.image(connection, row["id"])
            image.pop("stage_change", None)
            del image["contact"][0]["updated_at"]
            images.append(image)
        names = connection.execute("SELECT name FROM tag ORDER BY key").fetchall()
        found = connection.execute("SELECT rowid FROM contact_fts WHERE contact_fts MATCH 'example' ORDER BY 1")
        return [*images, {"tag": [row[0] for row in names], "found": [row[0] for row in found]}]

    return json.dumps(db.read(told), sort_keys=True)


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_an_import_is_undone_creates_and_updates_alike(
    db: Database, crm: CRMRepository, imported: Import, batch_rows: int
) -> None:
    imported(BEFORE)
    before = everything(db)
    result = imported(ROWS, policy="overwrite", batch_rows=batch_rows)
    assert (crm.count(), crm.get("ann@x.example").company) == (3, "Acme")
    assert result.import_id is not None
    undone = Imports(db).undo(result.import_id)
    assert (undone.people, undone.kept) == (2, ())
    assert everything(db) == before
    assert [each.state for each in Imports(db).list()] == ["undone", "done"]
    assert imported(ROWS, policy="overwrite").counts == result.counts


def test_undo_without_a_number_takes_an_import_back_like_any_change(
    db: Database, crm: CRMRepository, imported: Import
) -> None:
    imported(BEFORE)
    before = everything(db)
    imported(ROWS, policy="overwrite")
    now = SYSTEM_CLOCK.now()
    last = db.read(changes.next_to_undo)
    assert last is not None
    assert last.summary == "Imported people.csv: 1 created, 2 updated"
    db.write(lambda c: undoing.undo(c, last.id, "you", now))
    assert everything(db) == before
    assert Imports(db).list()[0].state == "undone"
    with pytest.raises(IllegalTransition, match="not done again by itself"):
        db.write(lambda c: undoing.redo(c, last.id, "you", now))


def test_what_changed_since_stays_and_is_named(db: Database, crm: CRMRepository, imported: Import) -> None:
    imported(BEFORE)
    result = imported(ROWS + "eve@x.example,Eve,,,\nfay@x.example,Fay,,,\ngus@x.example,Gus,,,\n", policy="overwrite")
    assert result.import_id is not None
    crm.edit_all("ann@x.example", {"company": "Apex"})
    crm.edit_all("eve@x.example", {"title": "Head"})
    fay = crm.get("fay@x.example").id
    crm.record_event(Event(fay, "note", SYSTEM_CLOCK.now(), text="called"))
    crm.edit_all("gus@x.example", {"title": "Head"})
    edited = db.read(changes.next_to_undo)
    assert edited is not None
    db.write(lambda c: undoing.undo(c, edited.id, "you", SYSTEM_CLOCK.now()))  # as if nothing had happened to Gus
    undone = Imports(db).undo(result.import_id)
    assert sorted((each.email, each.field) for each in undone.kept) == [
        ("ann@x.example", "company"),
        ("eve@x.example", "title"),
        ("fay@x.example", "event"),
    ]
    assert [each.email for each in crm.list()] == ["ann@x.example", "bob@x.example", "eve@x.example", "fay@x.example"]
    ann = crm.get("ann@x.example")
    assert (ann.company, ann.first_name, ann.stage, ann.tags) == ("Apex", "Ann", "NEW", ("old",))


def test_of_many_who_stay_the_first_are_named_and_the_others_counted(
    db: Database, crm: CRMRepository, imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "NAMED_STAYING", 2)
    result = imported("email\n" + "".join(f"p{n}@x.example\n" for n in range(5)))
    assert result.import_id is not None
    crm.edit_all("", {"title": "Head"})
    undone = Imports(db).undo(result.import_id)
    assert (undone.people, len(undone.kept), undone.unnamed, crm.count()) == (0, 2, 3, 5)


def test_whoever_a_later_import_changed_stays(db: Database, crm: CRMRepository, imported: Import) -> None:
    first = imported("email,phone\nann@x.example,\nbob@x.example,\n")
    imported("email,phone\nann@x.example,12\n")
    assert first.import_id is not None
    assert [each.field for each in Imports(db).undo(first.import_id).kept] == ["phone"]
    assert [each.email for each in crm.list()] == ["ann@x.example"]


def test_an_opt_out_outlives_the_undo_of_its_import(db: Database, imported: Import) -> None:
    result = imported("email,status\nann@x.example,unsubscribed\n")
    assert result.import_id is not None
    Imports(db).undo(result.import_id)
    assert db.read(lambda c: suppressions.reason_for(c, "ann@x.example")) == "unsubscribed"


def test_an_import_that_runs_cannot_be_undone_and_one_that_was_killed_can(
    db: Database, crm: CRMRepository, imported: Import
) -> None:
    result = imported(BEFORE)
    assert result.import_id is not None
    db.write(lambda c: c.execute("UPDATE import SET status = 'running', finished_at = NULL"))
    lock = ImportLock(db, result.import_id)
    assert lock.acquire()
    assert Imports(db).get(result.import_id).state == "running"
    with pytest.raises(IllegalTransition, match="is running"):
        Imports(db).undo(result.import_id)
    last = db.read(changes.next_to_undo)
    assert last is not None
    with pytest.raises(IllegalTransition, match="is not finished"):
        db.write(lambda c: undoing.undo(c, last.id, "you", SYSTEM_CLOCK.now()))
    lock.release()
    assert Imports(db).get(result.import_id).state == "interrupted"
    assert Imports(db).undo(result.import_id).people == 2
    assert crm.count() == 0
    with pytest.raises(IllegalTransition, match="undone already"):
        Imports(db).undo(result.import_id)
    with pytest.raises(NotFound):
        Imports(db).undo(99)


rows = st.lists(
    st.tuples(
        st.sampled_from(["a@x.example", "A@X.example", "b@x.example", "c@y.example", "d@y.example", "nobody"]),
        st.sampled_from(["", "Ann", "Bob"]),
        st.sampled_from(["", "vip", "VIP;press"]),
        st.sampled_from(["", "ENGAGED", "NEW", "DISQUALIFIED"]),
        st.sampled_from(["", "Rome", "Bonn"]),
    ),
    max_size=10,
)


def as_csv(table: list[tuple[str, ...]]) -> bytes:
    return "\n".join(map(",".join, [("email", "first_name", "tags", "stage", "city"), *table])).encode()


@settings(max_examples=25, deadline=None)
@given(first=rows, second=rows, policy=st.sampled_from(POLICIES), batch=st.integers(1, 5))
def test_an_import_and_its_undo_change_nothing_and_a_second_import_neither(
    first: list[tuple[str, ...]], second: list[tuple[str, ...]], policy: str, batch: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(open_database(Path(folder) / "aicmo.db")) as db:
        crm = CRMRepository(db)
        crm.import_file(io.BytesIO(as_csv(first)))
        before = everything(db)
        result = crm.import_file(io.BytesIO(as_csv(second)), policy=policy, batch_rows=batch)
        after = everything(db)
        if len({row[0].lower() for row in second}) == len(second):
            assert crm.import_file(io.BytesIO(as_csv(second)), policy=policy).counts.updated == 0
            assert everything(db) == after
        assert result.import_id is not None
        assert Imports(db).undo(result.import_id).kept == ()
        assert everything(db) == before
