"""What was changed, so that it can be taken back: one step of undo each, whoever made it and however many it touched.

A change holds, for every person it touched, what it found and what it left, as a flat ``State``. A person who was
created has nothing before, one who was deleted nothing after, and an image of all that belonged to them in its place.
Written here; what it takes to go back is ``undoing``'s.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aicmo.clock import rfc3339
from aicmo.errors import NotFound, VerbHint
from aicmo.store import contacts, people
from aicmo.store.contacts import Entry
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
IMAGE, INTO, MOVED = "", "into", "moved"
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
        ((change_id, each.contact_id, encoded(each.before), encoded(each.after)) for each in changed),
    )


def record_deleted(db: sqlite3.Connection, change_id: int, contact_ids: Iterable[int]) -> None:
    """Keep what belonged to those who are about to be deleted, all of it."""
    known = people.shape(db)
    rows = ((change_id, each, encoded({IMAGE: people.image(db, each, known)}), None) for each in contact_ids)
    db.executemany("INSERT INTO change_row VALUES (?, ?, ?, ?)", rows)


def record_merged(db: sqlite3.Connection, change_id: int, contact_id: int, into: int) -> None:
    """Delete somebody who is the same person as ``into``: what is theirs moves, their address becomes an alias."""
    taken = encoded(take_away(db, change_id, contact_id, into))
    db.execute("INSERT INTO change_row VALUES (?, ?, ?, NULL)", (change_id, contact_id, taken))


def take_away(db: sqlite3.Connection, change_id: int, contact_id: int, into: int | None) -> dict[str, Any]:
    """Delete somebody, after giving what is theirs to ``into`` if that is a person.

    What it takes to bring them back: the ``IMAGE``, and with ``into`` also ``INTO`` and ``MOVED``. The caller keeps it
    in the row of the change.
    """
    taken: dict[str, Any] = {IMAGE: people.image(db, contact_id)}
    if into is not None:
        taken |= {INTO: into, MOVED: people.move(db, contact_id, into)}
    people.delete(db, [contact_id])
    if into is not None:
        address = taken[IMAGE]["contact"][0]["address"]
        db.execute("INSERT INTO alias (address, contact_id, change_id) VALUES (?, ?, ?)", (address, into, change_id))
    return taken


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
        raise NotFound(f"There is no change {change_id}.", hint=VerbHint("See them with", "change list"))
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


def encoded(state: Mapping[str, Any] | None) -> str | None:
    """As a row holds it."""
    return None if state is None else json.dumps(state, ensure_ascii=False, separators=(",", ":"))


def _prune(db: sqlite3.Connection) -> None:
    """Make room for one more step."""
    db.execute(
        f"""DELETE FROM change
           WHERE kind NOT IN {_KEPT_FOR_EVER} AND id < (SELECT id FROM change ORDER BY id DESC LIMIT 1 OFFSET ?)""",
        (KEPT_STEPS - 2,),
    )


def _change(row: sqlite3.Row) -> Change:
    return Change(**{**dict(row), "by_person": bool(row["by_person"])})
