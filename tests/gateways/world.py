"""Two simulated processes on one real ``health.db``, a clock that is moved by hand, and the promises health makes.

Every action checks them and raises ``AssertionError`` with the number of the promise, as the resilience notes number
them (6.1). ``walk`` takes random actions; the state machine of Hypothesis takes the ones it likes.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from fakes import ManualClock, attempt

from aicmo.errors import StoreLocked
from aicmo.gateways import Admission, Applied, Attempt, ChainResult, HealthRegistry, Outcome, ProviderChain, breaker
from aicmo.gateways.retry import RetryBudget, RetryPolicy
from aicmo.provider_state import BLOCKED, EVENTS_KEPT, OK, Change, ProviderState, StateChange
from aicmo.store.health import HealthDb
from bench.failover_world import AtOnce

NAMES = ("a", "b")
OUTCOMES = [it for it in Outcome if it is not Outcome.SKIPPED]
UNTOUCHED = (Outcome.INPUT, Outcome.RECIPIENT, Outcome.CANCELLED)
ROUNDS = 3
LONGEST_S = 32 * 86_400.0
"""Longer than anything is closed."""


_REPLAYS = count()


class Chance:
    """The jitter of all processes. What was drawn while a change was written is remembered, and drawn again later."""

    def __init__(self) -> None:
        self._source = random.Random(1)
        self.drawn: list[float] = []
        self.again: list[float] = []

    def __call__(self) -> float:
        if self.again:
            return self.again.pop(0)
        self.drawn.append(self._source.random())
        return self.drawn[-1]


@dataclass(frozen=True)
class Written:
    """One line of the log: which step was taken, when, and on which chances."""

    name: str
    change: Change
    at: datetime
    chances: list[float]


class BreakableStore:
    """The real store, until it is ``away`` (nothing works), ``locked`` by another program, or ``readonly``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.db = HealthDb(world.path)
        self.db._writer.execute("PRAGMA busy_timeout=0")  # nobody in here lets go of a lock while another one waits
        self.broken = ""

    def get(self, name: str) -> ProviderState:
        self._refuse()
        return self.db.get(name)

    def load_all(self) -> dict[str, ProviderState]:
        self._refuse()
        return self.db.load_all()

    def update(self, name: str, change: Change) -> ProviderState:
        self._refuse()
        self.world.chance.drawn.clear()
        after = self.db.update(name, change)
        self.world.log.append(Written(name, change, self.world.clock.now(), list(self.world.chance.drawn)))
        return after

    def events(self, limit: int = EVENTS_KEPT) -> list[StateChange]:
        self._refuse()
        return list(self.db.events(limit))

    def suffer(self, how: str) -> None:
        self.broken = how
        self.db._writer.execute(f"PRAGMA query_only={'ON' if how == 'readonly' else 'OFF'}")

    def _refuse(self) -> None:
        if self.broken == "away":
            raise StoreLocked("health.db is locked.")


class Service:
    """A provider whose next answers are set from outside; ``b`` has a free check."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.key, self.says = world, name, "key-0", Outcome.OK
        if name == "b":
            self.check = self._check

    def fingerprint(self) -> str:
        return self.key

    async def work(self) -> Attempt:
        return self.world.answer(self.name, self.says)

    async def _check(self) -> Attempt:
        return attempt(self.name, Outcome.OK if self.says is Outcome.OK else Outcome.TRANSIENT, Applied.NO)


async def _all_of(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Process:
    store: BreakableStore
    registry: HealthRegistry
    chain: ProviderChain[Service]
    rounds_again: int = 0
    successes: int = 0


@dataclass
class InFlight:
    process: Process
    name: str
    admission: Admission
    expired: bool = False
    lease_until: datetime | None = None


@dataclass
class World:
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="aicmo-world-")
        self.path = Path(self.folder.name) / "health.db"
        self.truth = HealthDb(self.path)
        self.chance = Chance()
        self.log: list[Written] = []
        self.other_program: sqlite3.Connection | None = None
        """Holds the write lock while the store is ``locked``."""
        self.services = {name: Service(self, name) for name in NAMES}
        self.processes: list[Process] = []
        self.processes = [self._start(), self._start()]
        self.in_flight: list[InFlight] = []
        self.not_before: dict[str, datetime] = {}

    # --- actions --------------------------------------------------------------------------------------------------

    def begin(self, process: int, name: str) -> None:
        """Ask to call ``name``; if it is allowed, the call is under way until it is finished, cancelled or killed."""
        self._settle()
        ours, service, before = self.processes[process], self.services[name], self.truth.get(name)
        admission = self.run(ours.registry.admit(service))
        if not admission.allowed:
            return
        now, after = self.clock.now(), self.truth.get(name)
        overdue = after.override_until is not None and after.override_until <= now
        assert self.broken or not overdue, f"7: the override of {name} outlives its end"
        if not self.broken and not breaker.override_of(before, now):
            was_closed = breaker.closed_until(before, now) is not None and after.state != OK
            assert not was_closed, f"2: {name} is called while it is closed"
            assert after.state == OK or admission.probe, f"1: {name} is called by more than its probe"
            if before.open_reason in ("transient", "slow", "flapping"):
                assert after.state != OK, f"1: {name} is back in service before anybody looked"
            assert now >= self.not_before.get(name, now), f"11: {name} is called before the time it named"
        self.in_flight.append(InFlight(ours, name, admission, lease_until=now + timedelta(seconds=breaker.LEASE_S)))
        probes = [it for it in self.in_flight if it.name == name and it.admission.probe and self._counts(it)]
        assert self.broken or len(probes) <= 1, f"1: {len(probes)} probes of {name} at once"

    def finish(self, place: int, outcome: Outcome, latency_s: float = 0.1, asks_s: float | None = None) -> None:
        if not self.in_flight:
            return
        call = self.in_flight.pop(place % len(self.in_flight))
        self._settle()
        now = self.clock.now()
        retry_at = now + timedelta(seconds=asks_s) if asks_s is not None and outcome is Outcome.RATE_LIMITED else None
        code = "" if outcome in (Outcome.OK, Outcome.CANCELLED, Outcome.TRANSIENT) else "400"
        told = attempt(call.name, outcome, code=code, retry_at=retry_at, latency_s=latency_s)
        before = self.truth.get(call.name)
        self.run(call.process.registry.record(self.services[call.name], told, call.admission, concerning="x@y.z"))
        after = self.truth.get(call.name)
        self.check_state(after)
        if self.broken:
            return
        if outcome in UNTOUCHED:
            kept = (before.successes, before.observations, before.consecutive_failures)
            found = (after.successes, after.observations, after.consecutive_failures)
            assert kept == found and (before.state != OK or after.state == OK), f"3: {outcome} cost {call.name} health"
        named = retry_at is not None and before.state != BLOCKED
        if call.admission.gen != before.gen and not call.admission.settled and not named:
            assert (after.state, after.open_until) == (before.state, before.open_until), "stale: an old result decides"
        rise = breaker.score(after, now) - breaker.score(before, now)
        if outcome in (Outcome.TRANSIENT, Outcome.AMBIGUOUS):
            assert rise <= 1e-9, "10: a failure raises the score"
            failing = outcome is Outcome.TRANSIENT and after.state == OK
            assert not failing or after.consecutive_failures < breaker.TRIP_AFTER, f"{call.name} is down and in service"
        elif outcome in (Outcome.OK, Outcome.MISS):
            assert rise >= -1e-9, "10: a success lowers the score"
        if retry_at is not None and before.state != BLOCKED:
            self.not_before[call.name] = max(retry_at, self.not_before.get(call.name, retry_at))

    def cancel(self, place: int) -> None:
        if self.in_flight:
            call = self.in_flight.pop(place % len(self.in_flight))
            self.run(call.process.registry.release(call.admission))

    def call(self, process: int, says: dict[str, Outcome], *, side_effect: bool) -> None:
        """One piece of work through the chain."""
        for name, outcome in says.items():
            self.services[name].says = outcome
        self.answers: list[Attempt] = []
        chain = self.processes[process].chain
        result = self.run(chain.call(Service.work, side_effect=side_effect))
        self._check_result(self.processes[process], result, side_effect=side_effect)
        if side_effect:
            assert result.attempts == tuple(self.answers), "13: the result is not what was answered"
        self._settle()
        for name in NAMES:
            self.check_state(self.truth.get(name))
            limited = [it.retry_at for it in self.answers if it.provider == name and it.retry_at is not None]
            if limited and not self.broken:
                self.not_before[name] = limited[-1]

    def concurrent_calls(self, says: dict[str, Outcome], callers: int, *, side_effect: bool) -> None:
        """The same, ``callers`` at once in turn from both processes, each giving way to the others as it likes."""
        for name, outcome in says.items():
            self.services[name].says = outcome
        self.answers = []

        async def together() -> list[ChainResult]:
            calls = [
                self.processes[turn % 2].chain.call(Service.work, side_effect=side_effect) for turn in range(callers)
            ]
            return await asyncio.gather(*calls)

        for turn, result in enumerate(self.run(together())):
            self._check_result(self.processes[turn % 2], result, side_effect=side_effect)
        self._settle()
        self.not_before.clear()  # which of them came first, nobody has written down

    def _check_result(self, process: Process, result: ChainResult, *, side_effect: bool) -> None:
        if side_effect:
            assert all(it.applied is Applied.NO for it in result.attempts[:-1]), "4: a side effect was tried again"
        assert result.final.outcome is not Outcome.SKIPPED or result.final.detail, "5: nobody says what happened"
        assert len(result.attempts) <= len(NAMES) * (1 if side_effect else ROUNDS), "8: too many attempts"
        called = [it.provider for it in result.attempts]
        process.rounds_again += max((called.count(name) for name in called), default=1) - 1
        process.successes += result.final.outcome is Outcome.OK
        budget = RetryBudget()
        assert process.rounds_again <= budget.tokens + budget.gain * process.successes, "8: more retries than budgeted"

    def answer(self, name: str, outcome: Outcome) -> Attempt:
        until = self.clock.now() + timedelta(seconds=90) if outcome is Outcome.RATE_LIMITED else None
        told = attempt(name, outcome, code="429" if until else "", retry_at=until)
        self.answers.append(told)
        return told

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def clock_jump(self, seconds: float) -> None:
        """The wall clock alone; leases no longer mean what they meant."""
        self.clock.at += timedelta(seconds=seconds)
        self.not_before.clear()
        for call in self.in_flight:
            call.expired = True

    def kill(self, process: int) -> None:
        """No good-bye: what it had under way or in memory is lost."""
        gone = self.processes[process]
        self.in_flight = [it for it in self.in_flight if it.process is not gone]
        self._part_from(gone)
        self.processes[process] = self._start()

    def restart(self, process: int) -> None:
        """With a good-bye: what it knew is written."""
        gone = self.processes[process]
        self.in_flight = [it for it in self.in_flight if it.process is not gone]
        self.run(gone.registry.close())
        gone.store.db.close()
        self.processes[process] = self._start()

    def break_store(self, how: str = "away") -> None:
        """``away``, ``locked`` or ``readonly``, for all processes, until it is mended."""
        self._settle()
        self._let_go()
        self._lock(how)
        for process in self.processes:
            process.store.suffer(how)

    def mend_store(self) -> None:
        """The store is back, and each process has noticed."""
        if not self.broken:
            return
        self._let_go()
        for process in self.processes:
            process.store.suffer("")
        self.advance(60)
        self.in_flight.clear()
        self.not_before.clear()
        for process in self.processes:
            for service in self.services.values():
                self.run(process.registry.release(self.run(process.registry.admit(service))))
                self._settle()
        self.advance(breaker.LEASE_S)

    def rotate_key(self, name: str) -> None:
        service = self.services[name]
        service.key = f"key-{int(service.key[4:]) + 1}"
        self.advance(61)  # a running process asks for the credential at most once a minute
        state = self.truth.get(name)
        if self.broken or state.state != "blocked" or state.open_reason != Outcome.AUTH or state.override:
            return
        admission = self.run(self.processes[0].registry.admit(service))
        assert admission.allowed, f"7: {name} stays blocked with another credential"

    def override(self, name: str, word: str) -> None:
        registry = self.processes[0].registry
        if word == "reset":
            self.run(registry.reset(name))
        else:
            until = self.clock.now() + timedelta(hours=1)
            self.run(registry.force(name, until) if word == "force" else registry.disable(name, until))
        self.not_before.pop(name, None)

    # --- promises -------------------------------------------------------------------------------------------------

    def check_state(self, state: ProviderState) -> None:
        assert 0 <= breaker.score(state, self.clock.now()) <= 1, "10: a score that is none"
        assert state.state == OK or state.open_until is not None, f"7: {state.state} without an exit"
        assert not state.lease_owner or state.lease_until is not None, "7: a lease without an end"
        assert not state.override or state.override_until is not None, "7: an override without an end"
        if state.state == OK:
            assert state.consecutive_failures < breaker.TRIP_AFTER_ANSWERED, "a provider that is down is in service"

    def check_sharing(self) -> None:
        """12: whoever looks sees the same."""
        self._settle()
        if not self.broken:
            first, second = (dict(it.registry.states()) for it in self.processes)
            assert first == second == self.truth.load_all(), "12: two processes see different states"

    def check_replay(self) -> None:
        """12: another process that takes the same steps in the same order comes to the same state."""
        self.mend_store()
        self._settle()
        now, other = self.clock.at, HealthDb(self.path.with_name(f"replay-{next(_REPLAYS)}.db"))
        try:
            for line in self.log:
                self.clock.at, self.chance.again = line.at, list(line.chances)
                other.update(line.name, line.change)
            assert other.load_all() == self.truth.load_all(), "12: the same steps led elsewhere"
            assert other.events() == self.truth.events(), "12: the same steps told another story"
        finally:
            self.clock.at, self.chance.again = now, []
            other.close()

    def check_recovery(self) -> None:
        """6: when all is well again, the first provider serves again, and without a person."""
        self.mend_store()
        self.in_flight.clear()
        self.advance(LONGEST_S)
        for service in self.services.values():
            service.says = Outcome.OK
        self.answers = []
        for _ in range(6):
            self.run(self.processes[0].chain.call(Service.work, side_effect=True))
            self._settle()
        result = self.run(self.processes[1].chain.call(Service.work, side_effect=True))
        assert result.served_by == "a", "6: the first provider does not get its work back"
        assert self.truth.get("a").state == OK, "6: the first provider is not in service"

    # --- a random walk --------------------------------------------------------------------------------------------

    def walk(self, seed: int, steps: int = 150) -> None:
        """Random actions, then recovery. Raises ``AssertionError`` when a promise is broken."""
        chance = random.Random(seed)
        usual = [Outcome.OK, Outcome.TRANSIENT, Outcome.TRANSIENT, *OUTCOMES]
        for _ in range(steps):
            process, name, kind = chance.randrange(2), chance.choice(NAMES), chance.random()
            if kind < 0.35:
                self.begin(process, name)
            elif kind < 0.6:
                self.finish(chance.randrange(9), chance.choice(usual), asks_s=chance.choice([None, 30, 400]))
            elif kind < 0.72:
                says = {each: chance.choice(usual) for each in NAMES}
                self.call(process, says, side_effect=chance.random() < 0.7)
            elif kind < 0.75:
                says = {each: chance.choice(usual) for each in NAMES}
                self.concurrent_calls(says, chance.randrange(2, 6), side_effect=chance.random() < 0.7)
            elif kind < 0.9:
                self.advance(chance.choice([0.1, 1, 12, 30, 70, 400, 3700]))
            elif kind < 0.92:
                self.cancel(chance.randrange(9))
            elif kind < 0.93:
                self.kill(process)
            elif kind < 0.97:
                self.begin(process, name)
                self.finish(-1, Outcome.AUTH)
                self.rotate_key(name)
            elif kind < 0.985:
                self.override(name, chance.choice(["force", "disable", "reset"]))
            elif kind < 0.99:
                self.clock_jump(chance.choice([-3600, 3600]))
            else:
                self.break_store(
                    chance.choice(["away", "locked", "readonly"])
                ) if chance.random() < 0.5 else self.mend_store()
        self.check_sharing()
        self.check_replay()
        self.prober_dies("a")
        self.check_recovery()

    def prober_dies(self, name: str) -> None:
        """Whoever carries the probe is killed before it is heard."""
        self.override(name, "reset")
        for _ in range(breaker.TRIP_AFTER):
            self.begin(0, name)
            self.finish(-1, Outcome.TRANSIENT)
        self.advance(400)
        self.begin(0, name)
        self.kill(0)

    def close(self) -> None:
        self._let_go()
        for process in self.processes:
            self._part_from(process)
        self.truth.close()
        self.loop.close()
        self.folder.cleanup()

    def _lock(self, how: str) -> None:
        if how == "locked":
            self.other_program = sqlite3.connect(self.path, isolation_level=None)
            self.other_program.execute("BEGIN IMMEDIATE")

    def _let_go(self) -> None:
        if self.other_program is not None:
            self.other_program.close()
            self.other_program = None

    # --- how ------------------------------------------------------------------------------------------------------

    @property
    def broken(self) -> bool:
        return any(bool(process.store.broken) for process in self.processes)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def _settle(self) -> None:
        """Let what runs beside come to its end, and what was learned be written."""
        for process in self.processes:
            self.run(_all_of(process.registry._beside))
            self.run(process.registry.flush())

    def _counts(self, call: InFlight) -> bool:
        return not call.expired and call.lease_until is not None and self.clock.now() < call.lease_until

    def _start(self) -> Process:
        how = next((it.store.broken for it in self.processes if it.store.broken), "")
        self._let_go()  # opening a file that is locked is another story
        store = BreakableStore(self)
        if how:
            store.suffer(how)
            self._lock(how)
        registry = HealthRegistry(store, clock=self.clock, rng=self.chance, writer=AtOnce())
        policy = RetryPolicy(rounds=ROUNDS)
        chain = ProviderChain("email_sending", list(self.services.values()), registry, clock=self.clock, retry=policy)
        return Process(store, registry, chain)

    def _part_from(self, process: Process) -> None:
        how, process.store.broken = process.store.broken, "away"
        self.run(process.registry.close())
        process.store.broken = how
        process.store.db.close()
