"""The sender's writes to the ledger, those of several workers in one job.

While one transaction is on its way to the disk, what the workers ask for meanwhile is gathered for the next. In it go
first the outcomes, then the writes before a body, then the claims, all of them in one statement: so whoever lets a body
go comes after the outcome that made room for it, and a pause that follows from an outcome holds for all behind it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from aicmo.clock import Clock
from aicmo.errors import IllegalTransition
from aicmo.store import Database, campaigns, claiming, failures, suppressions
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.claiming import Claimed, Claims, Refusal, Verdict
from aicmo.store.deliveries import State
from aicmo.store.gates import Gates, hold
from aicmo.store.set_back import take_as_of
from aicmo.store.suppressions import SuppressionReason


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a delivery, and what follows from it in the same transaction."""

    delivery: Claimed
    verdict: Verdict
    dead_address: bool = False
    """Nobody will ever read mail there: it is suppressed."""
    pause: str = ""
    """Why its campaign is paused, if it is."""
    slows_domain: bool = False
    """The receiving domain asks for less: nothing goes there for a while,"""
    asked_until: datetime | None = None
    """at least until then, if it named a time."""


@dataclass(frozen=True, slots=True)
class _Body:
    """A message whose body asks to leave."""

    delivery: Claimed
    message_id: str
    provider: str
    limits: Mapping[str, int]


@dataclass(slots=True)
class _Request:
    """What one worker waits for."""

    done: asyncio.Future[None]
    settlement: Settlement | None = None
    claims: bool = False
    body: _Body | None = None
    claimed: Claimed | None = None
    refusal: Refusal | None = None
    problem: Exception | None = None


Moved = Sequence[tuple[State, Sequence[int]]]
"""What came to be what, by ids of deliveries, in the order in which it did."""


class Tally:
    """How many deliveries were brought to each state, each counted once: where it was left.

    It remembers who was put off, because only they come again.
    """

    def __init__(self) -> None:
        self.counts: Counter[State] = Counter()
        """Who waits in the queue, or is on the way, is in none."""
        self._put_off: set[int] = set()

    def note(self, moved: Moved) -> None:
        for state, ids in moved:
            if again := self._put_off.intersection(ids):
                self._put_off -= again
                self.counts[State.DEFERRED] -= len(again)
            if state not in (State.QUEUED, State.CLAIMED):
                self.counts[state] += len(ids)
            if state is State.DEFERRED:
                self._put_off.update(ids)


class Ledger:
    """For the workers of one event loop."""

    def __init__(self, db: Database, clock: Clock, gates: Gates | None = None) -> None:
        """``gates`` are what every claim and every body has to pass; ``None``: there are none."""
        self._db = db
        self._clock = clock
        self._gates = gates or Gates()
        self.tally = Tally()
        """Of what is on disk."""
        self._requests: list[_Request] = []
        self._writing: asyncio.Task[None] | None = None
        self._wrote_at = clock.now()
        self._failure: Exception | None = None
        """Why something could not be written. From then on nothing more is let go; outcomes are still tried."""

    async def settle_and_claim(self, settlement: Settlement | None, *, claim: bool) -> Claimed | None:
        """Write down what became of the last delivery and take the next one that is due, if one is.

        Cancelling the caller keeps the outcome and takes nothing more. Raises ``IllegalTransition`` when the delivery
        is not the caller's any more.
        """
        request = _Request(self._future(), settlement, claim)
        await self._written_with_others(request)
        return request.claimed

    async def let_go(
        self, delivery: Claimed, message_id: str, provider: str, limits: Mapping[str, int]
    ) -> Refusal | None:
        """``claiming.let_go``: when this returns ``None``, the row is ``sending`` on disk."""
        request = _Request(self._future(), body=_Body(delivery, message_id, provider, limits))
        await self._written_with_others(request)
        return request.refusal

    async def idle(self) -> None:
        """Return when everything that was asked for is on disk."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    # --- inside -----------------------------------------------------------------------------------------------------

    def _future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    async def _written_with_others(self, request: _Request) -> None:
        self._requests.append(request)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="aicmo-ledger")
        await request.done

    async def _write(self) -> None:
        try:
            while self._requests:
                await asyncio.sleep(0)  # whoever has just been told something asks for the next thing first
                # Of a worker that was cancelled meanwhile, the outcome is true all the same; its body stays.
                asked, self._requests = self._requests, []
                together = [each for each in asked if each.settlement is not None or not each.done.cancelled()]
                for each in together:
                    each.claims = each.claims and not each.done.cancelled() and self._failure is None
                    if each.settlement is None:
                        each.problem = self._failure
                try:
                    now = self._clock.now()
                    set_back, self._wrote_at = now < self._wrote_at, now
                    moved = await self._db.awrite(
                        partial(_write_down, together=together, gates=self._gates, now=now, set_back=set_back)
                    )
                    self.tally.note(moved)
                except Exception as error:  # nothing was written: each of them has to know
                    self._failure = error
                    for each in together:
                        each.problem = error
                for each in together:
                    _tell(each)
        finally:
            self._writing = None


def _write_down(
    db: sqlite3.Connection, together: Sequence[_Request], gates: Gates, now: datetime, *, set_back: bool
) -> Moved:
    """On the writing thread. What is not a worker's any more is its own problem; anything else undoes all of it."""
    moved: list[tuple[State, Sequence[int]]] = []
    if set_back:
        take_as_of(db, now)
    for each in together:
        if each.settlement is not None:
            try:
                moved.append((_settle(db, each.settlement, gates, now), (each.settlement.delivery.id,)))
            except IllegalTransition as problem:
                each.problem = problem
    for each in together:
        if (body := each.body) is not None and each.problem is None:
            try:
                each.refusal = claiming.let_go(
                    db, body.delivery, body.message_id, body.provider, body.limits, now, gates
                )
            except IllegalTransition as problem:
                each.problem = problem
    asking = [each for each in together if each.claims and each.problem is None]
    taken, put_off = _claim(db, len(asking), gates, now)
    for each, claimed in zip(asking, taken, strict=False):
        each.claimed = claimed
    return [*moved, *put_off, (State.CLAIMED, [each.id for each in taken])]


def _settle(db: sqlite3.Connection, settlement: Settlement, gates: Gates, now: datetime) -> State:
    delivery, verdict = settlement.delivery, settlement.verdict
    came_to = claiming.settle(db, delivery, verdict, now)
    why = verdict.code if settlement.dead_address else ""
    if verdict.state is State.FAILED and verdict.cause in failures.SOFT:
        why = failures.condemned(db, delivery.id)
    if why:
        source = f"campaign {delivery.campaign_id}: {why}"
        suppressions.add(db, delivery.address, SuppressionReason.BOUNCED, source, now)
    if settlement.slows_domain:
        hold(db, gates, delivery.address.rpartition("@")[2], settlement.asked_until, now)
    if settlement.pause and campaigns.get(db, delivery.campaign_id).status is CampaignStatus.RUNNING:
        campaigns.move(db, delivery.campaign_id, CampaignStatus.PAUSED, pause_reason=settlement.pause)
    return came_to


def _claim(db: sqlite3.Connection, most: int, gates: Gates, now: datetime) -> Claims:
    """What is due next, of the oldest running campaign first."""
    found = Claims([], [])
    if most:
        for campaign_id in campaigns.running_ids(db):
            taken, put_off = claiming.claim(db, campaign_id, now, most=most - len(found.taken), gates=gates)
            found.taken.extend(taken)
            found.put_off.extend(put_off)
            if len(found.taken) == most:
                break
    return found


def _tell(request: _Request) -> None:
    if request.done.done():
        return
    if request.problem is None:
        request.done.set_result(None)
    else:
        request.done.set_exception(request.problem)
