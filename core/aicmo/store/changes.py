"""What was changed, so that it can be taken back: one step of undo each, whoever made it and however many it touched.

A change holds, for every person it touched, what it found and what it left, as a flat ``State``. Undoing it puts back
what it found, but only where what it left still stands: a value that somebody changed since is theirs, and is named
instead of overwritten. Redoing is the same the other way round. A person who was created has nothing before, one who
was deleted nothing after, and an image of all that belonged to them in its place.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from aicmo.clock import rfc3339
from aicmo.errors import IllegalTransition, NotFound
from aicmo.store import contacts, imports, next_actions, notes, people, stages
from aicmo.store.contacts import Entry
from aicmo.store.people import Shape
from aicmo.store.tags import tag_key

State = Mapping[str, str]
"""Some of what is known of a person: a contact's own field by name (``title``), a custom one (``field.city``), a tag
(``tag.vip``: its spelling), the next action (``next.due``, ``next.text``), a note (``note.12``, see ``notes``). Empty:
there is none."""

KEPT_STEPS = 200
"""How many changes can be taken back; older ones are forgotten when a new one begins, but for ``_KEPT_FOR_EVER``."""
_KEPT_FOR_EVER = ("import", "merge")
"""An import can be undone however long ago it was. So can a merge, whose row alone knows what of somebody's story is
whose."""
_PEOPLE_AT_ONCE = 500
TAKEN = "somebody else's"
"""What an address is now that another person has it, so that whoever had it cannot be brought back."""
_IMAGE, _INTO, _MOVED = "", "into", "moved"
"""What a row keeps of somebody who was taken away: all of theirs, and whom it went to, where it did."""


class ChangedPerson(NamedTuple):
    contact_id: int
    before: State | None
    """``None``: created by this change."""
    after: State | None
    """``None``: deleted by it."""


@dataclass(frozen=True, slots=True)
class Change:
    id: int
    kind: str
    summary: str
    """One phrase: ``Tagged 12 people vip``."""
    actor: str
    by_person: bool
    at: str
    undone_at: str | None

    @property
    def phrase(self) -> str:
        """The summary within a sentence: ``tagged 12 people vip``."""
        return self.summary[:1].lower() + self.summary[1:]


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


# --- recording --------------------------------------------------------------------------------------------------------


def begin(db: sqlite3.Connection, kind: str, summary: str, actor: str, now: datetime, *, by_person: bool = True) -> int:
    """Begin a change; its id. Belongs into the transaction that makes it."""
    _prune(db)
    cursor = db.execute(
        "INSERT INTO change (kind, summary, actor, by_person, at) VALUES (?, ?, ?, ?, ?)",
        (kind, summary, actor, by_person, rfc3339(now)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def describe(db: sqlite3.Connection, change_id: int, summary: str) -> None:
    """Say in one phrase what a change was, once it is known whom it touched."""
    db.execute("UPDATE change SET summary = ? WHERE id = ?", (summary, change_id))


def record(db: sqlite3.Connection, change_id: int, changed: Iterable[ChangedPerson]) -> None:
    """Keep what a change did to people. Of one whom it touched twice, the first before and the last after count."""
    db.executemany(
        """INSERT INTO change_row VALUES (?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET before = iif(before IS NULL, NULL, json_patch(excluded.before, before)),
                                     after = json_patch(coalesce(after, '{}'), excluded.after)""",
        ((change_id, each.contact_id, _encoded(each.before), _encoded(each.after)) for each in changed),
    )


def record_deleted(db: sqlite3.Connection, change_id: int, contact_ids: Iterable[int]) -> None:
    """Keep what belonged to those who are about to be deleted, all of it."""
    known = people.shape(db)
    rows = ((change_id, each, _encoded({_IMAGE: people.image(db, each, known)}), None) for each in contact_ids)
    db.executemany("INSERT INTO change_row VALUES (?, ?, ?, ?)", rows)


def record_merged(db: sqlite3.Connection, change_id: int, contact_id: int, into: int) -> None:
    """Delete somebody who is the same person as ``into``: what is theirs moves, their address becomes an alias."""
    taken = _encoded(_taken_away(db, change_id, contact_id, into))
    db.execute("INSERT INTO change_row VALUES (?, ?, ?, NULL)", (change_id, contact_id, taken))


def steps_of_merged(db: sqlite3.Connection, contact_id: int) -> dict[int, str]:
    """Whose steps in the lifecycle were given to somebody by a merge that undo remembers: the e-mail, by step."""
    rows = db.execute(
        """SELECT step.value ->> 'id', before ->> '$."".contact[0].email'
           FROM alias JOIN change_row USING (change_id), json_each(before, '$.moved.stage_change') AS step
           WHERE alias.contact_id = ? AND before ->> '$."".contact[0].address' = alias.address
           ORDER BY change_id DESC""",  # who was merged twice over took it before the first time
        (contact_id,),
    )
    return dict(map(tuple, rows))


def difference(old: Entry, new: Entry) -> tuple[State, State]:
    """What differs between two entries of one person, before and after."""
    before, after = state_of(old), state_of(new)
    keys = [key for key in {**before, **after} if before.get(key, "") != after.get(key, "")]
    return {key: before.get(key, "") for key in keys}, {key: after.get(key, "") for key in keys}


def state_of(entry: Entry) -> dict[str, str]:
    """Everything that ``entry`` says, flat."""
    state = {name: getattr(entry, name) for name in contacts.COLUMNS}
    state.update((f"field.{key}", value) for key, value in entry.fields.items())
    state.update((f"tag.{tag_key(name)}", name) for name in entry.tags)
    return state


def with_state(entry: Entry, state: State) -> Entry:
    """``entry`` with what ``state`` says in place of its own. What is planned or noted is not an entry's."""
    fields = dict(entry.fields)
    tags = {tag_key(name): name for name in entry.tags}
    own: dict[str, str] = {}
    for key, value in state.items():
        family, dot, name = key.partition(".")
        if not dot:
            own[key] = value
        elif family in ("field", "tag"):
            group = fields if family == "field" else tags
            group.pop(name, None)
            if value:
                group[name] = value
    return entry._replace(**own, fields=fields, tags=frozenset(tags.values()))


# --- finding ----------------------------------------------------------------------------------------------------------

_STANDS = """by_person AND undone_at IS NULL AND id NOT IN (
    SELECT change_id FROM import WHERE change_id IS NOT NULL AND finished_at IS NOT NULL
        AND counts ->> 'created' = 0 AND counts ->> 'updated' = 0)"""
"""What a person did, and can want back: an import that changed nobody is no step."""
_CHANGE = "SELECT id, kind, summary, actor, by_person, at, undone_at FROM change"


def get(db: sqlite3.Connection, change_id: int) -> Change:
    """Raises ``NotFound``."""
    row = db.execute(f"{_CHANGE} WHERE id = ?", (change_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no change {change_id}.", hint="See them with: aicmo change list")
    return _change(row)


def listed(db: sqlite3.Connection, *, limit: int = -1) -> list[Change]:
    """The newest first."""
    return [_change(row) for row in db.execute(f"{_CHANGE} ORDER BY id DESC LIMIT ?", (limit,))]


def next_to_undo(db: sqlite3.Connection) -> Change | None:
    """The last thing a person did that stands."""
    row = db.execute(f"{_CHANGE} WHERE {_STANDS} ORDER BY id DESC LIMIT 1").fetchone()
    return _change(row) if row else None


def next_to_redo(db: sqlite3.Connection) -> Change | None:
    """What was undone last, unless a person did something else since."""
    row = db.execute(
        f"""{_CHANGE} WHERE by_person AND undone_at IS NOT NULL
            AND id > (SELECT coalesce(max(id), 0) FROM change WHERE {_STANDS})
            ORDER BY id LIMIT 1"""
    ).fetchone()
    return _change(row) if row else None


def people_changed(db: sqlite3.Connection, change_id: int) -> int:
    number: int = db.execute("SELECT count(*) FROM change_row WHERE change_id = ?", (change_id,)).fetchone()[0]
    return number


def touched_since(db: sqlite3.Connection, change_id: int, contact_id: int) -> list[str]:
    """The keys of a person's state that later changes, which still stand, left different; ``merge`` when somebody was
    merged into them."""
    rows = db.execute(
        """SELECT key FROM change_row JOIN change ON change.id = change_id, json_each(coalesce(after, '{}'))
           WHERE contact_id = ?1 AND change_id > ?2 AND undone_at IS NULL
           UNION SELECT 'merge' FROM alias WHERE contact_id = ?1 AND change_id > ?2 ORDER BY key""",
        (contact_id, change_id),
    )
    return [row[0] for row in rows]


# --- taking back ------------------------------------------------------------------------------------------------------


def undo(db: sqlite3.Connection, change_id: int, actor: str, now: datetime) -> Reverted:
    """Take a change back. Raises ``NotFound``, or ``IllegalTransition`` when it is undone already, or was a merge into
    somebody who was taken away since: what was merged lies with another now."""
    change = get(db, change_id)
    if change.undone_at:
        again = "Import its file again." if change.kind == "import" else f"Redo it: aicmo redo {change_id}"
        raise IllegalTransition(f"Change {change_id} is undone already.", hint=again)
    if change.kind == "merge":
        _refuse_without_survivors(db, change_id)
    imported = imports.of_change(db, change_id)
    if imported is not None and imported.status == "running":
        raise IllegalTransition(
            f"Import {imported.id} is not finished.",
            hint=f"Stop it, or take back its part: aicmo import undo {imported.id}",
        )
    done = _turn(db, change, f"undone: {change.phrase}", actor, now, forwards=False)
    if imported is not None:
        done = _without_whom_it_created(db, imported.id, done, now)
    db.execute("UPDATE change SET undone_at = ? WHERE id = ?", (rfc3339(now), change_id))
    return done


def redo(db: sqlite3.Connection, change_id: int, actor: str, now: datetime) -> Reverted:
    """Do an undone change again. Raises ``NotFound``, or ``IllegalTransition`` when it stands, was a merge into
    somebody who was taken away since, or was an import: whom that created, its file alone still knows."""
    change = get(db, change_id)
    if change.kind == "import":
        raise IllegalTransition("An import is not done again by itself.", hint="Import its file again.")
    if not change.undone_at:
        raise IllegalTransition(f"Change {change_id} stands.", hint=f"Undo it: aicmo undo {change_id}")
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
        since = get(db, row[0])
        raise IllegalTransition(
            f"Change {change_id} merged people into one who is gone since change {since.id}: {since.phrase}.",
            hint=f"Take that back first: aicmo undo {since.id}",
        )


def _turn(db: sqlite3.Connection, change: Change, cause: str, actor: str, now: datetime, *, forwards: bool) -> Reverted:
    """Go from what one side of every row says to what the other does."""
    kept: list[Kept] = []
    turned = 0
    shape = people.shape(db)
    for rows in _chunks(_rows(db, change.id), _PEOPLE_AT_ONCE):
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
    since = [] if forwards else touched_since(db, change.id, contact_id)
    if since:
        kept += [Kept(contact_id, entry.email, key, state_of(entry).get(key, ""), "", True) for key in since]
        return 0
    into = was.get(_INTO)
    if into is not None and not contacts.by_id(db, [into]):
        kept.append(Kept(contact_id, entry.email, "merged into", "", "somebody who is gone"))
        return 0
    taken = _encoded(_taken_away(db, change.id, contact_id, into))
    side = "before" if forwards else "after"
    db.execute(
        f"UPDATE change_row SET {side} = ? WHERE change_id = ? AND contact_id = ?", (taken, change.id, contact_id)
    )
    return 1


def _taken_away(db: sqlite3.Connection, change_id: int, contact_id: int, into: int | None) -> dict[str, Any]:
    """Delete somebody, after giving what is theirs to ``into`` if that is a person; what it takes to undo it."""
    taken: dict[str, Any] = {_IMAGE: people.image(db, contact_id)}
    if into is not None:
        taken |= {_INTO: into, _MOVED: people.move(db, contact_id, into)}
    people.delete(db, [contact_id])
    if into is not None:
        address = taken[_IMAGE]["contact"][0]["address"]
        db.execute("INSERT INTO alias (address, contact_id, change_id) VALUES (?, ?, ?)", (address, into, change_id))
    return taken


def _bring_back(db: sqlite3.Connection, contact_id: int, target: dict[str, Any], kept: list[Kept], shape: Shape) -> int:
    image = target.get(_IMAGE)
    if image is None or contacts.by_id(db, [contact_id]):
        return 0
    person = image["contact"][0]
    if contacts.get(db, person["address"]) is not None:
        kept.append(Kept(contact_id, person["email"], "address", TAKEN, person["address"]))
        return 0
    if _INTO in target:
        people.move_back(db, target[_MOVED], target[_INTO])
        db.execute("DELETE FROM alias WHERE address = ?", (person["address"],))
    people.restore(db, image, shape)
    return 1


def _rows(db: sqlite3.Connection, change_id: int) -> Iterator[tuple[int, dict[str, Any] | None, dict[str, Any] | None]]:
    last = -1
    while rows := db.execute(
        "SELECT contact_id, before, after FROM change_row WHERE change_id = ? AND contact_id > ? LIMIT ?",
        (change_id, last, _PEOPLE_AT_ONCE),
    ).fetchall():
        last = rows[-1][0]
        for contact_id, before, after in rows:
            yield contact_id, _decoded(before), _decoded(after)


def _prune(db: sqlite3.Connection) -> None:
    """Make room for one more step."""
    db.execute(
        f"""DELETE FROM change
           WHERE kind NOT IN {_KEPT_FOR_EVER} AND id < (SELECT id FROM change ORDER BY id DESC LIMIT 1 OFFSET ?)""",
        (KEPT_STEPS - 2,),
    )


def _encoded(state: Mapping[str, Any] | None) -> str | None:
    return None if state is None else json.dumps(state, ensure_ascii=False, separators=(",", ":"))


def _decoded(text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(json.loads(text))


def _change(row: sqlite3.Row) -> Change:
    return Change(**{**dict(row), "by_person": bool(row["by_person"])})


def _chunks(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while part := list(islice(iterator, size)):
        yield part
