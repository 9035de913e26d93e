"""Undo and redo: a change taken back, or done again.

Undoing puts back what the change found, but only where what it left still stands: a value that somebody changed since
is theirs, and is named instead of overwritten. Redoing is the same the other way round.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aicmo.clock import rfc3339
from aicmo.errors import IllegalTransition, VerbHint
from aicmo.store import changes, contacts, imports, next_actions, notes, people, stages
from aicmo.store.changes import IMAGE, INTO, MOVED, Change, state_of, with_state
from aicmo.store.contacts import Entry
from aicmo.store.people import Shape

TAKEN = "somebody else's"
"""What an address is now that another person has it, so that whoever had it cannot be brought back."""
_PEOPLE_AT_ONCE = 500
_Row = tuple[int, dict[str, Any] | None, dict[str, Any] | None]
"""A person, what the change found and what it left."""


class Kept(NamedTuple):
    """A value that was left alone, because it is not what the change had made it."""

    contact_id: int
    email: str
    """Empty when the person is gone."""
    field: str
    now: str
    wanted: str
    stays: bool = False
    """The person would have been taken away, and stays because of what came since: ``field`` names it."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """What came of an undo or a redo."""

    change: Change
    people: int
    """Whom it changed."""
    kept: tuple[Kept, ...]
    unnamed: int = 0
    """People beside those in ``kept`` whom the undo of an import left, because something happened to them since."""


def undo(db: sqlite3.Connection, change_id: int, actor: str, now: datetime) -> Reverted:
    """Take a change back. Raises ``NotFound``, or ``IllegalTransition`` when it is undone already, or was a merge into
    somebody who was taken away since: what was merged lies with another now."""
    change = changes.get(db, change_id)
    if change.undone_at:
        again = "Import its file again." if change.kind == "import" else VerbHint("Redo it", f"redo {change_id}")
        raise IllegalTransition(f"Change {change_id} is undone already.", hint=again)
    if change.kind == "merge":
        _refuse_without_survivors(db, change_id)
    imported = imports.of_change(db, change_id)
    if imported is not None and imported.status == "running":
        raise IllegalTransition(
            f"Import {imported.id} is not finished.",
            hint=VerbHint("Stop it, or take back its part", f"import undo {imported.id}"),
        )
    done = _turn(db, change, f"undone: {change.phrase}", actor, now, forwards=False)
    if imported is not None:
        done = _without_whom_it_created(db, imported.id, done, now)
    db.execute("UPDATE change SET undone_at = ? WHERE id = ?", (rfc3339(now), change_id))
    return done


def redo(db: sqlite3.Connection, change_id: int, actor: str, now: datetime) -> Reverted:
    """Do an undone change again. Raises ``NotFound``, or ``IllegalTransition`` when it stands, was a merge into
    somebody who was taken away since, or was an import: whom that created, its file alone still knows."""
    change = changes.get(db, change_id)
    if change.kind == "import":
        raise IllegalTransition("An import is not done again by itself.", hint="Import its file again.")
    if not change.undone_at:
        raise IllegalTransition(f"Change {change_id} stands.", hint=VerbHint("Undo it", f"undo {change_id}"))
    if change.kind == "merge":
        _refuse_without_survivors(db, change_id)
    done = _turn(db, change, f"done again: {change.phrase}", actor, now, forwards=True)
    db.execute("UPDATE change SET undone_at = NULL WHERE id = ?", (change_id,))
    return done


def _refuse_without_survivors(db: sqlite3.Connection, change_id: int) -> None:
    """Of merges of merged people the last is taken back first: until then, what belongs to one lies with another."""
    row = db.execute(
        """SELECT later.change_id FROM change_row AS merged
           JOIN change_row AS later ON later.contact_id = merged.before ->> '$.into' AND later.after IS NULL
           JOIN change ON change.id = later.change_id AND change.undone_at IS NULL
           WHERE merged.change_id = ?1 AND merged.after IS NULL AND later.change_id <> ?1
             AND later.contact_id NOT IN (SELECT id FROM contact)
           ORDER BY later.change_id DESC LIMIT 1""",
        (change_id,),
    ).fetchone()
    if row is not None:
        since = changes.get(db, row[0])
        raise IllegalTransition(
            f"Change {change_id} merged people into one who is gone since change {since.id}: {since.phrase}.",
            hint=VerbHint("Take that back first", f"undo {since.id}"),
        )


def _turn(db: sqlite3.Connection, change: Change, cause: str, actor: str, now: datetime, *, forwards: bool) -> Reverted:
    """Go from what one side of every row says to what the other does."""
    kept: list[Kept] = []
    turned = 0
    shape = people.shape(db)
    for rows in _rows(db, change.id):
        moves = [(n, before, after) if forwards else (n, after, before) for n, before, after in rows]
        turned += _edit(db, change, [(n, f, t) for n, f, t in moves if f is not None and t is not None], cause, actor,
                        now, kept)  # fmt: skip
        for contact_id, source, target in moves:
            if target is None:
                turned += _take_away(db, change, contact_id, source or {}, kept, forwards=forwards)
        for contact_id, source, target in moves:
            if source is None and target is not None:
                turned += _bring_back(db, contact_id, target, kept, shape)
    return Reverted(change, turned, tuple(kept))


def _without_whom_it_created(db: sqlite3.Connection, import_id: int, done: Reverted, now: datetime) -> Reverted:
    """Take away whom an import created, but for those to whom something happened since."""
    taken = imports.take_away(db, import_id, done.change.id, now)
    entries = contacts.by_id(db, {each.contact_id for each in taken.staying})
    kept = (
        Kept(each.contact_id, each.email, each.since, state_of(entries[each.contact_id]).get(each.since, ""), "", True)
        for each in taken.staying
    )
    return Reverted(done.change, done.people + taken.people, (*done.kept, *kept), taken.stay - len(entries))


def _edit(
    db: sqlite3.Connection,
    change: Change,
    moves: list[tuple[int, dict[str, Any], dict[str, Any]]],
    cause: str,
    actor: str,
    now: datetime,
    kept: list[Kept],
) -> int:
    entries = contacts.by_id(db, [contact_id for contact_id, _, _ in moves])
    planned = next_actions.by_contact(db, entries)
    rewritten: list[tuple[int, Entry, Entry]] = []
    turned = 0
    for contact_id, source, target in moves:
        entry = entries.get(contact_id)
        if entry is None:
            kept += [Kept(contact_id, "", key, "", value) for key, value in target.items()]
            continue
        current = {**state_of(entry), **planned.get(contact_id, {}), **notes.state(db, contact_id, target)}
        wanted: dict[str, str] = {}
        for key, value in target.items():
            now_there = current.get(key, "")
            if now_there == source.get(key, ""):
                wanted[key] = value
            elif now_there != value:
                kept.append(Kept(contact_id, entry.email, key, notes.words(key, now_there), notes.words(key, value)))
        if not wanted:
            continue
        new = with_state(entry, wanted)
        if new.address != entry.address and contacts.get(db, new.address) is not None:
            kept.append(Kept(contact_id, entry.email, "address", entry.address, new.address))
            continue
        turned += 1
        if new != entry:
            rewritten.append((contact_id, entry, new))
        if any(key.startswith("next.") for key in wanted):
            next_actions.set_state(db, contact_id, {**planned.get(contact_id, {}), **wanted}, now)
        notes.set_state(db, contact_id, {key: value for key, value in wanted.items() if notes.is_key(key)})
        if new.stage != entry.stage:
            stages.note(db, contact_id, entry.stage, new.stage, cause, actor, now, change_id=change.id)
    contacts.rewrite(db, rewritten, now)
    return turned


def _take_away(
    db: sqlite3.Connection, change: Change, contact_id: int, was: dict[str, Any], kept: list[Kept], *, forwards: bool
) -> int:
    """Delete somebody, unless they have been changed since they came: then they stay.

    ``was`` is what the row says of them; whom a merge took away goes into the same person again.
    """
    entry = contacts.by_id(db, [contact_id]).get(contact_id)
    if entry is None:
        return 0
    since = [] if forwards else changes.touched_since(db, change.id, contact_id)
    if since:
        kept += [Kept(contact_id, entry.email, key, state_of(entry).get(key, ""), "", True) for key in since]
        return 0
    into = was.get(INTO)
    if into is not None and not contacts.by_id(db, [into]):
        kept.append(Kept(contact_id, entry.email, "merged into", "", "somebody who is gone"))
        return 0
    taken = changes.encoded(changes.take_away(db, change.id, contact_id, into))
    side = "before" if forwards else "after"
    db.execute(
        f"UPDATE change_row SET {side} = ? WHERE change_id = ? AND contact_id = ?", (taken, change.id, contact_id)
    )
    return 1


def _bring_back(db: sqlite3.Connection, contact_id: int, target: dict[str, Any], kept: list[Kept], shape: Shape) -> int:
    image = target.get(IMAGE)
    if image is None or contacts.by_id(db, [contact_id]):
        return 0
    person = image["contact"][0]
    if contacts.get(db, person["address"]) is not None:
        kept.append(Kept(contact_id, person["email"], "address", TAKEN, person["address"]))
        return 0
    if INTO in target:
        people.move_back(db, target[MOVED], target[INTO])
        db.execute("DELETE FROM alias WHERE address = ?", (person["address"],))
    people.restore(db, image, shape)
    return 1


def _rows(db: sqlite3.Connection, change_id: int) -> Iterator[list[_Row]]:
    """What a change holds, in the order of its people, so many at a time."""
    last = -1
    while rows := db.execute(
        "SELECT contact_id, before, after FROM change_row WHERE change_id = ? AND contact_id > ? LIMIT ?",
        (change_id, last, _PEOPLE_AT_ONCE),
    ).fetchall():
        last = rows[-1][0]
        yield [(contact_id, _decoded(before), _decoded(after)) for contact_id, before, after in rows]


def _decoded(text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(json.loads(text))
