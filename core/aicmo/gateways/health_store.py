"""Where provider state is kept, and what to do while that place cannot be used.

``SharedStates`` must never make a call fail. What changes a decision is written at once, on one thread, in order; plain
successes are batched to one write a second. When the store is away it goes on with what this process knows, says so,
and writes what was learned meanwhile when the store is back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aicmo.clock import Clock
from aicmo.errors import AicmoError, StoreLocked
from aicmo.gateways import breaker
from aicmo.provider_state import EVENTS_KEPT, Change, ProviderState, StateChange, never_called

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

FLUSH_EVERY_S = 1.0
TALLY_KEPT = 1000
"""Successes that wait to be written, per provider; beyond twenty they change no score."""
STORE_RETRY_S = 5.0
"""How long the store is left alone after it failed."""


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


@dataclass(slots=True)
class _Tally:
    """What waits to be written, because it decides nothing."""

    latencies_s: list[float] = field(default_factory=list)
    """Of successes."""
    elsewhere: int = 0

    def followed_by(self, later: _Tally) -> _Tally:
        """Both, of the successes the last thousand."""
        both = [*self.latencies_s, *later.latencies_s]
        return _Tally(both[-TALLY_KEPT:], self.elsewhere + later.elsewhere)


class SharedStates:
    """The states as all processes share them. ``close`` it to write the last second of successes."""

    def __init__(
        self, store: HealthStore | None, *, clock: Clock, degraded: str = "", writer: Executor | None = None, by: str
    ) -> None:
        """``by`` is written beside each change of state. Else see ``HealthRegistry``."""
        self._memory = MemoryHealthStore()
        self._store: HealthStore = store or self._memory
        self._clock = clock
        self._by = by
        self._without_store = degraded
        self._trouble = ""
        self._store_back_at = float("-inf")
        self._unsaved: set[str] = set()
        """Of whom this process learned something while the store was away."""
        self._tallies: dict[str, _Tally] = {}
        self._flushed_at = clock.monotonic()
        self._writer = writer
        self._own_writer = writer is None

    @property
    def degraded(self) -> str:
        """Why state is not shared right now, as a sentence; empty when it is."""
        return self._trouble or self._without_store

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, name: str) -> ProviderState:
        if self._store is self._memory or self._clock.monotonic() < self._store_back_at:
            return self._memory.get(name)
        try:
            state = self._store.get(name)
        except AicmoError as error:
            self._degrade(error)
            return self._memory.get(name)
        if name in self._unsaved:
            self.submit(name)
            return self._memory.get(name)
        if not self._unsaved:
            self._trouble = ""
        self._memory.keep(state)  # remembered, should the store be away when we look again
        return state

    def load_all(self) -> Mapping[str, ProviderState]:
        """Every provider of which anything is known, by name."""
        try:
            return self._store.load_all()
        except AicmoError as error:
            self._degrade(error)
            return self._memory.load_all()

    def events(self, limit: int) -> Sequence[StateChange]:
        """The last changes of state, newest first."""
        try:
            return self._store.events(limit)
        except AicmoError as error:
            self._degrade(error)
            return self._memory.events(limit)

    def rehearse(self) -> None:
        """From now on nothing is written: what is changed is changed in a copy that this process has for itself."""
        for state in self.load_all().values():
            self._memory.keep(state)
        self._store = self._memory

    # --- writing ------------------------------------------------------------------------------------------------------

    async def update(self, name: str, change: Change) -> ProviderState:
        """Replace the state by ``change`` of it; the write is finished even when the caller is cancelled."""
        import asyncio

        return await asyncio.shield(asyncio.wrap_future(self.submit(name, change)))

    def succeeded(self, name: str, latency_s: float) -> None:
        """One success of a provider in service, to be written within a second."""
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = _Tally()
        tally.latencies_s.append(latency_s)
        if self._clock.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.start_flush()

    def served_elsewhere(self, name: str, count: int) -> None:
        """So many pieces of work that others did in place of ``name``, to be written within a second."""
        self._tallies.setdefault(name, _Tally()).elsewhere += count
        if self._clock.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.start_flush()

    def start_flush(self) -> None:
        """Queue what waits to be written."""
        self._flushed_at = self._clock.monotonic()
        for name in list(self._tallies):
            self.submit(name)

    async def flush(self) -> None:
        """Write what waits to be written, and return when everything is."""
        import asyncio

        self.start_flush()
        if self._writer is not None:
            await asyncio.wrap_future(self._writer.submit(int))

    async def close(self) -> None:
        import asyncio

        self.start_flush()
        if self._writer is not None and self._own_writer:
            await asyncio.to_thread(self._writer.shutdown)
            self._writer = None

    def submit(self, name: str, change: Change | None = None) -> Future[ProviderState]:
        """Queue for the writing thread: first what waited to be written, then ``change``."""
        from concurrent.futures import ThreadPoolExecutor

        tally, now = self._tallies.pop(name, None), self._clock.now()

        def with_tally(found: ProviderState) -> breaker.Step:
            event: StateChange | None = None
            if tally and tally.elsewhere:
                found = replace(found, elsewhere=found.elsewhere + tally.elsewhere)
            if tally and tally.latencies_s:
                found, event = breaker.succeeded(found, now, tally.latencies_s)
            if change is not None:
                found, news = change(found)
                event = news or event
            return found, event and replace(event, by=self._by)

        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aicmo-health")
        return self._writer.submit(self._write, name, with_tally, tally if change is None else None)

    def _write(self, name: str, change: Change, tally: _Tally | None) -> ProviderState:
        """On the writing thread. What the store refuses, this process remembers until it does not.

        ``tally`` is what is written, when that is nothing that decides.
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
                    # It decides nothing: when another process holds the store, it waits for the next second.
                    self._tallies[name] = tally.followed_by(self._tallies.get(name, _Tally()))
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

    def _degrade(self, error: AicmoError) -> None:
        self._trouble = f"Provider health is not shared with other runs: {error.message}"
        self._store_back_at = self._clock.monotonic() + STORE_RETRY_S


def this_process(arguments: Sequence[str] | None = None) -> str:
    """How a person knows this process: ``aicmo run, pid 4121``. Of its command line only the verb is told."""
    arguments = sys.argv if arguments is None else arguments
    program = Path(arguments[0]).name if arguments else ""
    verb: list[str] = []
    for word in arguments[1:3]:
        if not word.isascii() or not word.isalpha() or not word.islower():
            break
        verb.append(word)
    return f"{' '.join([program or 'python', *verb])}, pid {os.getpid()}"
