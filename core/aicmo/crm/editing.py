"""Changing people: one, without overwriting what somebody else changed meanwhile; or all of a selection alike.

What is to be changed is said in the words of ``changes.State``: ``title``, ``field.city``, ``tag.vip``, ``stage``;
empty text clears. Whatever it touches, it is one step of undo, in the transaction that makes it.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from aicmo.crm.address import normalise
from aicmo.crm.fields import check_known, fitted
from aicmo.crm.lifecycle import set_stage, stage_named
from aicmo.crm.mapping import FIELDS, MAX_CUSTOM_FIELDS, MAX_VALUE, custom_key
from aicmo.errors import EditConflict, InvalidInput, NotFound, VerbHint
from aicmo.store import changes, contacts, lookups, people
from aicmo.store import tags as tag_store
from aicmo.store.changes import ChangedPerson, State
from aicmo.store.contacts import Contact, Entry
from aicmo.text import one_line, shown

EDITABLE = ("email", "first_name", "last_name", "company", "title", "phone", "stage")
"""A contact's own fields that a person changes; ``field.KEY`` and ``tag.NAME`` come beside them."""
_SHADOWS = ("address", "domain")
EXAMPLES = 5
"""How many of those whom a bulk edit changes are shown."""
_PEOPLE_AT_ONCE = 1000


class Edited(NamedTuple):
    """One person, and what differs."""

    email: str
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class EditResult:
    selected: int
    changed: int
    """Those who were not like that already."""
    change_id: int | None
    """What undo takes back; ``None`` when nobody was changed."""
    examples: tuple[Edited, ...] = ()
    """The first ``EXAMPLES`` of them."""
    warnings: tuple[str, ...] = ()
    """What was probably misspelled: a sentence for each tag to be taken away that nobody has."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be changed, and on whose word."""

    wanted: State
    now: datetime
    because: str = ""
    """The cause of a step in the lifecycle; empty: ``by hand``."""
    demote: bool = False
    """A step back is meant."""
    actor: str = "you"

    @property
    def kind(self) -> str:
        return "tag" if all(key.startswith("tag.") for key in self.wanted) else "edit"

    @property
    def what(self) -> str:
        """What it touches: ``title, city``."""
        return ", ".join(key.partition(".")[2] or key for key in self.wanted if key not in _SHADOWS)


def value(text: str) -> str:
    """``text`` as a field keeps it. Raises ``InvalidInput`` for a long one."""
    kept = one_line(text)
    if len(kept) > MAX_VALUE:
        raise InvalidInput(f"{shown(kept, limit=40)} is longer than {MAX_VALUE:,} characters.")
    return kept


def custom_fields(values: Mapping[str, str]) -> dict[str, str]:
    """Custom values by key, from the names a person gives them. Raises ``InvalidInput``."""
    custom: dict[str, str] = {}
    for name, text in values.items():
        key = custom_key(name)
        if key in FIELDS:
            raise InvalidInput(f"{shown(name)} is not a custom field; it means {key}.")
        custom[key] = value(text)
    if len(custom) > MAX_CUSTOM_FIELDS:
        raise InvalidInput(f"More than {MAX_CUSTOM_FIELDS} custom fields.")
    return custom


def field_key(name: str) -> str:
    """What a person calls a field, or what a query and a plan call it, as a key of ``changes.State``."""
    own = custom_key(name)
    return own if own in EDITABLE else f"field.{custom_key(name.strip().removeprefix('field.'))}"


def checked(db: sqlite3.Connection, values: Mapping[str, str]) -> dict[str, str]:
    """``values`` as they will be stored: typed, spelled, a new address normalised. Raises ``InvalidInput``."""
    state: dict[str, str] = {}
    custom: dict[str, str] = {}
    for key, text in values.items():
        family, dot, name = key.partition(".")
        if family == "field" and dot:
            custom |= custom_fields({name: text})
        elif family == "tag" and dot:
            tag_key = tag_store.tag_key(name)
            if text and tag_store.tag_key(text) != tag_key:
                raise InvalidInput(f"{shown(text)} is not how {shown(name)} is spelled.")
            state[f"tag.{tag_key}"] = text and tag_store.spelling(db, text)
        elif key == "email":
            state["address"], state["email"], state["domain"] = normalise(text)
        elif key == "stage":
            state["stage"] = stage_named(text)
        elif key in EDITABLE:
            state[key] = value(text)
        else:
            raise InvalidInput(
                f"{shown(key)} cannot be edited.", hint=f"There are: {', '.join(EDITABLE)}, field.NAME and tag.NAME."
            )
    return state | {f"field.{key}": text for key, text in fitted(db, custom).items()}


def checked_for_many(db: sqlite3.Connection, values: Mapping[str, str]) -> dict[str, str]:
    """``checked``, and nothing is cleared that nobody has: whoever clears it in many people has misspelled it."""
    wanted = checked(db, values)
    cleared = [key.removeprefix("field.") for key, text in wanted.items() if key.startswith("field.") and not text]
    check_known(db, cleared, EDITABLE)
    return wanted


def edit_one(db: sqlite3.Connection, base: Contact, edit: Edit) -> EditResult:
    """Change one person, of whom ``base`` is what the one who edits has seen.

    What is as it was in ``base`` is not an edit, so it leaves what others wrote there. Raises ``EditConflict`` when
    somebody changed the same field to something else meanwhile, ``NotFound`` when the person is gone, and what
    ``edit_all`` does.
    """
    entry = contacts.by_id(db, [base.id]).get(base.id)
    if entry is None:
        raise NotFound(
            f"{base.email} is no contact any more.", hint=VerbHint("Undo brings back whom you deleted", "undo")
        )
    original = changes.state_of(contacts.as_entry(base))
    theirs = changes.state_of(entry)
    mine: dict[str, str] = {}
    conflicts: dict[str, dict[str, str]] = {}
    for key, wanted in edit.wanted.items():
        was, stands = original.get(key, ""), theirs.get(key, "")
        if _same(key, wanted, was) or _same(key, wanted, stands):
            continue
        if not _same(key, stands, was):
            conflicts[key] = {"mine": wanted, "theirs": stands, "original": was}
        mine[key] = wanted
    if conflicts:
        shown_fields = {key: three for key, three in conflicts.items() if key not in _SHADOWS}
        raise EditConflict(
            f"Somebody else changed {', '.join(shown_fields)} of {entry.email} meanwhile.",
            shown_fields,
            hint="Look at it again, and choose.",
        )
    return edit_all(db, [base.id], replace(edit, wanted=mine))


def preview(db: sqlite3.Connection, ids: Sequence[int], edit: Edit) -> tuple[Edited, ...]:
    """What ``edit_all`` would do to the first ``EXAMPLES`` of those whom it changes, as far as they are among the first
    thousand: a look before a change of a million costs no more than before one of ten."""
    steps = _steps(contacts.by_id(db, ids[:_PEOPLE_AT_ONCE]), edit)
    return tuple(
        Edited(old.email, _without_shadows(row.before), _without_shadows(row.after)) for old, row in steps[:EXAMPLES]
    )


def edit_all(db: sqlite3.Connection, ids: Sequence[int], edit: Edit) -> EditResult:
    """Change people alike. When one of them cannot be, nobody is changed.

    Raises ``IllegalTransition`` for a step back that is not meant, ``InvalidInput`` for an address that is another's.
    """
    if "address" in edit.wanted:
        _check_address(db, ids, edit.wanted["address"])
    warnings = tuple(_unknown_tags(db, edit.wanted))
    change_id: int | None = None
    changed = 0
    examples: list[Edited] = []
    for start in range(0, len(ids), _PEOPLE_AT_ONCE):
        _prefer(db, ids[start : start + _PEOPLE_AT_ONCE], edit.wanted)
        steps = _steps(contacts.by_id(db, ids[start : start + _PEOPLE_AT_ONCE]), edit)
        if not steps:
            continue
        if change_id is None:
            change_id = changes.begin(db, edit.kind, "", edit.actor, edit.now)
        _take(db, steps, edit, change_id)
        changed += len(steps)
        for old, row in steps[: EXAMPLES - len(examples)]:
            examples.append(Edited(old.email, _without_shadows(row.before), _without_shadows(row.after)))
    if change_id is not None:
        changes.describe(db, change_id, _summary(edit, changed, examples))
    return EditResult(len(ids), changed, change_id, tuple(examples), warnings)


def _without_shadows(state: State | None) -> State:
    """What a person reads: an address and its domain follow from the e-mail."""
    return {key: text for key, text in (state or {}).items() if key not in _SHADOWS}


def _prefer(db: sqlite3.Connection, ids: Sequence[int], wanted: State) -> None:
    """What a person says of a field settles what providers say of it otherwise, also where it stands so already."""
    for key, text in wanted.items():
        family, dot, name = key.partition(".")
        if not dot or family == "field":
            lookups.prefer(db, ids, name or key, text)


def _check_address(db: sqlite3.Connection, ids: Sequence[int], address: str) -> None:
    if len(ids) > 1:
        raise InvalidInput(f"{len(ids):,} people cannot have one address.", hint="Edit one of them.")
    other = contacts.owner(db, address)
    if other is not None and other.id not in ids:
        mine = "".join(entry.email for entry in contacts.by_id(db, ids).values())
        raise InvalidInput(
            f"{address} is another contact's already.",
            hint=VerbHint("Make them one", f"contact merge {shlex.quote(other.email)} {shlex.quote(mine)}"),
        )


def _unknown_tags(db: sqlite3.Connection, wanted: State) -> Iterator[str]:
    for key, text in wanted.items():
        family, dot, name = key.partition(".")
        if family == "tag" and dot and not text and not tag_store.is_used(db, name):
            yield f"Nobody has the tag {shown(name)}."


def _summary(edit: Edit, changed: int, examples: Sequence[Edited]) -> str:
    """One phrase: ``Edited ada@x.example: title``, ``Tagged 12 people vip``."""
    who = examples[0].email if changed == 1 else f"{changed:,} people"
    if edit.kind == "edit":
        return f"Edited {who}: {edit.what}"
    added = ", ".join(text for text in edit.wanted.values() if text)
    removed = ", ".join(key.removeprefix("tag.") for key, text in edit.wanted.items() if not text)
    told = [f"Tagged {who} {added}"] if added else []
    told += [f"{'took' if told else 'Took'} {removed} from {who if not told else 'them'}"] if removed else []
    return ", ".join(told)


def _same(key: str, one: str, other: str) -> bool:
    """A tag is there or not, however it is spelled."""
    return bool(one) == bool(other) if key.startswith("tag.") else one == other


def _told(entry: Entry, key: str) -> str:
    """What an entry says under a key of ``changes.State``."""
    family, dot, name = key.partition(".")
    if not dot:
        return str(getattr(entry, key))
    if family == "field":
        return entry.fields.get(name, "")
    return next((each for each in entry.tags if tag_store.tag_key(each) == name), "")


def _steps(entries: Mapping[int, Entry], edit: Edit) -> list[tuple[Entry, ChangedPerson]]:
    """Who is not like that yet, and what differs."""
    steps = []
    for number, entry in entries.items():
        before = {key: stands for key, text in edit.wanted.items() if not _same(key, text, stands := _told(entry, key))}
        if before:
            steps.append((entry, ChangedPerson(number, before, {key: edit.wanted[key] for key in before})))
    return steps


def _take(db: sqlite3.Connection, steps: Sequence[tuple[Entry, ChangedPerson]], edit: Edit, change_id: int) -> None:
    moves = []
    for old, (number, _, after) in steps:
        assert after is not None
        new = changes.with_state(old, {key: text for key, text in after.items() if key != "stage"})
        if len(new.fields) > max(MAX_CUSTOM_FIELDS, len(old.fields)):
            raise InvalidInput(f"{old.email} would have more than {MAX_CUSTOM_FIELDS} custom fields.")
        moves.append((number, old, new))
        if "stage" in after:
            set_stage(db, number, after["stage"], edit.because or "by hand", edit.actor, edit.now,
                      demote=edit.demote, change_id=change_id)  # fmt: skip
    contacts.rewrite(db, moves, edit.now)
    changes.record(db, change_id, (row for _, row in steps))


def delete_all(db: sqlite3.Connection, ids: Sequence[int], now: datetime, *, actor: str = "you") -> EditResult:
    """Delete people with all that is theirs; undo brings it back, all of it."""
    there = [number for start in range(0, len(ids), _PEOPLE_AT_ONCE)
             for number in contacts.by_id(db, ids[start : start + _PEOPLE_AT_ONCE])]  # fmt: skip
    if not there:
        return EditResult(len(ids), 0, None)
    who = contacts.by_id(db, there)[there[0]].email if len(there) == 1 else f"{len(there):,} people"
    change_id = changes.begin(db, "delete", f"Deleted {who}", actor, now)
    for start in range(0, len(there), _PEOPLE_AT_ONCE):
        part = there[start : start + _PEOPLE_AT_ONCE]
        changes.record_deleted(db, change_id, part)
        people.delete(db, part)
    return EditResult(len(ids), len(there), change_id)
