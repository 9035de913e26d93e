"""A batch's outcome, into the store: who was found and what it cost, what was said, whom it changed; all or nothing.

Everything belongs to the caller's transaction, so there is no moment at which an answer is known and not paid for, or
paid for and not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aicmo.clock import rfc3339
from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.enrichment.asking import knows
from aicmo.crm.enrichment.facts import Fit, conflicts, filled, told
from aicmo.crm.enrichment.plan import EMAIL_VERIFICATION
from aicmo.crm.fields import canonical
from aicmo.crm.lifecycle import advance, is_forward
from aicmo.errors import InvalidInput
from aicmo.gateways.leads import EmailStatus, Enrichment, Verification
from aicmo.store import changes, contacts, lookups, suppressions
from aicmo.store import fields as field_store
from aicmo.store.changes import ChangedPerson
from aicmo.store.contacts import Entry
from aicmo.store.lookups import Settled, Verdict
from aicmo.store.suppressions import SuppressionReason


@dataclass(slots=True)
class Applied:
    """What the answers of one batch did."""

    changed: int = 0
    conflicts: int = 0
    suppressed: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Applying:
    """One provider's answers, on their way into the store."""

    capability: str
    provider: str
    now: datetime
    days: int
    """So long a verdict counts: within it, not knowing does not replace it."""
    change: Callable[[sqlite3.Connection], int]
    """The change that everything of the run belongs to; begun when it is first needed."""
    actor: str = "you"

    def settle(
        self, db: sqlite3.Connection, batch: str, people: Sequence[int], answers: Sequence[Enrichment | None]
    ) -> Applied:
        """Write what was answered about each of ``people``; ``None`` is a miss."""
        entries = contacts.by_id(db, people)  # who was deleted meanwhile is gone with all that was asked
        pairs = [(number, answer) for number, answer in zip(people, answers, strict=True) if number in entries]
        lookups.settle(db, batch, [self._settled(number, answer, entries[number]) for number, answer in pairs])
        applied = Applied()
        found = {number: answer for number, answer in pairs if answer is not None}
        facts: dict[int, dict[str, str]] = {}
        if self.capability != EMAIL_VERIFICATION:
            facts = {number: told(answer.fields) for number, answer in found.items()}
            lookups.put_facts(db, batch, self.provider, facts, self.now)
        stages = self._judge(db, entries, found, applied)
        self._change(db, entries, facts, stages, applied)
        self._count_conflicts(db, facts, applied)
        return applied

    def _settled(self, number: int, answer: Enrichment | None, entry: Entry) -> Settled:
        outcome = "found" if knows(self.capability, answer, entry.email) else "no_match"
        return Settled(number, outcome, int(answer.credits * 1000) if answer else 0)

    def _judge(
        self, db: sqlite3.Connection, entries: Mapping[int, Entry], found: Mapping[int, Enrichment], applied: Applied
    ) -> dict[int, list[str]]:
        """Keep what was said of people's addresses; where each may stand now, lowest first."""
        before = lookups.verdicts(db, found)
        recent = rfc3339(self.now - timedelta(days=self.days))
        given: dict[int, Verdict] = {}
        stages: dict[int, list[str]] = {}
        for number, answer in found.items():
            tells_more = self.capability != EMAIL_VERIFICATION and answer.fields.keys() - {"email"}
            stages[number] = ["ENRICHED"] if tells_more else []
            for said in answer.emails:
                address = _address(said)
                if said.do_not_contact and address:
                    self._suppress(db, said, address, applied)
                if address == entries[number].address:
                    applied.verdicts.append(said.status)
                    if _outweighs(said, before.get(number), recent):
                        given[number] = Verdict(said.status, said.word, self.provider, rfc3339(self.now))
                    if said.status is EmailStatus.VALID:
                        stages[number].append("VERIFIED")
        lookups.put_verdicts(db, given)
        return stages

    def _suppress(self, db: sqlite3.Connection, said: Verification, address: str, applied: Applied) -> None:
        source = f"{self.provider}: do not contact"
        if suppressions.add(db, address, SuppressionReason.UNSUBSCRIBED, source, self.now):
            applied.suppressed.append(said.email)

    def _change(
        self,
        db: sqlite3.Connection,
        entries: Mapping[int, Entry],
        facts: Mapping[int, Mapping[str, str]],
        stages: Mapping[int, Sequence[str]],
        applied: Applied,
    ) -> None:
        """Fill what is empty and move people on: one step of undo with everything else of the run."""
        fit = _fit(db)
        moves = [(number, entries[number], filled(entries[number], said, fit)) for number, said in facts.items()]
        moves = [move for move in moves if move[1] != move[2]]
        contacts.rewrite(db, moves, self.now)
        after = dict(entries) | {number: new for number, _, new in moves}
        touched = {number for number, *_ in moves}
        for number, steps in stages.items():
            for stage in steps:
                if is_forward(after[number].stage, stage):
                    cause, change_id = f"{stage.lower()} by {self.provider}", self.change(db)
                    advance(db, number, stage, cause, self.actor, self.now, change_id=change_id)
                    after[number] = after[number]._replace(stage=stage)
                    touched.add(number)
        if touched:
            rows = ((number, *changes.difference(entries[number], after[number])) for number in sorted(touched))
            changes.record(db, self.change(db), (ChangedPerson(*row) for row in rows))
        applied.changed = len(touched)

    def _count_conflicts(
        self, db: sqlite3.Connection, facts: Mapping[int, Mapping[str, str]], applied: Applied
    ) -> None:
        by_person: dict[int, list[lookups.Fact]] = {}
        for fact in lookups.facts_of(db, facts):
            if fact.provider == self.provider:  # what others say was counted when they said it
                by_person.setdefault(fact.contact_id, []).append(fact)
        entries = contacts.by_id(db, by_person)
        applied.conflicts = sum(len(conflicts(number, entries[number], said)) for number, said in by_person.items())


def _outweighs(said: Verification, before: Verdict | None, recent: str) -> bool:
    """Not to know is no news where somebody knew not long ago."""
    known = before is not None and before.status != EmailStatus.UNKNOWN and before.at >= recent
    return said.status is not EmailStatus.UNKNOWN or not known


def _address(said: Verification) -> str:
    try:
        return normalise(said.email).address
    except NotAnAddress:
        return ""


def _fit(db: sqlite3.Connection) -> Fit:
    known = {field.key: field for field in field_store.listed(db)}

    def fit(key: str, text: str) -> str | None:
        if key not in known:
            return text
        try:
            return canonical(known[key].type, known[key].options, text)
        except InvalidInput:
            return None

    return fit
