"""The one sender: takes what is due from the ledger, carries it through the chain, writes down what became of it.

Several workers share one event loop; each holds at most one delivery. There are more of them than connections, so that
a next message is ready when a connection is; but only as many as there are connections carry one at a time, and so
never more rows stand in ``sending``. The outcome of one delivery and the claim of the next go to disk in one
transaction, and the write before the body in another; nothing else touches the disk per message. Whatever kills the
process, ``recover`` at the next start turns what was on its way into ``unknown`` and the rest back into ``queued``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError
from aicmo.gateways import Applied, Attempt, ChainResult, NotNow, Outcome, OutgoingMail, Provider, ProviderChain
from aicmo.gateways.mail import BeforeBody
from aicmo.publishing.email.message import BuiltMessage, MessageBuilder, Recipient, SenderIdentity, delivery_token
from aicmo.publishing.ledger import Ledger, Settlement
from aicmo.publishing.schedule import start_due
from aicmo.publishing.sender_lock import sender_lock
from aicmo.publishing.verdicts import is_dead_address, is_sender_fault, verdict_of
from aicmo.store import Database, campaigns, claiming, contents, leases, meta
from aicmo.store.claiming import Claimed, Refusal, Verdict
from aicmo.store.deliveries import State

log = logging.getLogger(__name__)

LEASE = "sender"
WORKERS_PER_CONNECTION = 2
"""One carries, the other writes down its last outcome and makes its next message ready."""
HEARTBEAT_S = 5.0
GRACE_S = 10.0
"""How long a stop waits for messages on their way; what is still open then becomes unknown."""
CANCEL_AGAIN_S = 0.2
LOOK_AGAIN_S = 1.0
"""How soon a waiting sender sees that another process resumed, paused or queued something."""
SENDER_FAULTS_TO_PAUSE = 3
"""Refusals of our content in a row that pause a campaign: the next recipient's server would refuse it too."""
WAIT_FOR_LIMIT = timedelta(minutes=1)
"""A throttle that ends sooner is waited for; a longer one (a day's allowance) lets the next provider take over."""


class EmailProvider(Provider, Protocol):
    """What the outbox needs of a provider of ``email_sending``."""

    @property
    def connections(self) -> int: ...

    @property
    def limits(self) -> Mapping[str, int]:
        """Window (second, minute, hour, day) -> how many messages may leave in it."""
        ...

    async def send(self, mail: OutgoingMail, *, before_body: BeforeBody) -> Attempt: ...


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run of the outbox came to."""

    status: str
    """``done``: nothing is due any more. ``waiting``: something is, later or when a provider is back. ``stopped``:
    it was asked to stop. ``locked``: another process is the sender, and this one did nothing."""
    reason: str
    """For ``waiting`` and ``locked``: what for, or who; one line."""
    next_at: datetime | None
    """For ``waiting``: when to run again, where that is known."""
    counts: Mapping[str, int]
    """How many deliveries this run brought to each state."""
    recovered_unknown: int
    """Deliveries that a sender before this one left on their way; now ``unknown``."""


class _Held(NotNow):
    """The ledger refused the write before the body."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class Outbox:
    """Build one with what it works on, ``run`` it; ``stop`` ends it after the messages on their way."""

    def __init__(
        self,
        db: Database,
        chain: ProviderChain[EmailProvider],
        lock_file: Path,
        *,
        what: str = "aicmo",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``what`` names this sender to whoever finds the lock taken."""
        self._db = db
        self._chain = chain
        self._lock_file = lock_file
        self._what = what
        self._clock = clock
        self._ledger = Ledger(db, clock)
        connections = max((provider.connections for provider in chain.providers), default=1)
        self._how_many = connections * WORKERS_PER_CONNECTION
        self._carrying = asyncio.Semaphore(connections)
        self._builders: dict[int, MessageBuilder] = {}
        self._identity: meta.Identity | None = None
        self._counts: Counter[str] = Counter()
        self._faults_in_a_row: Counter[int] = Counter()
        self._busy = 0  # workers that hold a delivery, or may be about to; only when none does can the run be over
        self._ending = asyncio.Event()
        self._status, self._reason = "done", ""
        self._next_at: datetime | None = None
        self._closed_until: datetime | None = None
        self._closed_why = ""

    def stop(self) -> None:
        """Take nothing more; ``run`` returns when what is on its way has settled, or after ``GRACE_S``."""
        if not self._ending.is_set():
            self._end("stopped", "asked to stop")

    async def run(self, *, patience_s: float = 0.0, max_seconds: float | None = None) -> RunReport:
        """Send everything due in running campaigns.

        ``patience_s`` is how long it waits for what is due later, or for a provider that is closed; infinity waits
        until nothing is left. ``max_seconds`` stops it however much is left.
        """
        with sender_lock(self._lock_file) as held:
            if not held:
                lease = await self._db.aread(lambda db: leases.holder(db, LEASE))
                who = f"{lease.what} (process {lease.pid})" if lease else "another process"
                return RunReport("locked", f"{who} is sending", None, {}, 0)
            now = self._clock.now()
            unknown, _ = await self._db.awrite(lambda db: claiming.recover(db, now))
            if unknown:
                log.warning("%d deliveries were on their way when a sender stopped; they are unknown", unknown)
            self._identity = await self._db.aread(meta.identity)
            async with self._heartbeat():
                await self._run_workers(patience_s, max_seconds)
            # A worker that had to be cut off leaves its row on its way: the lock is still ours, so say so now.
            left, _ = await self._db.awrite(lambda db: claiming.recover(db, self._clock.now()))
            self._counts[State.UNKNOWN] += left
        return RunReport(self._status, self._reason, self._next_at, dict(+self._counts), unknown)

    # --- the workers ------------------------------------------------------------------------------------------------

    async def _run_workers(self, patience_s: float, max_seconds: float | None) -> None:
        workers = [asyncio.create_task(self._work(patience_s), name=f"outbox-{n}") for n in range(self._how_many)]
        ending = asyncio.create_task(self._ending.wait())
        try:
            done, _ = await asyncio.wait([ending, *workers], timeout=max_seconds, return_when=asyncio.FIRST_COMPLETED)
            if ending not in done:
                self._end("stopped", "a worker failed" if done else f"after {max_seconds:g} seconds")
            await asyncio.wait(workers, timeout=GRACE_S)
        finally:
            ending.cancel()
            await _cut_off(workers)
            await self._ledger.idle()
        for worker in workers:
            if not worker.cancelled() and (error := worker.exception()) is not None:
                raise error

    async def _work(self, patience_s: float) -> None:
        settled: Settlement | None = None
        while settled is not None or not self._ending.is_set():
            self._busy += 1
            try:
                claimed = await self._settle_and_claim(settled)
                settled = await self._deliver(claimed) if claimed is not None else None
            finally:
                self._busy -= 1
            if settled is None:
                await self._rest(patience_s)

    async def _settle_and_claim(self, settled: Settlement | None) -> Claimed | None:
        may_claim = not self._ending.is_set() and (
            self._closed_until is None or self._closed_until <= self._clock.now()
        )
        claimed = await self._ledger.settle_and_claim(settled, claim=may_claim)
        if settled is not None:
            self._counts[settled.verdict.state] += 1
            if settled.pause:
                log.warning("campaign %d paused: %s", settled.delivery.campaign_id, settled.pause)
        return claimed

    async def _rest(self, patience_s: float) -> None:
        """Nothing can be done now: end the run, or wait a little for what comes."""
        if self._ending.is_set():
            return
        now = self._clock.now()
        next_at, why = self._closed_until, self._closed_why
        if next_at is None or next_at <= now:
            next_at, why = await self._db.awrite(lambda db: _next_due(db, now)), "the next try is later"
        if self._busy == 0:
            if next_at is None:
                self._end("done", "")
                return
            if (next_at - now).total_seconds() > patience_s:
                self._end("waiting", why, next_at)
                return
        left = LOOK_AGAIN_S if next_at is None else min(LOOK_AGAIN_S, max(0.01, (next_at - now).total_seconds()))
        await self._sleep(left)

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the end."""
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.create_task(self._ending.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _end(self, status: str, reason: str, next_at: datetime | None = None) -> None:
        self._status, self._reason, self._next_at = status, reason, next_at
        self._ending.set()

    # --- one delivery -----------------------------------------------------------------------------------------------

    async def _deliver(self, claimed: Claimed) -> Settlement:
        try:
            builder = await self._builder(claimed.campaign_id)
            message = builder.build(self._recipient(claimed), self._clock.now())
        except AicmoError as error:  # this recipient's message cannot be built; the others' can
            return Settlement(claimed, Verdict(State.FAILED, reason=error.message))
        # Whoever comes next finds this one's outcome ahead of it in the ledger: nothing is waited for in between.
        async with self._carrying:
            if self._ending.is_set():
                return Settlement(claimed, Verdict(State.QUEUED))
            return await self._carry(claimed, message)

    async def _carry(self, claimed: Claimed, message: BuiltMessage) -> Settlement:
        """Through the chain, and what came of it."""
        mail = OutgoingMail(mail_from=message.mail_from, recipient=message.recipient, raw=message.raw)
        let_go = False

        async def carry(provider: EmailProvider) -> Attempt:
            nonlocal let_go

            async def before_body() -> None:
                nonlocal let_go
                await self._let_go(claimed, message.message_id, provider)
                let_go = True

            try:
                return await provider.send(mail, before_body=before_body)
            except _Held as held:
                until = held.refusal.until
                if until is None or until - self._clock.now() <= WAIT_FOR_LIMIT:
                    raise
                return Attempt(
                    provider.name, Outcome.QUOTA, Applied.NO, "data", detail=held.refusal.detail, retry_at=until
                )

        try:
            result = await self._chain.call(carry, side_effect=True, concerning=mail.recipient)
        except _Held as held:
            return Settlement(claimed, self._held_back(held.refusal, let_go))
        self._notice_closed(result)
        verdict = verdict_of(result, attempts_before=claimed.attempts, let_go=let_go, now=self._clock.now())
        return Settlement(claimed, verdict, is_dead_address(result.final), self._pause_after(claimed, result.final))

    async def _let_go(self, claimed: Claimed, message_id: str, provider: EmailProvider) -> None:
        refusal = await self._ledger.let_go(claimed, message_id, provider.name, provider.limits)
        if refusal is not None:
            raise _Held(refusal)

    def _held_back(self, refusal: Refusal, let_go: bool) -> Verdict:
        """The verdict on a delivery whose body the ledger kept back; ``let_go``: an earlier provider had it already."""
        if refusal.until is not None:
            self._closed_until, self._closed_why = refusal.until, refusal.detail
        if refusal.why == "suppressed":
            return Verdict(State.FAILED if let_go else State.SUPPRESSED, reason=refusal.detail)
        if let_go:
            return Verdict(State.DEFERRED, reason=refusal.detail, retry_at=refusal.until or self._clock.now())
        return Verdict(State.QUEUED)

    def _notice_closed(self, result: ChainResult) -> None:
        """When nobody of the chain may serve, take no more from the ledger until somebody may."""
        if result.final.outcome is Outcome.SKIPPED:
            self._closed_until = result.retry_at or self._clock.now() + timedelta(days=1)
            self._closed_why = result.final.detail
        elif result.served_by:
            self._closed_until = None

    async def _builder(self, campaign_id: int) -> MessageBuilder:
        if campaign_id not in self._builders:

            def load(db: sqlite3.Connection) -> MessageBuilder:
                campaign = campaigns.get(db, campaign_id)
                assert campaign.version_id is not None  # a running campaign has fixed what it sends
                draft = contents.get_version(db, campaign.version_id).draft
                return MessageBuilder(draft, SenderIdentity(**campaign.sender), campaign.name)

            self._builders[campaign_id] = await self._db.aread(load)
        return self._builders[campaign_id]

    def _recipient(self, claimed: Claimed) -> Recipient:
        assert self._identity is not None
        token = delivery_token(self._identity, claimed.campaign_id, claimed.id)
        return Recipient(claimed.email, claimed.values, token)

    def _pause_after(self, claimed: Claimed, final: Attempt) -> str:
        """Why to pause a campaign that servers refuse for what it says, or nothing.

        More of it would only harm the sender's name.
        """
        if not is_sender_fault(final):
            self._faults_in_a_row[claimed.campaign_id] = 0
            return ""
        self._faults_in_a_row[claimed.campaign_id] += 1
        if self._faults_in_a_row[claimed.campaign_id] < SENDER_FAULTS_TO_PAUSE:
            return ""
        self._faults_in_a_row[claimed.campaign_id] = 0
        return f"{SENDER_FAULTS_TO_PAUSE} refusals of the content in a row: {final.code} {final.detail}".strip()

    @asynccontextmanager
    async def _heartbeat(self) -> AsyncIterator[None]:
        """Say in the store who is sending, as long as it is so."""
        pid, host = os.getpid(), socket.gethostname()

        async def beat() -> None:
            while True:
                await self._db.awrite(
                    lambda db: leases.hold(db, LEASE, pid=pid, host=host, what=self._what, now=self._clock.now())
                )
                await self._clock.sleep(HEARTBEAT_S)

        task = asyncio.create_task(beat(), name="outbox-heartbeat")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, AicmoError):
                await task
            await self._db.awrite(lambda db: leases.release(db, LEASE, pid=pid))


async def _cut_off(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks until all have ended.

    Once is not enough: ``asyncio.wait_for`` before Python 3.12 loses a cancellation that comes as what it waits for is
    done, and the task goes on to whatever comes next, such as a server that never answers.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)


def _next_due(db: sqlite3.Connection, now: datetime) -> datetime | None:
    """When there is something to do, what a scheduled campaign has just begun with included; ``None`` for never."""
    start_due(db, now)
    return claiming.next_due_at(db, campaigns.running_ids(db), now)
