"""Which provider may be called now, and what is learned from calling it.

The registry reads the shared state before every call (a few microseconds), writes what changes a decision at once, and
batches plain successes to one write a second. It must never make a call fail: when the store cannot be used it goes on
with what this process knows, and ``degraded`` says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError
from aicmo.gateways import breaker
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.providers import Provider
from aicmo.provider_state import EVENTS_KEPT, OK, Change, ProviderState, StateChange

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

FLUSH_EVERY_S = 1.0
STORE_RETRY_S = 5.0
"""How long the store is left alone after it failed."""
FINGERPRINT_FRESH_S = 60.0
PROBE_POLL_S = 1.0
"""When to look again while another caller's probe is under way: it rarely takes longer."""


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
        return self._states.get(name) or ProviderState(name)

    def load_all(self) -> Mapping[str, ProviderState]:
        return dict(self._states)

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
    """This call is the one that finds out whether the provider works again."""
    until: datetime | None = None
    """When closed: not before then (UTC)."""
    reason: str = ""
    """When closed: why, in plain words."""


@dataclass(slots=True)
class _Tally:
    """Successes not yet written."""

    count: int = 0
    latency_sum_s: float = 0.0


class HealthRegistry:
    """All providers' health. One per process and store; ``close`` it to write the last second of successes."""

    def __init__(
        self,
        store: HealthStore | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] | None = None,
        degraded: str = "",
    ) -> None:
        """``store`` is ``None`` to remember nothing beyond this process; ``degraded`` then says why, for the person."""
        if rng is None:
            import random

            rng = random.random
        self._memory = MemoryHealthStore()
        self._store: HealthStore = store or self._memory
        self._clock = clock
        self._rng = rng
        self._without_store = degraded
        self._trouble = ""
        self._store_back_at = float("-inf")
        self._tallies: dict[str, _Tally] = {}
        self._flushed_at = clock.monotonic()
        self._fingerprints: dict[str, tuple[str, float]] = {}
        self._owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._writer: ThreadPoolExecutor | None = None

    @property
    def degraded(self) -> str:
        """Why state is not shared right now, as a sentence; empty when it is."""
        return self._trouble or self._without_store

    async def admit(self, provider: Provider) -> Admission:
        """Whether ``provider`` may be called now. Of all callers over all processes, at most one is given the probe."""
        state = self._get(provider.name)
        if state.state == OK:
            return Admission(state.name, True, state.gen, settled=state.consecutive_failures == 0)
        return await self._admit_closed(provider, state, take_probe=True)

    async def look(self, provider: Provider) -> Admission:
        """What ``admit`` would answer, without taking the probe."""
        state = self._get(provider.name)
        if state.state == OK:
            return Admission(state.name, True, state.gen)
        return await self._admit_closed(provider, state, take_probe=False)

    async def record(self, provider: Provider, attempt: Attempt, admission: Admission) -> None:
        """Learn from ``attempt``, made under ``admission``."""
        if admission.settled and attempt.outcome in breaker.ANSWERED:
            self._tally(provider.name, attempt.latency_s)
            return
        if admission.settled and attempt.outcome in breaker.BLAMELESS:
            return
        fingerprint = await self._fingerprint(provider) if attempt.outcome is Outcome.AUTH else ""
        await self._apply(attempt, admission, fingerprint)

    async def release(self, admission: Admission) -> None:
        """The call was not made, or told nothing: the probe, if this was one, is free again."""
        if admission.probe:
            await self._apply(Attempt(admission.provider, Outcome.CANCELLED, Applied.NO), admission)

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

    async def close(self) -> None:
        """Write what is not yet written. The store stays open: it belongs to whoever opened it."""
        import asyncio

        self._start_flush()
        if self._writer is not None:
            await asyncio.to_thread(self._writer.shutdown)
            self._writer = None

    # --- a provider that is closed ------------------------------------------------------------------------------------

    async def _admit_closed(self, provider: Provider, state: ProviderState, *, take_probe: bool) -> Admission:
        now, mine = self._clock.now(), f"{self._owner}-{os.urandom(4).hex()}"
        until = breaker.closed_until(state, now)
        if state.open_reason == Outcome.AUTH and until is not None:
            fingerprint = await self._fingerprint(provider)
            if not fingerprint or fingerprint == state.config_fingerprint:
                return self._closed(state, until)
            step: Change = partial(_unblock, fingerprint=fingerprint, now=now)
        elif until is not None:
            return self._closed(state, until)
        elif breaker.probe_under_way(state, now):
            return self._closed(state, now + timedelta(seconds=PROBE_POLL_S))
        elif breaker.needs_probe(state):
            step = partial(breaker.take_probe, now=now, owner=mine)
        else:
            step = partial(_reopen_due, now=now)
        if not take_probe:
            return Admission(state.name, True, state.gen)
        state = await self._update(state.name, step)
        if state.lease_owner == mine:
            return Admission(state.name, True, state.gen, probe=True)
        if state.state == OK:  # by this step, or by that of somebody faster
            return Admission(state.name, True, state.gen)
        return self._closed(state, breaker.closed_until(state, now) or now + timedelta(seconds=PROBE_POLL_S))

    def _closed(self, state: ProviderState, until: datetime) -> Admission:
        why = " ".join(part for part in (state.last_error_code, state.last_error_text) if part)
        reason = f"{state.state} after {state.open_reason}" + (f" ({why})" if why else "")
        return Admission(state.name, False, state.gen, until=until, reason=reason)

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

    # --- reading and writing, whatever becomes of the store -----------------------------------------------------------

    def _get(self, name: str) -> ProviderState:
        if self._clock.monotonic() < self._store_back_at:
            return self._memory.get(name)
        try:
            state = self._store.get(name)
        except AicmoError as error:
            self._degrade(error)
            return self._memory.get(name)
        self._trouble = ""
        if state.state != OK:  # remembered, should the store be away when we look again
            self._memory.update(name, lambda _: (state, None))
        return state

    async def _apply(self, attempt: Attempt, admission: Admission, fingerprint: str = "") -> None:
        now = self._clock.now()
        await self._update(
            admission.provider,
            lambda found: breaker.after(
                found, attempt, gen=admission.gen, now=now, fingerprint=fingerprint, rng=self._rng
            ),
        )

    async def _update(self, name: str, change: Change) -> ProviderState:
        import asyncio

        return await asyncio.shield(asyncio.wrap_future(self._submit(name, change)))

    def _submit(self, name: str, change: Change | None = None) -> Future[ProviderState]:
        """Queue for the writing thread: first the successes that came before, then ``change``."""
        from concurrent.futures import ThreadPoolExecutor

        tally, now = self._tallies.pop(name, None), self._clock.now()

        def with_tally(found: ProviderState) -> tuple[ProviderState, StateChange | None]:
            if tally is not None:
                found = breaker.succeeded(found, now, tally.count, tally.latency_sum_s / tally.count)
            return (found, None) if change is None else change(found)

        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aicmo-health")
        return self._writer.submit(self._write, name, with_tally)

    def _write(self, name: str, change: Change) -> ProviderState:
        """On the writing thread. What the store refuses, this process remembers."""
        if self._clock.monotonic() >= self._store_back_at:
            try:
                state = self._store.update(name, change)
            except AicmoError as error:
                self._degrade(error)
            else:
                if self._store is not self._memory:
                    self._memory.update(name, lambda _: (state, None))
                return state
        return self._memory.update(name, change)

    def _tally(self, name: str, latency_s: float) -> None:
        tally = self._tallies.setdefault(name, _Tally())
        tally.count += 1
        tally.latency_sum_s += latency_s
        if self._clock.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self._start_flush()

    def _start_flush(self) -> None:
        self._flushed_at = self._clock.monotonic()
        for name in list(self._tallies):
            self._submit(name)

    def _degrade(self, error: AicmoError) -> None:
        self._trouble = f"Provider health is not shared with other runs: {error.message}"
        self._store_back_at = self._clock.monotonic() + STORE_RETRY_S


def _unblock(found: ProviderState, fingerprint: str, now: datetime) -> breaker.Step:
    if found.open_reason != Outcome.AUTH or found.config_fingerprint == fingerprint:
        return found, None
    return breaker.reopen(found, now, "its credential or address was changed")


def _reopen_due(found: ProviderState, now: datetime) -> breaker.Step:
    if breaker.closed_until(found, now) or breaker.needs_probe(found):
        return found, None
    return breaker.reopen(found, now, "its limit has passed")
