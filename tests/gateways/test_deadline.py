"""9: whatever the providers do, a call comes back by its deadline; and what was cut off is not called undone."""

from __future__ import annotations

import asyncio
from random import Random

from fakes import attempt
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.gateways import Answer, Applied, Attempt, ChainResult, HealthRegistry, Outcome, ProviderChain
from bench.failover_world import AtOnce, LoopClock, virtually

LATE_S = 0.05
"""How much later than its deadline a call may come back."""
ANSWERS = [it for it in Outcome if it is not Outcome.SKIPPED]


class Slow:
    """Takes so many seconds for each answer; ``None`` is forever. ``b`` has a free check, which takes as long."""

    def __init__(self, name: str, takes_s: float | None, says: Outcome) -> None:
        self.name, self.takes_s, self.says, self.done = name, takes_s, says, 0
        if name == "b":
            self.check = self.work

    def fingerprint(self) -> str:
        return "key"

    async def work(self) -> Attempt:
        await asyncio.sleep(1e9 if self.takes_s is None else self.takes_s)
        self.done += 1
        return attempt(self.name, self.says)


TAKES_S = st.none() | st.floats(0, 20)
ANSWER = st.sampled_from(ANSWERS)
PROVIDERS = st.tuples(TAKES_S, ANSWER, TAKES_S, ANSWER)


async def calls(first: Slow, second: Slow, *, deadline_s: float, side_effect: bool) -> list[tuple[float, ChainResult]]:
    """Five calls one after the other, so that some meet a provider that is closed or tried again: time, and result."""
    clock = LoopClock()
    registry = HealthRegistry(clock=clock, rng=Random(1).random, writer=AtOnce())
    chain = ProviderChain("email_sending", [first, second], registry, clock=clock)
    seen = []
    for _ in range(5):
        began = clock.monotonic()
        result = await chain.call(Slow.work, side_effect=side_effect, deadline_s=deadline_s, impatient=True)
        seen.append((clock.monotonic() - began, result))
        await clock.sleep(9)
    await registry.close()
    return seen


@settings(max_examples=150, deadline=None, print_blob=True)
@given(providers=PROVIDERS, deadline_s=st.floats(0, 30), side_effect=st.booleans())
def test_a_call_is_back_by_its_deadline(
    providers: tuple[float | None, Outcome, float | None, Outcome], deadline_s: float, side_effect: bool
) -> None:
    first, second = Slow("a", *providers[:2]), Slow("b", *providers[2:])
    for took_s, result in virtually(calls(first, second, deadline_s=deadline_s, side_effect=side_effect)):
        assert took_s <= deadline_s + LATE_S
        cut = [it for it in result.attempts if it.phase == "deadline"]
        assert all(it.outcome is Outcome.CANCELLED and it.applied is not Applied.YES for it in cut)


def test_a_side_effect_that_is_cut_off_may_have_happened() -> None:
    (_, result), *_ = virtually(
        calls(Slow("a", None, Outcome.OK), Slow("b", 0.1, Outcome.OK), deadline_s=2, side_effect=True)
    )
    assert (result.final.outcome, result.final.applied) == (Outcome.CANCELLED, Applied.UNKNOWN)
    assert result.served_by == "a" and len(result.attempts) == 1


def test_items_asked_about_in_batches_keep_the_deadline_too() -> None:
    first, second = Slow("a", 3, Outcome.MISS), Slow("c", None, Outcome.OK)

    async def each() -> float:
        clock = LoopClock()
        registry = HealthRegistry(clock=clock, rng=Random(1).random, writer=AtOnce())
        chain = ProviderChain("lead_enrichment", [first, second], registry, clock=clock)

        async def op(provider: Slow, items: object) -> Answer[list[str | None]]:
            return Answer(await provider.work(), None)

        began = clock.monotonic()
        await chain.ask_each(["x", "y"], op, deadline_s=5)
        return clock.monotonic() - began

    assert 5 <= virtually(each()) <= 5 + LATE_S
