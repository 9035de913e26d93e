"""One run: batches past the providers, several at a time, each of them on disk before it is asked and right after.

What provably was not asked goes back into its lane. What may have been paid for is called unknown and not asked again.
A provider that fails closes its own lane and nobody else's.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from aicmo.clock import Clock
from aicmo.crm.enrichment.applying import Applying
from aicmo.crm.enrichment.asking import Desk, knows, spent
from aicmo.crm.enrichment.lanes import Lane, Lanes, Purse
from aicmo.crm.enrichment.plan import KEPT_DAYS, Plan, Wish, lead_of
from aicmo.crm.enrichment.result import COUNTED, EnrichmentResult, Progress
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.chain import ProviderChain
from aicmo.gateways.chain_answer import ChainAnswer
from aicmo.gateways.leads import Enrichment, Lead
from aicmo.store import Database, changes, contacts, lookups, suppressions
from aicmo.store.lookups import Settled, Waiting

RATE_PATIENCE_S = 90.0
"""A limit that ends within this time is waited for: every window of a minute does."""
_BACK_IN_THE_LANE = (Outcome.RATE_LIMITED, Outcome.QUOTA, Outcome.AUTH)
_STRONGEST = {name: -place for place, name in enumerate(COUNTED)}

People = list[tuple[int, Lead]]


class Run:
    """Everything of one run. ``lanes.stop`` ends it between batches."""

    def __init__(
        self,
        db: Database,
        chain: ProviderChain[Any],
        wish: Wish,
        *,
        days: int,
        at_once: int,
        patience_s: float,
        clock: Clock,
        progress: Callable[[Progress], None],
    ) -> None:
        """``at_once``: batches on their way to each provider. ``patience_s``: how long a provider in trouble is waited
        for."""
        self._db, self._chain, self._wish = db, chain, wish
        self._days, self._at_once, self._patience_s = days, at_once, patience_s
        self._clock, self._progress = clock, progress
        self._purse = Purse(wish.max_credits)
        self._change_id: int | None = None
        self._standing: dict[int, str] = {}
        self._gone: set[int] = set()
        self._ended: Counter[int] = Counter()
        self._done = 0
        self._plan = Plan(())
        self.lanes = Lanes(Lane(Desk(provider, wish.capability)) for provider in chain.providers)
        self.result = EnrichmentResult("done")

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """What earlier runs did not live to write down: fetch it where that is possible, else call it unknown."""
        kept_since = self._clock.now() - timedelta(days=KEPT_DAYS)

        def lost_and_waiting(db: sqlite3.Connection) -> tuple[int, list[Waiting]]:
            return lookups.lose(db, self._wish.capability), lookups.waiting(db, self._wish.capability, kept_since)

        self.result.lost, batches = await self._db.awrite(lost_and_waiting)
        lanes = {lane.desk.name: lane for lane in self.lanes.all}
        turn = asyncio.Semaphore(self._at_once)

        async def fetch(lane: Lane, batch: Waiting) -> None:
            async with turn:
                if not self.lanes.stopped.is_set():
                    await self._fetch(lane, batch)

        await _all([fetch(lanes[each.provider], each) for each in batches if each.provider in lanes])

    async def ask(self, plan: Plan, left: Mapping[str, int | None]) -> None:
        """Ask about everybody in ``plan``. ``left``: provider -> the credits that may still be spent, where known."""
        self._plan = plan
        by_name = {lane.desk.name: lane for lane in self.lanes.all}
        for lane in self.lanes.all:
            lane.purse = Purse(left.get(lane.desk.name) if lane.desk.paid else None)
        for number, providers in plan.todo.items():
            for name in providers if self._wish.parallel else providers[:1]:
                by_name[name].queue.append(number)
        self._tell()
        await _all([self._work(lane) for lane in self.lanes.all for _ in range(self._at_once)])

    async def sum_up(self) -> EnrichmentResult:
        """The result, with everybody in exactly one count."""
        result, plan = self.result, self._plan
        for lane in self.lanes.all:
            for number in lane.queue:
                self._stand(number, "remaining")
            lane.counts.not_asked += len(lane.queue)
            lane.counts.why = lane.closed or ("stopped" if lane.queue else "")
        gone = len(self._gone - self._standing.keys())
        plan.skipped.update({"gone": gone} if gone else {})
        result.selected, result.skipped = plan.selected, dict(plan.skipped)
        result.counts = Counter(self._standing.values())
        result.counts["remaining"] += len(plan.todo) - gone - len(self._standing)
        result.providers = tuple(lane.counts for lane in self.lanes.all)
        result.change_id = self._change_id
        if self._change_id is not None:
            await self._db.awrite(self._describe)
        if self.lanes.stopped.is_set():
            result.status = "stopped"
        elif any(result.counts[name] for name in ("remaining", "failed", "unknown")) or any(
            each.not_asked for each in result.providers
        ):
            result.status = "partial"
        result.why = "; ".join(f"{each.provider}: {each.why}" for each in result.providers if each.why)
        return result

    def _describe(self, db: sqlite3.Connection) -> None:
        assert self._change_id is not None
        verb = "Enriched" if self._wish.capability == "lead_enrichment" else "Verified"
        changed = changes.people_changed(db, self._change_id)
        changes.describe(db, self._change_id, f"{verb} {changed:,} {'person' if changed == 1 else 'people'}")

    def _tell(self) -> None:
        self._progress(Progress(self._done, len(self._plan.todo), tuple(lane.counts for lane in self.lanes.all)))

    def _stand(self, number: int, word: str) -> None:
        """The strongest word about somebody stays."""
        known = self._standing.get(number)
        if known is None or _STRONGEST[word] > _STRONGEST[known]:
            self._standing[number] = word

    # --- one batch ----------------------------------------------------------------------------------------------------

    async def _work(self, lane: Lane) -> None:
        while people := await self.lanes.take(lane):
            asked = await self._afford(lane, people)
            if not asked:
                await self._close(lane, "no credits are left to spend")
                continue
            await self._ask(lane, asked)
            self._tell()

    async def _afford(self, lane: Lane, people: list[int]) -> list[int]:
        """Those whom the credits are enough for; the others go back."""
        affordable = await lane.purse.take(len(people)) if lane.desk.paid else len(people)
        if lane.desk.paid:
            granted = await self._purse.take(affordable) if affordable else 0
            await lane.purse.settle(affordable - granted, 0)
            affordable = granted
        if affordable < len(people):
            await self.lanes.give_back(lane, people[affordable:])
        return people[:affordable]

    async def _ask(self, lane: Lane, ids: list[int]) -> None:
        batch, begun = os.urandom(12).hex(), People()

        async def keep(reference: str) -> None:
            await self._db.awrite(lambda db: lookups.keep_reference(db, batch, reference))

        async def ask(_: Any) -> Answer[tuple[Enrichment | None, ...]]:
            if not begun:
                begun.extend(await self._db.awrite(lambda db: self._begin(db, lane, batch, ids)))
            if not begun:
                return Answer(
                    Attempt(lane.desk.name, Outcome.SKIPPED, Applied.NO, detail="nobody is left to ask about")
                )
            return await lane.desk.ask([lead for _, lead in begun], keep, self.lanes.stopped)

        answer = await self._chain.ask(ask, only=lane.desk.name, cost=lane.desk.cost(len(ids)), spent=spent)
        await self._pay(lane, len(ids), answer)
        people = [number for number, _ in begun]
        if answer.attempts:
            self._gone.update(set(ids) - set(people))
        in_doubt = next((each for each in answer.attempts if each.applied is not Applied.NO), None)
        if answer.value is not None or answer.final.outcome is Outcome.MISS:
            await self._settle(lane, batch, begun, answer.value or (None,) * len(begun), ids)
        elif in_doubt is not None:
            await self._doubt(lane, batch, people, in_doubt, ids)
        elif not answer.attempts or answer.final.outcome in _BACK_IN_THE_LANE:
            await self._db.awrite(lambda db: lookups.forget(db, batch))
            await self._wait_or_close(lane, people or ids, answer, len(ids))
        elif not people:
            await self.lanes.done(lane, len(ids))
        else:
            await self._fail(lane, batch, people, answer.final, ids)

    def _begin(self, db: sqlite3.Connection, lane: Lane, batch: str, ids: Sequence[int]) -> People:
        """Write down who is about to be asked about: those who are still there, and may still be written to."""
        entries = contacts.by_id(db, ids)
        suppressed = suppressions.among(db, [entry.address for entry in entries.values()])
        people = [number for number in ids if number in entries and entries[number].address not in suppressed]
        lookups.ask(db, self._wish.capability, lane.desk.name, batch, people, self._clock.now())
        return [(number, lead_of(entries[number], self._wish.capability)) for number in people]

    async def _pay(self, lane: Lane, taken: int, answer: ChainAnswer[Any]) -> None:
        if not lane.desk.paid:
            return
        costs = [spent(Answer(each)) for each in answer.attempts if each.outcome is not Outcome.OK]
        if answer.value is not None:
            costs.append(spent(Answer(answer.final, answer.value)))
        cost = taken if None in costs else sum(each.get("credits", 0) for each in costs if each is not None)
        await lane.purse.settle(taken, cost)
        await self._purse.settle(taken, cost)

    # --- what became of it --------------------------------------------------------------------------------------------

    async def _settle(
        self, lane: Lane, batch: str, people: People, answers: Sequence[Enrichment | None], taken: Sequence[int]
    ) -> None:
        await self._write(lane, batch, [number for number, _ in people], answers)
        onwards = []
        for (number, lead), answer in zip(people, answers, strict=True):
            word = "found" if knows(self._wish.capability, answer, lead.email) else "no_match"
            self._stand(number, word)
            lane.counts.asked += 1
            lane.counts.found += word == "found"
            lane.counts.no_match += word == "no_match"
            lane.counts.credits += answer.credits if answer else 0
            if answer is not None and word == "found" and lane.desk.settles(answer):
                self._end([number])
            else:
                onwards.append(number)
        self._go_on(lane, onwards)
        await self.lanes.done(lane, len(taken))

    async def _write(self, lane: Lane, batch: str, people: Sequence[int], answers: Sequence[Enrichment | None]) -> None:
        applying = Applying(self._wish.capability, lane.desk.name, self._clock.now(), self._days, self._change, "you")
        applied = await self._db.awrite(lambda db: applying.settle(db, batch, people, answers))
        self.result.changed += applied.changed
        self.result.conflicts += applied.conflicts
        self.result.suppressed += tuple(applied.suppressed)
        self.result.verdicts.update(applied.verdicts)

    def _change(self, db: sqlite3.Connection) -> int:
        if self._change_id is None:
            now, by_person = self._clock.now(), self._wish.by_person
            self._change_id = changes.begin(db, "enrich", "Enriched people", "you", now, by_person=by_person)
        return self._change_id

    async def _doubt(self, lane: Lane, batch: str, people: list[int], attempt: Attempt, taken: Sequence[int]) -> None:
        """Nobody knows what came of it. What can be fetched later is nobody else's to answer."""
        unknown = [Settled(number, "unknown") for number in people]

        def work(db: sqlite3.Connection) -> None:
            lookups.settle(db, batch, unknown)
            if attempt.reference:
                lookups.keep_reference(db, batch, attempt.reference)

        await self._db.awrite(work)
        lane.counts.asked += len(people)
        lane.counts.unknown += len(people)
        lane.counts.credits_in_doubt += len(people) if lane.desk.paid else 0
        for number in people:
            self._stand(number, "unknown")
        if attempt.reference:
            self._end(people)
        else:
            self._go_on(lane, people)
        await self.lanes.done(lane, len(taken))

    async def _fail(self, lane: Lane, batch: str, people: list[int], attempt: Attempt, taken: Sequence[int]) -> None:
        await self._db.awrite(lambda db: lookups.settle(db, batch, [Settled(number, "failed") for number in people]))
        lane.counts.asked += len(people)
        lane.counts.failed += len(people)
        for number in people:
            self._stand(number, "failed")
        if attempt.outcome is Outcome.INPUT:
            self._end(people)  # our own fault: the next one could do no better
        else:
            self._go_on(lane, people)
        await self.lanes.done(lane, len(taken))

    def _go_on(self, lane: Lane, people: Sequence[int]) -> None:
        """In a waterfall, on to the next provider that asks."""
        if self._wish.parallel:
            self._end(people)
            return
        by_name = {each.desk.name: each for each in self.lanes.all}
        for number in people:
            names = self._plan.todo[number]
            later = names[names.index(lane.desk.name) + 1 :]
            for name in later:
                if not by_name[name].closed:
                    by_name[name].queue.append(number)
                    break
                by_name[name].counts.not_asked += 1
                self._stand(number, "remaining")
            else:
                self._end([number])

    def _end(self, people: Sequence[int]) -> None:
        """Nothing more is asked about them, or not in this lane when all lanes are asked."""
        for number in people:
            self._ended[number] += 1
            self._done += not self._wish.parallel or self._ended[number] == len(self._plan.todo[number])

    # --- a provider that does not let us ask --------------------------------------------------------------------------

    async def _wait_or_close(self, lane: Lane, people: Sequence[int], answer: ChainAnswer[Any], taken: int) -> None:
        """Wait for a limit that ends soon; close the lane for everything else."""
        await self.lanes.give_back(lane, people)
        if taken > len(people):
            await self.lanes.done(lane, taken - len(people))
        look = await self._chain.registry.look(lane.desk.provider)
        limited = look.allowed or look.cause == Outcome.RATE_LIMITED
        until = answer.retry_at or (look.until if not look.allowed else None)
        wait_s = (until - self._clock.now()).total_seconds() if until else float("inf")
        if answer.final.outcome in (Outcome.QUOTA, Outcome.AUTH) or wait_s > (
            RATE_PATIENCE_S if limited else self._patience_s
        ):
            lane.counts.refused = Outcome.AUTH in (answer.final.outcome, look.cause)
            await self._close(lane, answer.final.detail or answer.final.outcome)
            return
        nap = asyncio.ensure_future(self._clock.sleep(max(wait_s, 0.01)))
        stop = asyncio.ensure_future(self.lanes.stopped.wait())
        try:
            await asyncio.wait([nap, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (nap, stop):
                task.cancel()
            await asyncio.gather(nap, stop, return_exceptions=True)

    async def _close(self, lane: Lane, why: str) -> None:
        left = await self.lanes.close(lane, why)
        lane.counts.not_asked += len(left)
        for number in left:
            self._stand(number, "remaining")
        self._go_on(lane, left)
        await self.lanes.done(lane, 0)

    # --- answers that wait --------------------------------------------------------------------------------------------

    async def _fetch(self, lane: Lane, waiting: Waiting) -> None:
        """An answer that an earlier run paid for. Until it is ready it stays what it is."""
        entries = await self._db.aread(lambda db: contacts.by_id(db, waiting.people.values()))
        asked = [Lead() for _ in range(max(waiting.people) + 1)]
        for place, number in waiting.people.items():
            if number in entries:
                asked[place] = lead_of(entries[number], self._wish.capability)

        async def fetch(_: Any) -> Answer[tuple[Enrichment | None, ...]]:
            return await lane.desk.fetch(waiting.reference, asked, self.lanes.stopped)

        answer = await self._chain.ask(fetch, only=lane.desk.name)
        if answer.value is None and answer.final.outcome is not Outcome.MISS:
            return
        answers = answer.value or (None,) * len(asked)
        people = [(number, answers[place]) for place, number in sorted(waiting.people.items())]
        await self._write(lane, waiting.batch, [number for number, _ in people], [found for _, found in people])
        self.result.fetched += len(people)


async def _all(work: Sequence[Any]) -> None:
    """Everything at once; when one of them fails, the others are ended first."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
