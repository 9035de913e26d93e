"""Which provider may be called now, and what is learned from calling it.

The registry reads the shared state before every call (a few microseconds), writes what changes a decision at once, and
batches plain successes to one write a second. It must never make a call fail: when the store cannot be used it goes on
with what this process knows, ``degraded`` says so, and what was learned meanwhile is written when the store is back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, StoreLocked
from aicmo.gateways import breaker
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.local_fault import Network, unreachable
from aicmo.gateways.providers import Provider
from aicmo.provider_state import (
    COOLING,
    DISABLED,
    EVENTS_KEPT,
    FORCED,
    OK,
    PROBING,
    Change,
    ProviderState,
    StateChange,
    never_called,
)

if TYPE_CHECKING:
    from asyncio import Task
    from concurrent.futures import Executor, Future

T = TypeVar("T")
log = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0
TALLY_KEPT = 1000
"""Successes that wait to be written, per provider; beyond twenty they change no score."""
STORE_RETRY_S = 5.0
"""How long the store is left alone after it failed."""
FINGERPRINT_FRESH_S = 60.0
PROBE_POLL_S = 1.0
"""When to look again while another caller's probe is under way: it rarely takes longer."""
CHECK_TIMEOUT_S = 6.0
"""A check that takes longer has failed: a fifth of what a real call may take, and well within the probe's lease."""
GRACE_S = 2.0
"""How long a process that ends waits for a check under way."""
FORCE_EVERY_S = 5.0
"""How often somebody who waits may try a provider that is closed."""
COUNTS_NOT = -1
"""The generation of a call that is counted and decides nothing."""


class HealthStore(Protocol):
    """Where provider state is kept. Every method may raise ``AicmoError``; the registry then does without."""

    def get(self, name: str) -> ProviderState:
        """The state, or the defaults of one that nobody has called. Called on the event loop: at most 50 ms."""
        ...

    def load_all(self) -> Mapping[str, ProviderState]: ...

    def update(self, name: str, change: Change) -> ProviderState:
        """Replace the state by ``change`` of it and keep the event, in one step. Called in a thread."""
        ...

    def events(self, limit: int = EVENTS_KEPT) -> Sequence[StateChange]:
        """The last changes of state, newest first."""
        ...


class MemoryHealthStore:
    """State of this process alone: for tests, and for going on when there is no file."""

    def __init__(self) -> None:
        self._states: dict[str, ProviderState] = {}
        self._events: list[StateChange] = []

    def get(self, name: str) -> ProviderState:
        return self._states.get(name) or never_called(name)

    def load_all(self) -> Mapping[str, ProviderState]:
        return dict(self._states)

    def keep(self, state: ProviderState) -> None:
        """Take over what another store holds."""
        self._states[state.name] = state

    def update(self, name: str, change: Change) -> ProviderState:
        self._states[name], event = change(self.get(name))
        if event is not None:
            self._events = [event, *self._events][:EVENTS_KEPT]
        return self._states[name]

    def events(self, limit: int = EVENTS_KEPT) -> Sequence[StateChange]:
        return self._events[:limit]


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to "may I call it now?". Hand it back to ``record`` or ``release``."""

    provider: str
    allowed: bool
    gen: int = 0
    settled: bool = False
    """In service and without a failure pending: a success tells nothing that must be written at once."""
    probe: bool = False
    """This call is the only one allowed now."""
    first: bool = False
    """It is a probe of a provider that has not answered since it was closed: nobody should have to wait for it."""
    forced: bool = False
    """It is closed, and called all the same: a failure counts and decides nothing."""
    until: datetime | None = None
    """When closed: not before then (UTC)."""
    reason: str = ""
    """When closed: why, in plain words."""
    cause: str = ""
    """When closed: the outcome class, or ``slow``, ``flapping``, ``reputation``, ``disabled``, ``network``."""


class HealthRegistry:
    """All providers' health. One per process and store; ``close`` it to write the last second of successes."""

    def __init__(
        self,
        store: HealthStore | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] | None = None,
        degraded: str = "",
        writer: Executor | None = None,
    ) -> None:
        """``store`` is ``None`` to remember nothing beyond this process; ``degraded`` then says why, for the person.

        ``writer`` runs what is written, one after the other; by default a thread of its own, begun when needed.
        """
        if rng is None:
            import random

            rng = random.random
        self._memory = MemoryHealthStore()
        self._store: HealthStore = store or self._memory
        self._clock = clock
        self.rng = rng
        self._without_store = degraded
        self._trouble = ""
        self._store_back_at = float("-inf")
        self._unsaved: set[str] = set()
        """Of whom this process learned something while the store was away."""
        self._tallies: dict[str, list[float]] = {}
        """Seconds of the successes not yet written."""
        self._open: dict[str, tuple[ProviderState, Admission]] = {}
        """The answer that a state in service gives: the same until something is written."""
        self._flushed_at = clock.monotonic()
        self._fingerprints: dict[str, tuple[str, float]] = {}
        self._forced_at: dict[str, float] = {}
        self._network = Network()
        self._suspects: dict[str, tuple[ProviderState, ProviderState]] = {}
        """Who could not be reached lately: its state before, and after."""
        self._owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._writer = writer
        self._own_writer = writer is None
        self._beside: set[Task[Any]] = set()

    @property
    def degraded(self) -> str:
        """Why state is not shared right now, as a sentence; empty when it is."""
        return self._trouble or self._without_store

    @property
    def offline(self) -> bool:
        """Whether this machine seems to have no network; then nobody outside is called or blamed."""
        return self._network.down

    # --- asking -------------------------------------------------------------------------------------------------------

    async def admit(self, provider: Provider) -> Admission:
        """Whether ``provider`` may be called now. Of all callers over all processes, at most one is given the probe."""
        state = self._get(provider.name)
        if self._network.down and (wait_s := self._network.wait_s(provider, self._clock.monotonic())):
            return self._no_network(state, wait_s)
        if state.override:
            state, admission = await self._overridden(state)
            if admission is not None:
                return admission
        if state.state == OK:
            known = self._open.get(state.name)
            if known is None or known[0] is not state:
                admission = Admission(state.name, True, state.gen, settled=state.consecutive_failures == 0)
                known = self._open[state.name] = (state, admission)
            admission = known[1]
        else:
            admission = await self._admit_closed(provider, state, take_probe=True)
        if self._network.down and admission.allowed:
            self._network.tried(self._clock.monotonic())
        return admission

    async def look(self, provider: Provider) -> Admission:
        """What ``admit`` would answer, without taking the probe."""
        state = self._get(provider.name)
        if self._network.down and (wait_s := self._network.wait_s(provider, self._clock.monotonic())):
            return self._no_network(state, wait_s)
        if state.override:
            state, admission = await self._overridden(state)
            if admission is not None:
                return admission
        if state.state == OK:
            return Admission(state.name, True, state.gen)
        return await self._admit_closed(provider, state, take_probe=False)

    async def admit_all_the_same(self, provider: Provider, *, impatient: bool) -> Admission | None:
        """When nobody else of a chain may serve: a call to one that is closed, or ``None``.

        One that is only slow may always be called: slow is better than nobody. For one that fails somebody must be
        waiting (``impatient``), once in five seconds. A limit, a block and a person's word are never overruled.
        """
        state, now_s = self._get(provider.name), self._clock.monotonic()
        if state.state not in (COOLING, PROBING) or state.override or self._network.down:
            return None
        if state.open_reason not in (breaker.SLOW, breaker.FLAPPING, Outcome.TRANSIENT):
            return None
        if state.open_reason != breaker.SLOW:
            if not impatient or now_s < self._forced_at.get(state.name, float("-inf")) + FORCE_EVERY_S:
                return None
            self._forced_at[state.name] = now_s
        return Admission(state.name, True, state.gen, forced=True)

    # --- learning -----------------------------------------------------------------------------------------------------

    async def record(self, provider: Provider, attempt: Attempt, admission: Admission, *, concerning: str = "") -> None:
        """Learn from ``attempt``, made under ``admission``.

        ``concerning`` is whom it was meant for, when content refused for several people tells of our reputation; only
        a short hash of it is kept.
        """
        if admission.settled and attempt.outcome in breaker.ANSWERED and not self._network.in_doubt:
            self._tally(provider.name, attempt.latency_s)
            return
        await self._learn(provider, attempt, admission, concerning=concerning)

    async def release(self, admission: Admission) -> None:
        """The call was not made, or told nothing: the probe, if this was one, is free again."""
        if admission.probe:
            await self._apply(Attempt(admission.provider, Outcome.CANCELLED, Applied.NO), admission)

    async def probe(self, provider: Provider, *, early: bool = False, paid: bool = False) -> Attempt:
        """Ask the provider's own check how it is, under the same lease as every call, and learn from it.

        ``early``: do not wait for the end of cooling, because a person asked. ``paid``: it may cost something.
        ``SKIPPED`` when it has no check, the check costs, it is not due, or somebody else is just asking.
        """
        check = getattr(provider, "check", None)
        cost = getattr(provider, "check_cost", "")
        if check is None or (cost and not paid):
            return _skipped(provider, f"its check costs {cost}" if check else "it has no check that does no work")
        admission = await self._admit_check(provider, early=early)
        if not admission.allowed:
            return _skipped(provider, admission.reason, admission.until)
        return await self.check(provider, admission)

    async def check(self, provider: Provider, admission: Admission) -> Attempt:
        """The provider's own check, made under ``admission`` and recorded; bounded in time."""
        import asyncio

        check: Callable[[], Awaitable[Attempt]] = provider.check  # type: ignore[attr-defined]  # asked for by callers
        scope = asyncio.timeout(CHECK_TIMEOUT_S)
        try:
            try:
                async with scope:
                    attempt = await check()
            except TimeoutError:
                if not scope.expired():
                    raise
                detail = f"its check took longer than {CHECK_TIMEOUT_S:.0f} s"
                attempt = Attempt(provider.name, Outcome.TRANSIENT, Applied.NO, "check", detail=detail)
        except BaseException:
            await self.release(admission)
            raise
        await self._learn(provider, attempt, admission, synthetic=True)
        return attempt

    def beside(self, work: Coroutine[Any, Any, T]) -> Task[T]:
        """Run ``work`` while the caller goes on; ``close`` cancels what is not done by then."""
        import asyncio

        task = asyncio.create_task(work, name="aicmo-probe")
        self._beside.add(task)
        task.add_done_callback(self._beside_done)
        return task

    # --- a person's word ----------------------------------------------------------------------------------------------

    async def force(self, name: str, until: datetime) -> ProviderState:
        """Use it whatever its state, until then; its failures are counted and close nothing."""
        return await self._update(name, partial(_override, clock=self._clock, word=FORCED, until=until))

    async def disable(self, name: str, until: datetime) -> ProviderState:
        """Do not use it until then."""
        return await self._update(name, partial(_override, clock=self._clock, word=DISABLED, until=until))

    async def reset(self, name: str) -> ProviderState:
        """Put it back in service with a clean slate, and end an override."""
        self._fingerprints.pop(name, None)
        return await self._update(name, lambda found: breaker.reset(found, self._clock.now()))

    # --- telling ------------------------------------------------------------------------------------------------------

    def states(self) -> Mapping[str, ProviderState]:
        """Every provider of which anything is known, by name."""
        try:
            return self._store.load_all()
        except AicmoError as error:
            self._degrade(error)
            return self._memory.load_all()

    def events(self, limit: int = EVENTS_KEPT) -> Sequence[StateChange]:
        """The last changes of state, newest first."""
        try:
            return self._store.events(limit)
        except AicmoError as error:
            self._degrade(error)
            return self._memory.events(limit)

    async def flush(self) -> None:
        """Write the successes not yet written, and return when everything is."""
        import asyncio

        self._start_flush()
        if self._writer is not None:
            await asyncio.wrap_future(self._writer.submit(int))

    async def close(self) -> None:
        """Wait a little for probes under way and write what is not yet written. The store belongs to its opener.

        Close it before the providers: a probe may be using one.
        """
        import asyncio

        if self._beside:  # or a provider would never be found well by runs that are shorter than its check
            await asyncio.wait(self._beside, timeout=GRACE_S)
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        self._start_flush()
        if self._writer is not None and self._own_writer:
            await asyncio.to_thread(self._writer.shutdown)
            self._writer = None

    # --- a provider that is closed ------------------------------------------------------------------------------------

    async def _overridden(self, state: ProviderState) -> tuple[ProviderState, Admission | None]:
        """A person's word about it; when that has expired, the state as it is without."""
        now = self._clock.now()
        word = breaker.override_of(state, now)
        if word == FORCED:
            return state, Admission(state.name, True, COUNTS_NOT)
        if word == DISABLED:
            reason = "switched off by hand"
            return state, Admission(
                state.name, False, state.gen, until=state.override_until, reason=reason, cause=DISABLED
            )
        return await self._update(state.name, lambda found: breaker.without_override(found, now)), None

    async def _admit_check(self, provider: Provider, *, early: bool) -> Admission:
        state = self._get(provider.name)
        wait_s = self._network.wait_s(provider, self._clock.monotonic())
        if wait_s:
            return self._no_network(state, wait_s)
        if state.state == OK:
            return Admission(state.name, True, state.gen)
        # A check says nothing about a limit or a reputation; only time does, or a person.
        early = early and state.open_reason in (Outcome.TRANSIENT, Outcome.AUTH, breaker.SLOW, breaker.FLAPPING)
        return await self._admit_closed(provider, state, take_probe=True, early=early)

    async def _admit_closed(
        self, provider: Provider, state: ProviderState, *, take_probe: bool, early: bool = False
    ) -> Admission:
        now, mine = self._clock.now(), f"{self._owner}-{os.urandom(4).hex()}"
        until = None if early else breaker.closed_until(state, now)
        fingerprint = await self._fingerprint(provider) if state.open_reason == Outcome.AUTH else ""
        if fingerprint and fingerprint != state.config_fingerprint:
            step: Change = partial(_unblock, fingerprint=fingerprint, now=now)
        elif until is not None:
            return self._closed(state, until)
        elif breaker.probe_under_way(state, now):
            return self._closed(state, now + timedelta(seconds=PROBE_POLL_S))
        elif breaker.needs_probe(state):
            step = partial(breaker.take_probe, now=now, owner=mine, early=early)
        else:
            step = partial(_reopen_due, now=now)
        if not take_probe:
            return Admission(state.name, True, state.gen)
        state = await self._update(state.name, step)
        if state.lease_owner == mine:
            return Admission(state.name, True, state.gen, probe=True, first=state.state != PROBING)
        if state.state == OK:  # by this step, or by that of somebody faster
            return Admission(state.name, True, state.gen)
        return self._closed(state, breaker.closed_until(state, now) or now + timedelta(seconds=PROBE_POLL_S))

    def _closed(self, state: ProviderState, until: datetime) -> Admission:
        why = " ".join(part for part in (state.last_error_code, state.last_error_text) if part)
        reason = f"{state.state} after {state.open_reason}" + (f" ({why})" if why else "")
        return Admission(state.name, False, state.gen, until=until, reason=reason, cause=state.open_reason)

    def _no_network(self, state: ProviderState, wait_s: float) -> Admission:
        until = self._clock.now() + timedelta(seconds=wait_s)
        reason = "out of reach: this machine seems to have no network"
        return Admission(state.name, False, state.gen, until=until, reason=reason, cause="network")

    async def _fingerprint(self, provider: Provider) -> str:
        """The provider's fingerprint, or empty when its credential cannot be found. Asked for at most once a minute."""
        import asyncio

        found, fresh_until = self._fingerprints.get(provider.name, ("", float("-inf")))
        if self._clock.monotonic() >= fresh_until:
            try:
                found = await asyncio.to_thread(provider.fingerprint)
            except AicmoError:
                found = ""
            self._fingerprints[provider.name] = (found, self._clock.monotonic() + FINGERPRINT_FRESH_S)
        return found

    # --- what a call teaches ------------------------------------------------------------------------------------------

    async def _learn(
        self,
        provider: Provider,
        attempt: Attempt,
        admission: Admission,
        *,
        synthetic: bool = False,
        concerning: str = "",
    ) -> None:
        self._network.heard(provider, attempt, self._clock.monotonic())
        if self._network.down and unreachable(attempt):
            await self.release(admission)
            await self._forgive()
            return
        if admission.settled and attempt.outcome in breaker.BLAMELESS and attempt.outcome is not Outcome.CONTENT:
            return
        if admission.forced and attempt.outcome not in breaker.ANSWERED:
            admission = Admission(admission.provider, True, COUNTS_NOT)
        seen: list[ProviderState] = []
        after = await self._apply(
            attempt,
            admission,
            seen=seen,
            fingerprint=await self._fingerprint(provider) if attempt.outcome is Outcome.AUTH else "",
            cap_s=breaker.COOLING_CAP_S if has_free_check(provider) else breaker.COSTLY_COOLING_CAP_S,
            synthetic=synthetic,
            concerning=_hashed(concerning) if attempt.outcome is Outcome.CONTENT else "",
        )
        if not self._network.in_doubt:
            self._suspects.clear()
        elif unreachable(attempt) and seen:
            before, _ = self._suspects.get(provider.name, (seen[0], after))
            self._suspects[provider.name] = before, after

    async def _forgive(self) -> None:
        """Take back what was booked on others before it was clear that our own network is gone."""
        suspects, self._suspects = self._suspects, {}
        for name, (before, after) in suspects.items():
            step = partial(breaker.forgive, now=self._clock.now(), before=before, after=after)
            await self._update(name, step)

    async def _apply(
        self,
        attempt: Attempt,
        admission: Admission,
        *,
        seen: list[ProviderState] | None = None,
        fingerprint: str = "",
        cap_s: float = breaker.COOLING_CAP_S,
        synthetic: bool = False,
        concerning: str = "",
    ) -> ProviderState:
        now = self._clock.now()

        def step(found: ProviderState) -> breaker.Step:
            if seen is not None:
                seen.append(found)
            return breaker.after(
                found,
                attempt,
                gen=admission.gen,
                now=now,
                rng=self.rng,
                fingerprint=fingerprint,
                cap_s=cap_s,
                synthetic=synthetic,
                concerning=concerning,
            )

        return await self._update(admission.provider, step)

    def _beside_done(self, task: Task[Any]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A probe failed in itself: %s", type(error).__name__)

    # --- reading and writing, whatever becomes of the store -----------------------------------------------------------

    def _get(self, name: str) -> ProviderState:
        if self._store is self._memory or self._clock.monotonic() < self._store_back_at:
            return self._memory.get(name)
        try:
            state = self._store.get(name)
        except AicmoError as error:
            self._degrade(error)
            return self._memory.get(name)
        if name in self._unsaved:
            self._submit(name)
            return self._memory.get(name)
        if not self._unsaved:
            self._trouble = ""
        self._memory.keep(state)  # remembered, should the store be away when we look again
        return state

    async def _update(self, name: str, change: Change) -> ProviderState:
        import asyncio

        return await asyncio.shield(asyncio.wrap_future(self._submit(name, change)))

    def _submit(self, name: str, change: Change | None = None) -> Future[ProviderState]:
        """Queue for the writing thread: first the successes that came before, then ``change``."""
        from concurrent.futures import ThreadPoolExecutor

        tally, now = self._tallies.pop(name, None), self._clock.now()

        def with_tally(found: ProviderState) -> breaker.Step:
            slow: StateChange | None = None
            if tally:
                found, slow = breaker.succeeded(found, now, tally)
            if change is None:
                return found, slow
            found, news = change(found)
            return found, news or slow

        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aicmo-health")
        return self._writer.submit(self._write, name, with_tally, tally if change is None else None)

    def _write(self, name: str, change: Change, tally: list[float] | None) -> ProviderState:
        """On the writing thread. What the store refuses, this process remembers until it does not.

        ``tally`` is what is written, when that is successes and nothing else.
        """
        if self._store is self._memory:
            return self._memory.update(name, change)
        if self._clock.monotonic() >= self._store_back_at:
            try:
                if name in self._unsaved:
                    ours = self._memory.get(name)
                    self._store.update(name, lambda found: (ours if ours.gen >= found.gen else found, None))
                    self._unsaved.discard(name)
                state = self._store.update(name, change)
            except StoreLocked as error:
                if tally and name not in self._unsaved:
                    self._put_back(name, tally)
                    return self._memory.get(name)
                self._degrade(error)
            except AicmoError as error:
                self._degrade(error)
            else:
                self._memory.keep(state)
                if not self._unsaved:
                    self._trouble = ""
                return state
        self._unsaved.add(name)
        return self._memory.update(name, change)

    def _tally(self, name: str, latency_s: float) -> None:
        self._tallies.setdefault(name, []).append(latency_s)
        if self._clock.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self._start_flush()

    def _start_flush(self) -> None:
        self._flushed_at = self._clock.monotonic()
        for name in list(self._tallies):
            self._submit(name)

    def _put_back(self, name: str, tally: list[float]) -> None:
        """Successes decide nothing: when another process holds the store, they wait for the next second."""
        self._tallies[name] = [*tally, *self._tallies.get(name, [])][-TALLY_KEPT:]

    def _degrade(self, error: AicmoError) -> None:
        self._trouble = f"Provider health is not shared with other runs: {error.message}"
        self._store_back_at = self._clock.monotonic() + STORE_RETRY_S


def has_free_check(provider: Provider) -> bool:
    """Whether the provider can be asked how it is without cost and without doing any work."""
    return hasattr(provider, "check") and not getattr(provider, "check_cost", "")


def _skipped(provider: Provider, why: str, until: datetime | None = None) -> Attempt:
    return Attempt(provider.name, Outcome.SKIPPED, Applied.NO, "check", detail=why[:300], retry_at=until)


def _hashed(whom: str) -> str:
    """Eight hex digits: enough to tell three people apart, too few to find anybody."""
    from hashlib import blake2b

    return blake2b(whom.strip().lower().encode(), digest_size=4).hexdigest() if whom else ""


def _override(found: ProviderState, clock: Clock, word: str, until: datetime) -> breaker.Step:
    return breaker.override(found, clock.now(), word, until)


def _unblock(found: ProviderState, fingerprint: str, now: datetime) -> breaker.Step:
    if found.open_reason != Outcome.AUTH or found.config_fingerprint == fingerprint:
        return found, None
    return breaker.reopen(found, now, "its credential or address was changed")


def _reopen_due(found: ProviderState, now: datetime) -> breaker.Step:
    if breaker.closed_until(found, now) or breaker.needs_probe(found):
        return found, None
    return breaker.reopen(found, now, "its limit has passed")
