"""What was changed can be taken back, and what was taken back can be done again, whatever the changes were."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from held import everything
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.errors import IllegalTransition, NotFound
from aicmo.store import Database, changes, contacts, events, next_actions, open_database, people, stages, undoing
from aicmo.store.changes import ChangedPerson
from aicmo.store.contacts import Entry

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def entry(name: str, **known: Any) -> Entry:
    empty = Entry(f"{name}@x.example", f"{name}@x.example", "", "", "", "", "", "x.example", "NEW", {}, frozenset())
    return empty._replace(**known)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "aicmo.db")
    yield database
    database.close()


def add(db: sqlite3.Connection, *entries: Entry) -> list[int]:
    contacts.insert(db, entries, NOW)
    found = contacts.find(db, [each.address for each in entries])
    return [found[each.address][0] for each in entries]


def edit(db: sqlite3.Connection, contact_id: int, **values: Any) -> int:
    """One undoable step."""
    change_id = changes.begin(db, "edit", "Edited somebody", "you", NOW)
    old = contacts.by_id(db, [contact_id])[contact_id]
    new = old._replace(**values)
    contacts.replace(db, [(contact_id, new)], NOW)
    changes.record(db, change_id, [ChangedPerson(contact_id, *changes.difference(old, new))])
    return change_id


def delete(db: sqlite3.Connection, contact_id: int) -> int:
    change_id = changes.begin(db, "delete", "Deleted somebody", "you", NOW)
    changes.record_deleted(db, change_id, [contact_id])
    people.delete(db, [contact_id])
    return change_id


def test_an_edit_is_undone_and_done_again(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada", title="Countess", tags=frozenset({"VIP"}), fields={"city": "London"}))
        before = everything(connection)
        change = edit(connection, ada, title="", tags=frozenset({"trial"}), fields={"city": "Paris", "pet": "cat"})
        after = everything(connection)
        assert undoing.undo(connection, change, "you", NOW).people == 1
        assert everything(connection) == before
        assert undoing.redo(connection, change, "you", NOW).people == 1
        assert everything(connection) == after

    db.write(work)


def test_a_value_that_somebody_changed_since_is_kept_and_named(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        change = edit(connection, ada, title="Countess", company="Engines")
        edit(connection, ada, title="Programmer")
        undone = undoing.undo(connection, change, "you", NOW)
        assert [(kept.field, kept.now, kept.wanted) for kept in undone.kept] == [("title", "Programmer", "")]
        now = contacts.by_id(connection, [ada])[ada]
        assert (now.title, now.company) == ("Programmer", "")

    db.write(work)


def test_somebody_who_was_deleted_comes_back_with_all_that_was_theirs(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ada, _ = add(connection, entry("ada", tags=frozenset({"VIP"})), entry("bob"))
        note = events.add(connection, events.Event(ada, "note", NOW, text="likes engines"))
        stages.move(connection, ada, "ENGAGED", "replied", "inbox", NOW, event_id=note)
        next_actions.set_state(connection, ada, {"next.due": "2026-12-01", "next.text": "call"}, NOW)
        before = everything(connection)
        change = delete(connection, ada)
        assert contacts.get(connection, "ada@x.example") is None
        undoing.undo(connection, change, "you", NOW)
        assert everything(connection) == before
        assert stages.history(connection, ada)[0].event_id == note
        undoing.redo(connection, change, "you", NOW)
        assert contacts.get(connection, "ada@x.example") is None
        undoing.undo(connection, change, "you", NOW)
        assert everything(connection) == before

    db.write(work)


def test_a_number_is_never_given_to_somebody_else_while_its_owner_may_come_back(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        change = delete(connection, ada)
        (bob,) = add(connection, entry("bob"))
        assert bob != ada
        undoing.undo(connection, change, "you", NOW)
        assert {each.email for each in contacts.iterate(connection)} == {"ada@x.example", "bob@x.example"}

    db.write(work)


def test_nobody_comes_back_beside_another_with_the_same_address(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        change = delete(connection, ada)
        add(connection, entry("ada"))
        undone = undoing.undo(connection, change, "you", NOW)
        assert (undone.people, undone.kept[0].field) == (0, "address")

    db.write(work)


def test_undoing_a_step_of_the_lifecycle_leaves_its_own_receipt(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        change = edit(connection, ada, stage="CONVERTED")
        undoing.undo(connection, change, "you", NOW)
        assert [each.to_stage for each in stages.history(connection, ada)] == ["NEW"]
        assert stages.history(connection, ada)[0].change_id == change

    db.write(work)


def test_a_change_is_undone_once(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        change = edit(connection, ada, title="Countess")
        with pytest.raises(IllegalTransition):
            undoing.redo(connection, change, "you", NOW)
        undoing.undo(connection, change, "you", NOW)
        with pytest.raises(IllegalTransition):
            undoing.undo(connection, change, "you", NOW)
        with pytest.raises(NotFound):
            undoing.undo(connection, change + 1, "you", NOW)

    db.write(work)


def test_the_last_two_hundred_steps_can_be_taken_back(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        for number in range(changes.KEPT_STEPS + 20):
            edit(connection, ada, title=str(number))
        steps = 0
        while (step := changes.next_to_undo(connection)) is not None:
            undoing.undo(connection, step.id, "you", NOW)
            steps += 1
        assert steps == changes.KEPT_STEPS
        assert contacts.by_id(connection, [ada])[ada].title == "19"

    db.write(work)


def test_nothing_is_done_again_once_something_else_was_done(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada"))
        change = edit(connection, ada, title="Countess")
        undoing.undo(connection, change, "you", NOW)
        assert (redo := changes.next_to_redo(connection)) is not None and redo.id == change
        edit(connection, ada, company="Engines")
        assert changes.next_to_redo(connection) is None

    db.write(work)


TEXTS = st.sampled_from(["", "a", "b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("title"), st.integers(0, 2), TEXTS),
        st.tuples(st.just("city"), st.integers(0, 2), TEXTS),
        st.tuples(st.just("tag"), st.integers(0, 2), TEXTS),
        st.tuples(st.just("stage"), st.integers(0, 2), st.sampled_from(contacts.STAGES)),
        st.tuples(st.just("delete"), st.integers(0, 2), st.just("")),
    ),
    max_size=12,
)


def do(db: sqlite3.Connection, what: str, contact_id: int, text: str) -> None:
    match what:
        case "title" | "stage":
            edit(db, contact_id, **{what: text})
        case "city":
            edit(db, contact_id, fields={"city": text} if text else {})
        case "tag":
            edit(db, contact_id, tags=frozenset({text} if text else ()))
        case "delete":
            delete(db, contact_id)


class ToldToTheEnd(Exception):
    """Takes a story back with its transaction, so that the next one finds the database empty."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_undoing_everything_leads_back_and_redoing_it_leads_forth_again(
    db: Database, steps: list[tuple[str, int, str]]
) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ids = add(connection, entry("ada"), entry("bob", tags=frozenset({"a"})), entry("cy", fields={"city": "b"}))
        seen = [everything(connection)]
        for what, who, text in steps:
            if not contacts.by_id(connection, [ids[who]]):
                continue
            do(connection, what, ids[who], text)
            seen.append(everything(connection))
        for before in reversed(seen[:-1]):
            step = changes.next_to_undo(connection)
            assert step is not None
            assert undoing.undo(connection, step.id, "you", NOW).kept == ()
            assert everything(connection) == before
        for after in seen[1:]:
            step = changes.next_to_redo(connection)
            assert step is not None
            assert undoing.redo(connection, step.id, "you", NOW).kept == ()
            assert everything(connection) == after
        raise ToldToTheEnd

    with pytest.raises(ToldToTheEnd):
        db.write(work)
