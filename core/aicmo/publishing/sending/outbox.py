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
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, StoreError
from aicmo.gateways import Applied, Attempt, ChainResult, NotNow, Outcome, OutgoingMail, Provider, ProviderChain
from aicmo.gateways.mail import BeforeBody
from aicmo.publishing.due import bring_about, next_due
from aicmo.publishing.email.message import BuiltMessage, MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.email.rules import PLAIN_RULES, MessageRules
from aicmo.publishing.email.tokens import delivery_token
from aicmo.publishing.schedule import newcomers
from aicmo.publishing.sending.allowance import SendingAccount, account, room_at
from aicmo.publishing.sending.ledger import Ledger, Settlement
from aicmo.publishing.sending.rules import AS_USUAL, SendingRules
from aicmo.publishing.sending.sender_lock import sender_lock
from aicmo.publishing.sending.verdicts import is_dead_address, slows_domain, verdict_of
from aicmo.publishing.sending.watching import Watch
from aicmo.publishing.sending.whereabouts import settle_in
from aicmo.publishing.wording import wording
from aicmo.store import Database, campaigns, claiming, gates, leases, messages, meta
from aicmo.store.claiming import Claimed, Refusal, Verdict
from aicmo.store.deliveries import CAUSES, State
from aicmo.tasks import cut_off

log = logging.getLogger(__name__)

LEASE = "sender"
STOPPED_BY_HAND = "asked to stop"
STOPPED = "Sending has stopped; what was on its way is listed as unknown when it goes on."
WORKERS_PER_CONNECTION = 2
"""One carries, the other writes down its last outcome and makes its next message ready."""
HEARTBEAT_S = 5.0
GRACE_S = 10.0
"""How long a stop waits for messages on their way; what is still open then becomes unknown."""
WAITS_FOR = {**CAUSES, "step": "the next step of a sequence is later"}
LOOK_AGAIN_S = 1.0
"""How soon a waiting sender sees that another process resumed, paused or queued something."""
WAIT_FOR_LIMIT = timedelta(minutes=1)
"""A throttle that ends sooner is waited for; a longer one (a day's allowance) lets the next provider take over."""


class EmailProvider(Provider, SendingAccount, Protocol):
    """What the outbox needs of a provider of ``email_sending``."""

    @property
    def connections(self) -> int: ...

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
    """How many deliveries this run brought to each state, each counted where it was left; those that were put off by a
    gate or found suppressed among them. Who was put back, untried, is in none."""
    recovered_unknown: int
    """Deliveries that a sender before this one left on their way; now ``unknown``."""
    warning: str = ""
    """That campaigns were paused because this database is a copy or a backup; a sentence."""


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
        rules: MessageRules = PLAIN_RULES,
        sending: SendingRules = AS_USUAL,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``what`` names this sender to whoever finds the lock taken; ``rules`` are for the messages, ``sending`` for
        when they may go."""
        self._db = db
        self._chain = chain
        self._lock_file = lock_file
        self._what = what
        self._rules = rules
        self._clock = clock
        self._late_after = sending.late_after
        self._gates = sending.gates()
        self._ledger = Ledger(db, clock, self._gates)
        self._watch = Watch(db, sending.pause, clock)
        self._limits: dict[str, tuple[date, Mapping[str, int]]] = {}
        """Of an account that warms up: what holds on that day."""
        connections = max((provider.connections for provider in chain.providers), default=1)
        self._how_many = connections * WORKERS_PER_CONNECTION
        self._carrying = asyncio.Semaphore(connections)
        self._builders: dict[tuple[int, int, str, int], MessageBuilder] = {}
        self._compiling = asyncio.Lock()
        self._identity: meta.Identity | None = None
        self._busy = 0  # workers that hold a delivery, or may be about to; only when none does can the run be over
        self._ending = asyncio.Event()
        self._status, self._reason = "done", ""
        self._next_at: datetime | None = None
        self._closed_until: datetime | None = None
        self._closed_why = ""
        self._closed_by_limit = False
        """By one of ours; else nobody of the chain may serve."""
        self._warning = ""
        self._seen_at = clock.now()

    def stop(self) -> None:
        """Take nothing more; ``run`` returns when what is on its way has settled, or after ``GRACE_S``."""
        if not self._ending.is_set():
            self._end("stopped", STOPPED_BY_HAND)

    async def run(
        self,
        *,
        patience_s: float = 0.0,
        for_room_s: float = WAIT_FOR_LIMIT.total_seconds(),
        max_seconds: float | None = None,
    ) -> RunReport:
        """Send everything due in running campaigns.

        ``patience_s`` is how long it waits for what is due later, or for a provider that is closed; infinity waits
        until nothing is left. ``for_room_s`` is how long it waits at least where only limits of ours hold the next one
        back: ten a second are no reason to end after ten. ``max_seconds`` stops it however much is left.
        """
        with sender_lock(self._lock_file) as held:
            if not held:
                lease = await self._db.aread(lambda db: leases.holder(db, LEASE))
                who = f"{lease.what} (process {lease.pid})" if lease else "another process"
                return RunReport("locked", f"{who} is sending", None, {}, 0)
            await self._settle_in(self._hold_lease)
            now = self._clock.now()
            unknown, _ = await self._db.awrite(lambda db: claiming.recover(db, now))
            if unknown:
                log.warning("%d deliveries were on their way when a sender stopped; they are unknown", unknown)
            self._identity = await self._db.aread(meta.identity)
            self._gates.holds.update(await self._db.awrite(lambda db: gates.holds(db, now)))
            for provider in self._chain.providers:
                await self._limits_of(provider)  # before a new try makes yesterday look better than it was
            await self._watch.look()
            async with self._heartbeat():
                await self._run_workers(patience_s, max(patience_s, for_room_s), max_seconds)
            # A worker that had to be cut off leaves its row on its way: the lock is still ours, so say so now.
            left, _ = await self._db.awrite(lambda db: claiming.recover(db, self._clock.now()))
        found = self._ledger.tally.counts + Counter({State.UNKNOWN: left})
        counts = {state.value: found[state] for state in State if found[state]}
        return RunReport(self._status, self._reason, self._next_at, counts, unknown, self._warning)

    async def _settle_in(self, also: Callable[[sqlite3.Connection], None]) -> None:
        """Before anything is claimed or begun, and again and again: is this still the database that last sent?"""
        now = self._clock.now()
        if told := await settle_in(self._db, now, also):
            log.warning("%s", told)
            self._warning = told
        if now < self._seen_at:
            self._closed_until = None  # that was a moment of the clock before it was set back
        self._seen_at = now

    def _hold_lease(self, db: sqlite3.Connection) -> None:
        host = socket.gethostname()
        leases.hold(db, LEASE, pid=os.getpid(), host=host, what=self._what, now=self._clock.now())

    # --- the workers ------------------------------------------------------------------------------------------------

    async def _run_workers(self, patience_s: float, for_room_s: float, max_seconds: float | None) -> None:
        workers = [
            asyncio.create_task(self._work(patience_s, for_room_s), name=f"outbox-{n}") for n in range(self._how_many)
        ]
        ending = asyncio.create_task(self._ending.wait())
        try:
            done, _ = await asyncio.wait([ending, *workers], timeout=max_seconds, return_when=asyncio.FIRST_COMPLETED)
            if ending not in done:
                self._end("stopped", "a worker failed" if done else f"after {max_seconds:g} seconds")
            await asyncio.wait(workers, timeout=GRACE_S)
        finally:
            ending.cancel()
            await cut_off(workers)
            await self._ledger.idle()
        problems = [error for worker in workers if not worker.cancelled() and (error := worker.exception())]
        for error in problems[:1]:
            if isinstance(error, StoreError):  # the ledger could not be written, so no body was let go any more
                error.hint = f"{error.hint} {STOPPED}"
            raise error

    async def _work(self, patience_s: float, for_room_s: float) -> None:
        settled: Settlement | None = None
        while settled is not None or not self._ending.is_set():
            self._busy += 1
            try:
                claimed = await self._settle_and_claim(settled)
                settled = await self._deliver(claimed) if claimed is not None else None
            finally:
                self._busy -= 1
            if settled is None:
                await self._rest(patience_s, for_room_s)

    async def _settle_and_claim(self, settled: Settlement | None) -> Claimed | None:
        may_claim = not self._ending.is_set() and (
            self._closed_until is None or self._closed_until <= self._clock.now()
        )
        claimed = await self._ledger.settle_and_claim(settled, claim=may_claim)
        if settled is not None and settled.pause:
            log.warning("campaign %d paused: %s", settled.delivery.campaign_id, settled.pause)
        return claimed

    async def _rest(self, patience_s: float, for_room_s: float) -> None:
        """Nothing can be done now: end the run, or wait a little for what comes."""
        if self._ending.is_set():
            return
        now = self._clock.now()
        next_at, why, for_room = self._closed_until, self._closed_why, self._closed_by_limit
        if next_at is None or next_at <= now:
            next_at, cause = await self._db.awrite(lambda db: next_due(db, now, self._late_after))
            why, for_room = WAITS_FOR.get(cause, "the next try is later"), cause == "limit"
        if self._busy == 0:
            if next_at is None:
                self._end("done", "")
                return
            if (next_at - now).total_seconds() > (for_room_s if for_room else patience_s):
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
        await self._load_key()
        try:
            builder = await self._builder(claimed)
        except AicmoError as error:  # nobody's message can be built, so nobody is failed for it
            return Settlement(claimed, Verdict(State.QUEUED), pause=error.message)
        try:
            message = builder.build(self._recipient(claimed), self._clock.now())
        except AicmoError as error:  # this recipient's message cannot be built; the others' can
            verdict = Verdict(State.FAILED, reason=error.message, cause="message")
            return Settlement(claimed, verdict, pause=self._watch.unbuilt(claimed.campaign_id, error.message))
        self._watch.built(claimed.campaign_id)
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
                if held.refusal.why != "limit" or until is None or until - self._clock.now() <= WAIT_FOR_LIMIT:
                    raise
                return Attempt(
                    provider.name, Outcome.QUOTA, Applied.NO, "data", detail=held.refusal.detail, retry_at=until
                )

        try:
            result = await self._chain.call(carry, side_effect=True, concerning=mail.recipient)
        except _Held as held:
            return Settlement(claimed, self._held_back(held.refusal, let_go))
        self._notice_closed(result)
        final = result.final
        verdict = verdict_of(result, attempts_before=claimed.attempts, let_go=let_go, now=self._clock.now())
        why = await self._watch.after(claimed.campaign_id, final, verdict)
        return Settlement(claimed, verdict, is_dead_address(final), why, slows_domain(final), final.retry_at)

    async def _let_go(self, claimed: Claimed, message_id: str, provider: EmailProvider) -> None:
        limits = await self._limits_of(provider)
        refusal = await self._ledger.let_go(claimed, message_id, provider.name, limits)
        if refusal is None:
            return
        if refusal.until is not None and refusal.why == "limit" and provider.warm_up:
            until, now = refusal.until, self._clock.now()
            refusal = replace(refusal, until=await self._db.aread(lambda db: room_at(db, provider, until, now)))
        raise _Held(refusal)

    async def _limits_of(self, provider: EmailProvider) -> Mapping[str, int]:
        """Its limits today, its warm-up's cap among them."""
        if not provider.warm_up:
            return provider.limits
        now = self._clock.now()
        day, limits = self._limits.get(provider.name, (None, provider.limits))
        if day != now.date():
            limits = (await self._db.aread(lambda db: account(db, provider, now))).limits_now
            self._limits[provider.name] = now.date(), limits
        return limits

    def _held_back(self, refusal: Refusal, let_go: bool) -> Verdict:
        """The verdict on a delivery whose body the ledger kept back; ``let_go``: an earlier provider had it already."""
        if refusal.why in ("suppressed", "left"):
            if let_go:  # too late for no server to have tried
                return Verdict(State.FAILED, reason=refusal.detail, cause="server")
            if refusal.why == "left":
                return Verdict(State.CANCELLED, reason=refusal.detail, cause="stopped")
            return Verdict(State.SUPPRESSED, reason=refusal.detail)
        if refusal.why == "limit" and refusal.until is not None:
            self._closed_until, self._closed_why, self._closed_by_limit = refusal.until, refusal.detail, True
        if let_go or refusal.why == "domain":  # others may go to other domains meanwhile
            cause, later = "limit" if refusal.until else "server", refusal.until or self._clock.now()
            return Verdict(State.DEFERRED, reason=refusal.detail, retry_at=later, cause=cause)
        return Verdict(State.QUEUED)

    def _notice_closed(self, result: ChainResult) -> None:
        """When nobody of the chain may serve, take no more from the ledger until somebody may."""
        if result.final.outcome is Outcome.SKIPPED:
            self._closed_until = result.retry_at or self._clock.now() + timedelta(days=1)
            self._closed_why, self._closed_by_limit = result.final.detail, False
        elif result.served_by:
            self._closed_until = None

    async def _load_key(self) -> None:
        """A key that is not there ends the run, in an error: it is no fault of a campaign's, nor of a recipient's."""
        signer = self._rules.signer
        if signer is not None and not signer.is_loaded:
            await asyncio.to_thread(signer.load)

    async def _builder(self, claimed: Claimed) -> MessageBuilder:
        what = (claimed.campaign_id, claimed.step, claimed.variant, claimed.version_id)

        def load(db: sqlite3.Connection) -> MessageBuilder:
            campaign = campaigns.get(db, claimed.campaign_id)
            message = messages.claimed(db, *what)
            sender = SenderIdentity(**campaign.sender)
            return wording(campaign, message, messages.draft(db, message), sender, self._rules).builder()

        if what not in self._builders:
            async with self._compiling:  # all workers come for the first one at once
                if what not in self._builders:
                    self._builders[what] = await self._db.aread(load)
        return self._builders[what]

    def _recipient(self, claimed: Claimed) -> Recipient:
        assert self._identity is not None
        token = delivery_token(self._identity, claimed.campaign_id, claimed.id)
        return Recipient(claimed.email, claimed.values, token, claimed.address)

    async def _bring_about(self, now: datetime) -> None:
        come = await self._db.aread(lambda db: newcomers(db, now))
        await self._db.awrite(lambda db: bring_about(db, now, self._late_after, come))

    @asynccontextmanager
    async def _heartbeat(self) -> AsyncIterator[None]:
        """Say in the store who is sending, as long as it is so."""

        async def beat() -> None:
            while True:
                with _told_only("do what time brings about"):  # a long campaign does not hold up all others
                    await self._bring_about(self._clock.now())
                with _told_only("look how the campaigns fare"):
                    await self._watch.look()
                await self._clock.sleep(HEARTBEAT_S)
                with _told_only("say who is sending"):
                    await self._settle_in(self._hold_lease)

        task = asyncio.create_task(beat(), name="outbox-heartbeat")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with _told_only("say that nobody is sending"):
                await self._settle_in(_let_lease_go)  # a backup made since the last time lacks what went after it


def _let_lease_go(db: sqlite3.Connection) -> None:
    leases.release(db, LEASE, pid=os.getpid())


@contextmanager
def _told_only(what: str) -> Iterator[None]:
    """For what is said beside the sending: whether that goes on, the ledger's own writes decide."""
    try:
        yield
    except StoreError as error:
        log.warning("could not %s: %s", what, error.message)
