"""Two records of one person become one, and can become two again.

One survives with the best of both: what it lacks comes from the other, and where both say something the person may
choose. What happened with either happened with the survivor; the other's address stays known as theirs, so that no
later import makes a second one of them again. An opt-out of either holds for both, and stays when the merge is undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aicmo.crm.editing import EDITABLE, checked
from aicmo.crm.lifecycle import WEIGHTS
from aicmo.errors import InvalidInput
from aicmo.store import changes, contacts, next_actions, stages, suppressions
from aicmo.store.changes import ChangedPerson
from aicmo.store.contacts import Contact, Entry
from aicmo.store.suppressions import SuppressionReason
from aicmo.text import shown

CHOOSABLE = tuple(name for name in EDITABLE if name not in ("email", "stage"))
"""A contact's own fields that the survivor can take from the other; custom ones come beside them."""
HOLDS_FOR_BOTH = "an opt-out of either holds for both"


@dataclass(frozen=True, slots=True)
class Choice:
    """A field in which the two differ, and neither is empty."""

    field: str
    """``title`` or ``field.city``."""
    kept: str
    """What the survivor says, and will say unless the person chooses otherwise."""
    other: str


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What a merge would do."""

    survivor: Contact
    other: Contact
    choices: tuple[Choice, ...]
    gained: Mapping[str, str]
    """What the survivor lacks and gets, by field."""
    tags: tuple[str, ...]
    """The tags that it gets."""
    stage: str
    """Where the survivor will stand."""
    suppressed: Mapping[str, str]
    """Why nobody may write to one of the two, by address, of those of whom that is so; it will hold for both."""


@dataclass(frozen=True, slots=True)
class Merged:
    change_id: int
    """What undo takes back."""
    survivor: str
    """The address."""
    other: str


def plan_merge(db: sqlite3.Connection, survivor: Contact, other: Contact) -> MergePlan:
    """Compare two records of one person. Raises ``InvalidInput`` when they are one record."""
    if survivor.id == other.id:
        raise InvalidInput(f"{survivor.email} is one record already.", hint="Name two different people.")
    mine, theirs = _values(survivor), _values(other)
    return MergePlan(
        survivor,
        other,
        choices=tuple(
            Choice(key, mine[key], theirs[key]) for key in theirs if mine.get(key) and mine[key] != theirs[key]
        ),
        gained={key: value for key, value in theirs.items() if not mine.get(key)},
        tags=tuple(tag for tag in other.tags if tag not in survivor.tags),
        stage=_stage(survivor.stage, other.stage),
        suppressed={
            each.address: reason for each in (survivor, other) if (reason := suppressions.reason_for(db, each.address))
        },
    )


def better_of(one: Contact, two: Contact) -> tuple[Contact, Contact]:
    """The one who should survive when nobody says, first: further on, then better known, then there for longer."""

    def worth(contact: Contact) -> tuple[int, int, int]:
        return WEIGHTS.get(contact.stage, -1), len(_values(contact)) + len(contact.tags), -contact.id

    return (one, two) if worth(one) >= worth(two) else (two, one)


def merge(
    db: sqlite3.Connection,
    survivor: Contact,
    other: Contact,
    chosen: Mapping[str, str],
    actor: str,
    now: datetime,
    *,
    change_id: int | None = None,
) -> Merged:
    """Merge ``other`` into ``survivor`` as one step of undo, or as part of the step ``change_id``.

    ``chosen`` holds what the survivor shall say, by field, in place of its own. Raises ``InvalidInput``.
    """
    plan = plan_merge(db, survivor, other)
    wrong = [key for key in chosen if key not in CHOOSABLE and not key.startswith("field.")]
    if wrong:
        raise InvalidInput(
            f"{shown(wrong[0])} cannot be chosen.", hint=f"There are: {', '.join(CHOOSABLE)}, field.NAME."
        )
    if change_id is None:
        change_id = changes.begin(db, "merge", f"Merged {other.email} into {survivor.email}", actor, now)
    old = contacts.as_entry(survivor)
    new: Entry = changes.with_state(old, {**plan.gained, **checked(db, chosen)})
    new = new._replace(stage=plan.stage, tags=old.tags | frozenset(plan.tags))
    before, after = changes.difference(old, new)
    before, after = dict(before), dict(after)
    planned = next_actions.by_contact(db, [survivor.id, other.id])
    if other.id in planned and survivor.id not in planned:
        before |= dict.fromkeys(planned[other.id], "")
        after |= planned[other.id]
    changes.record_merged(db, change_id, other.id, survivor.id)
    contacts.replace(db, [(survivor.id, new)], now)
    if after:
        changes.record(db, change_id, [ChangedPerson(survivor.id, before, after)])
    if new.stage != old.stage:
        cause = f"merged with one who was {new.stage}"
        stages.note(db, survivor.id, old.stage, new.stage, cause, actor, now, change_id=change_id)
    for reason in plan.suppressed.values():
        for each in (survivor, other):  # whose own entry stays as it is
            suppressions.add(db, each.address, SuppressionReason(reason), "merged with one who is suppressed", now)
    return Merged(change_id, survivor.email, other.email)


def _values(contact: Contact) -> dict[str, str]:
    values = {name: getattr(contact, name) for name in CHOOSABLE}
    values |= {f"field.{key}": value for key, value in contact.fields.items()}
    return {key: value for key, value in values.items() if value}


def _stage(one: str, two: str) -> str:
    """The further of two; DISQUALIFIED is a person's word about one of them, and holds for both."""
    if "DISQUALIFIED" in (one, two):
        return "DISQUALIFIED"
    return max(one, two, key=WEIGHTS.__getitem__)
