"""Whatever happens in whatever order, in two processes at once: the promises of provider health hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import ManualClock, attempt, middle
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from world import LONGEST_S, NAMES, OUTCOMES, World

from aicmo.gateways import Outcome, breaker, health
from aicmo.gateways.breaker import Step
from aicmo.gateways.chain_work import Work
from aicmo.provider_state import OK, ProviderState

PROCESS, NAME, PLACE = st.integers(0, 1), st.sampled_from(NAMES), st.integers(0, 9)
OUTCOME = st.sampled_from(OUTCOMES)


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(process=PROCESS, name=NAME)
    def begin(self, process: int, name: str) -> None:
        self.world.begin(process, name)

    @rule(process=PROCESS, name=NAME, callers=st.integers(2, 4))
    def begin_together(self, process: int, name: str, callers: int) -> None:
        for turn in range(callers):
            self.world.begin((process + turn) % 2, name)

    @rule(place=PLACE, outcome=OUTCOME, latency=st.floats(0, 60), asks=st.none() | st.floats(1, 4000))
    def finish(self, place: int, outcome: Outcome, latency: float, asks: float | None) -> None:
        self.world.finish(place, outcome, latency, asks)

    @rule(place=PLACE)
    def cancel(self, place: int) -> None:
        self.world.cancel(place)

    @rule(process=PROCESS, first=OUTCOME, second=OUTCOME, side_effect=st.booleans())
    def call(self, process: int, first: Outcome, second: Outcome, side_effect: bool) -> None:
        self.world.call(process, dict(zip(NAMES, (first, second), strict=True)), side_effect=side_effect)

    @rule(seconds=st.floats(0.001, 4000))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def clock_jump(self, seconds: float) -> None:
        self.world.clock_jump(seconds)

    @rule(first=OUTCOME, second=OUTCOME, callers=st.integers(2, 6), side_effect=st.booleans())
    def concurrent_calls(self, first: Outcome, second: Outcome, callers: int, side_effect: bool) -> None:
        says = dict(zip(NAMES, (first, second), strict=True))
        self.world.concurrent_calls(says, callers, side_effect=side_effect)

    @rule(process=PROCESS)
    def kill_process(self, process: int) -> None:
        self.world.kill(process)

    @rule(process=PROCESS)
    def restart(self, process: int) -> None:
        self.world.restart(process)

    @rule()
    def db_away(self) -> None:
        self.world.break_store("away")

    @rule()
    def db_locked(self) -> None:
        self.world.break_store("locked")

    @rule()
    def db_readonly(self) -> None:
        self.world.break_store("readonly")

    @rule()
    def mend_store(self) -> None:
        self.world.mend_store()

    @rule(name=NAME)
    def rotate_key(self, name: str) -> None:
        self.world.rotate_key(name)

    @rule(name=NAME, word=st.sampled_from(["force", "disable", "reset"]))
    def override(self, name: str, word: str) -> None:
        self.world.override(name, word)

    @invariant()
    def sharing(self) -> None:
        self.world.check_sharing()

    def teardown(self) -> None:
        try:
            self.world.check_replay()
            self.world.check_recovery()
        finally:
            self.world.close()


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)


# --- every way through the automaton, to a small depth ----------------------------------------------------------------

DEPTH = 8


def _events() -> dict[str, Callable[[ProviderState, ManualClock], ProviderState]]:
    """What can happen to a state, each as one step; a probe is taken where one is needed."""

    def hears(outcome: Outcome, *, synthetic: bool = False) -> Callable[[ProviderState, ManualClock], ProviderState]:
        def step(state: ProviderState, clock: ManualClock) -> ProviderState:
            state, _ = breaker.take_probe(state, clock.now(), "me")
            if state.state != OK and state.lease_owner != "me":
                return state  # closed: nobody calls
            told = attempt("a", outcome, code="x")
            return breaker.after(state, told, gen=state.gen, now=clock.now(), rng=middle, synthetic=synthetic)[0]

        return step

    def waits(seconds: float) -> Callable[[ProviderState, ManualClock], ProviderState]:
        def step(state: ProviderState, clock: ManualClock) -> ProviderState:
            clock.advance(seconds)
            due = state.state != OK and not breaker.closed_until(state, clock.now()) and not breaker.needs_probe(state)
            return breaker.reopen(state, clock.now(), "")[0] if due else state

        return step

    heard = {it.value: hears(it) for it in OUTCOMES}
    return {**heard, "check": hears(Outcome.OK, synthetic=True), "61 s": waits(61), "2 h": waits(7200)}


def test_every_way_of_eight_steps_leads_to_a_state_with_an_exit() -> None:
    begin = ManualClock()
    frontier = {_shape(ProviderState("a"), begin): (ProviderState("a"), 0.0)}
    seen = set(frontier)
    for _ in range(DEPTH):
        following = {}
        for state, elapsed_s in frontier.values():
            for event in _events().values():
                clock = ManualClock()
                clock.advance(elapsed_s)
                after = event(state, clock)
                _has_an_exit(after, clock)
                shape = _shape(after, clock)
                if shape not in seen:
                    seen.add(shape)
                    following[shape] = (after, (clock.now() - begin.now()).total_seconds())
        frontier = following
    assert len(seen) > 100


def _shape(state: ProviderState, clock: ManualClock) -> tuple[object, ...]:
    """What decides the future of a state, without the figures that only shift it."""
    closed = breaker.closed_until(state, clock.now()) is not None
    under_way = breaker.probe_under_way(state, clock.now())
    flips = len(state.flips.split())
    return (
        state.state,
        state.open_reason,
        state.consecutive_failures,
        state.trips,
        state.proved,
        closed,
        under_way,
        flips,
    )


def _has_an_exit(state: ProviderState, clock: ManualClock) -> None:
    later = clock.now() + timedelta(seconds=LONGEST_S)
    for _ in range(3):
        if state.state != OK and not breaker.needs_probe(state):
            state, _ = breaker.reopen(state, later, "")
        state, _ = breaker.take_probe(state, later, "me")
        state, _ = breaker.after(state, attempt("a", Outcome.OK), gen=state.gen, now=later, rng=middle)
    assert state.state == OK, state


# --- every guard is needed --------------------------------------------------------------------------------------------


def _without_fencing(state: ProviderState, *args: object, **more: object) -> Step:
    return _after(state, *args, **{**more, "gen": state.gen})  # type: ignore[arg-type]


def _with_debt(state: ProviderState, *args: object, **more: object) -> Step:
    """Counts even what is nobody's fault."""
    state, change = _after(state, *args, **more)  # type: ignore[arg-type]
    return replace(state, observations=state.observations + 1), change


_after = breaker.after
GUARDS: dict[str, tuple[object, str, object]] = {
    "closed is closed": (breaker, "closed_until", lambda state, now: None),
    "one probe at a time": (breaker, "probe_under_way", lambda state, now: False),
    "only the probe may call": (breaker, "needs_probe", lambda state: False),
    "a lease ends": (breaker, "LEASE_S", 1e9),
    "an old result decides nothing": (breaker, "after", _without_fencing),
    "what is nobody's fault costs nothing": (breaker, "BLAMELESS", frozenset()),
    "calls without a verdict are not observed": (breaker, "after", _with_debt),
    "failures in a row close": (breaker, "_is_down", lambda state, attempt, now: False),
    "the time a provider names is kept": (breaker, "_later", lambda attempt, now, default: now + timedelta(seconds=1)),
    "a changed credential unblocks": (health, "_unblock", lambda found, fingerprint, now: (found, None)),
    "an override ends": (breaker, "override_of", lambda state, now: state.override),
    "two successes bring it back": (breaker, "PROOFS", 10**9),
    "what may have happened is not repeated": (
        Work,
        "is_decided_by",
        lambda work, attempt: attempt.outcome is Outcome.OK,
    ),
}
SEEDS = range(12)


def _notices(seed: int) -> bool:
    world = World()
    try:
        world.walk(seed)
    except (AssertionError, ValueError):
        return True
    finally:
        world.close()
    return False


def test_with_all_guards_no_promise_is_broken() -> None:
    assert not any(_notices(seed) for seed in SEEDS)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_promise_is_broken_as_soon_as_one_guard_is_gone(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, without = GUARDS[guard]
    monkeypatch.setattr(where, name, without)
    assert any(_notices(seed) for seed in SEEDS)
