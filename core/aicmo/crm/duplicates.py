"""People who are in the list twice: found, merged, told apart. All block: the caller chooses the thread."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.address import normalise
from aicmo.crm.editing import field_key
from aicmo.crm.merging import Merged, MergePlan, better_of, merge, plan_merge
from aicmo.crm.repository import CRMRepository
from aicmo.crm.similarity import LEAST_SCORE, Pair, find_duplicates, surest_first
from aicmo.errors import NotFound, VerbHint
from aicmo.store import Database, changes, contacts, duplicates
from aicmo.store.contacts import Contact


@dataclass(frozen=True, slots=True)
class MergedPairs:
    change_id: int | None
    """What undo takes back, all of it; ``None`` when nobody was merged."""
    merged: tuple[Merged, ...]


class Duplicates:
    """The verbs that the screen and the command line share."""

    def __init__(self, db: Database, crm: CRMRepository, *, actor: str = "you", clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._crm, self._actor, self._clock = db, crm, actor, clock

    def find(
        self,
        *,
        least_score: float = LEAST_SCORE,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Pair]:
        """``similarity.find_duplicates`` over everybody."""
        return self._db.read(
            lambda db: find_duplicates(db, least_score=least_score, progress=progress, cancelled=cancelled)
        )

    def still(self, pairs: Sequence[Pair]) -> list[Pair]:
        """What is left of ``pairs`` that were found a while ago, with everybody as they are now.

        Whoever was merged since, also by another program, is named by who survived. Pairs that became one person, that
        were told apart or that lost one of the two are left out; an undo brings them back.
        """

        def work(db: sqlite3.Connection) -> list[Pair]:
            two = duplicates.known_to_be_two(db)
            known = {
                number: normalise(email).address
                for pair in pairs
                for number, email in zip(pair.ids, pair.emails, strict=True)
            }
            owners = duplicates.owners(db, known)
            left: dict[tuple[int, int], Pair] = {}
            for pair in pairs:
                both = sorted({owners[number] for number in pair.ids if number in owners})
                ids = tuple(owner[0] for owner in both)
                if len(ids) != 2 or ids in two:
                    continue
                emails, names = (both[0][1], both[1][1]), (both[0][2], both[1][2])
                before = left.get(ids)
                now = replace(pair, ids=ids, emails=emails, names=names)
                left[ids] = now.with_reasons(before.reasons) if before else now
            return surest_first(left.values())

        return self._db.read(work)

    def plan(self, survivor: str, other: str) -> MergePlan:
        """What merging two people, by their addresses, would do. Raises ``NotFound`` or ``InvalidInput``."""
        one, two = self._crm.get(survivor), self._crm.get(other)
        return self._db.read(lambda db: plan_merge(db, one, two))

    def better_of(self, one: str, two: str) -> tuple[str, str]:
        """Two addresses, the one first who should survive when nobody says. Raises ``NotFound``."""
        survivor, other = better_of(self._crm.get(one), self._crm.get(two))
        return survivor.email, other.email

    def merge(self, survivor: str, other: str, chosen: Mapping[str, str] | None = None) -> Merged:
        """Merge ``other`` into ``survivor``, who shall say what is ``chosen``, by field.

        Raises ``NotFound`` or ``InvalidInput``.
        """
        one, two = self._crm.get(survivor), self._crm.get(other)
        now, said = self._clock.now(), {field_key(name): value for name, value in (chosen or {}).items()}
        return self._db.write(lambda db: merge(db, one, two, said, self._actor, now))

    def merge_pairs(self, pairs: Sequence[Pair]) -> MergedPairs:
        """Merge every pair, as one step of undo; of several who are one person the best survives. Who is gone by then
        is passed over."""

        def work(db: sqlite3.Connection) -> MergedPairs:
            now, change_id = self._clock.now(), None
            done: list[Merged] = []
            for group in _groups(db, pairs):
                survivor = functools.reduce(lambda one, two: better_of(one, two)[0], group)
                for other in group:
                    if other.id == survivor.id:
                        continue
                    if change_id is None:
                        change_id = changes.begin(db, "merge", "", self._actor, now)
                    richer = contacts.get(db, survivor.address) or survivor  # by those merged so far
                    done.append(merge(db, richer, other, {}, self._actor, now, change_id=change_id))
            if change_id is not None:
                changes.describe(db, change_id, f"Merged {len(done):,} duplicates")
            return MergedPairs(change_id, tuple(done))

        return self._db.write(work)

    def tell_apart(self, one: str, two: str) -> None:
        """These are two different people, and nobody will be asked again. Raises ``NotFound``."""
        ids = self._crm.get(one).id, self._crm.get(two).id
        now = self._clock.now()
        self._db.write(lambda db: duplicates.tell_apart(db, *ids, now))

    def forget_telling_apart(self, one: str, two: str) -> None:
        """They may be one person after all. Raises ``NotFound``, also when nobody had told them apart."""
        ids = self._crm.get(one).id, self._crm.get(two).id
        if not self._db.write(lambda db: duplicates.forget_telling_apart(db, *ids)):
            raise NotFound(
                f"Nobody said that {one} and {two} are two people.", hint=VerbHint("See", "contact duplicates")
            )


def _groups(db: sqlite3.Connection, pairs: Sequence[Pair]) -> list[list[Contact]]:
    """Those who are one person by way of each other, so that each is merged once, into who survives of them all.

    Two who were told apart stay two, whoever resembles both.
    """
    two = duplicates.known_to_be_two(db)
    groups: dict[int, dict[int, Contact]] = {}
    for pair in pairs:
        both = [found for email in pair.emails if (found := contacts.get(db, normalise(email).address))]
        if len(both) < 2:
            continue
        one, other = (groups.setdefault(found.id, {found.id: found}) for found in both)
        if one is other or any((min(ids), max(ids)) in two for ids in itertools.product(one, other)):
            continue
        one |= other
        groups |= dict.fromkeys(other, one)
    distinct = {id(group): group for group in groups.values()}
    return [list(group.values()) for group in distinct.values() if len(group) > 1]
