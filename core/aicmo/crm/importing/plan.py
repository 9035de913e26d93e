"""What becomes of each row, decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from aicmo.crm.importing.counts import ImportCounts
from aicmo.crm.importing.policy import Conflict, Merged, Policies, merged
from aicmo.store.contacts import COLUMNS, STAGES, Entry

Action = Literal["create", "update", "unchanged", "skip", "conflict", "reject"]
"""``conflict``: nothing is changed, because what the row says differs from what is there and ``fill`` leaves that."""
PLANNED_ROWS = 20
"""That a result shows; the file of a plan has them all."""


class PlannedRow(NamedTuple):
    row: int
    """1 is the first under the header; blank ones count."""
    action: Action
    email: str
    """As far as the row has one."""
    reason: str
    """Why it is rejected or skipped, or what is changed; empty for a new or unchanged person."""
    conflicts: tuple[Conflict, ...]


class Known(NamedTuple):
    contact_id: int
    """0 for one whom a dry run would create."""
    entry: Entry


class Update(NamedTuple):
    contact_id: int
    old: Entry
    new: Entry


class Decision(NamedTuple):
    created: list[Entry]
    updated: list[Update]
    counts: ImportCounts


def decide(
    numbered: Iterable[tuple[int, Entry]],
    known: Mapping[str, Known],
    policies: Policies,
    plan: list[PlannedRow] | None = None,
) -> Decision:
    """What to write for the entries of these rows, in their order.

    ``known`` holds who is already there, by every address that leads to them. ``plan`` is told of each row.
    """
    created: dict[str, Entry] = {}
    updated: dict[str, Update] = {}
    counted = dict.fromkeys(("create", "update", "unchanged", "skip", "conflict"), 0)
    conflicts = stages_kept = 0
    keeps_all = policies.keeps_all()
    for row, entry in numbered:
        found = known.get(entry.address)
        address = entry.address if found is None else found.entry.address
        if found is None and address not in created:
            created[address] = entry
            counted["create"] += 1
            if plan is not None:
                plan.append(PlannedRow(row, "create", entry.email, "", ()))
            continue
        if keeps_all:
            counted["skip"] += 1
            if plan is not None:
                plan.append(PlannedRow(row, "skip", entry.email, "already there", ()))
            continue
        if found is None:
            old = _as_stored(created[address])
        else:
            old = updated[address].new if address in updated else _as_stored(found.entry)
        change = merged(old, entry, policies)
        conflicts += bool(change.conflicts)
        stages_kept += change.stage_kept
        action = _action(old, change)
        counted[action] += 1
        if plan is not None:
            plan.append(PlannedRow(row, action, entry.email, _told(old, change), change.conflicts))
        if action != "update":
            continue
        if found is None:
            created[address] = change.entry
        else:
            first = updated[address].old if address in updated else found.entry
            updated[address] = Update(found.contact_id, first, change.entry)
    return Decision(
        list(created.values()),
        list(updated.values()),
        ImportCounts(
            created=counted["create"],
            updated=counted["update"],
            unchanged=counted["unchanged"] + counted["conflict"],
            skipped=counted["skip"],
            conflicts=conflicts,
            stages_kept=stages_kept,
        ),
    )


def _as_stored(entry: Entry) -> Entry:
    return entry if entry.stage else entry._replace(stage=STAGES[0])


def _action(old: Entry, change: Merged) -> Action:
    if change.entry != old:
        return "update"
    return "conflict" if change.conflicts else "unchanged"


def _told(old: Entry, change: Merged) -> str:
    """Which fields are changed, and what is not although the row says so."""
    new = change.entry
    names = [name for name in COLUMNS if getattr(old, name) != getattr(new, name)]
    names += [key for key, value in new.fields.items() if old.fields.get(key) != value]
    names += sorted(f"tag {name}" for name in new.tags - old.tags)
    told = [f"changes {', '.join(names)}"] if names else []
    if change.stage_kept:
        told.append(f"stays {old.stage}: an import moves nobody back")
    return "; ".join(told)
