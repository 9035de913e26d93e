"""Who is called, in which order, and where a chain stops."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from fakes import FakeProvider, ManualClock, attempt, middle

from aicmo.gateways import Applied, Attempt, ChainResult, HealthRegistry, NotNow, Outcome, ProviderChain

OUTCOMES = [it for it in Outcome if it is not Outcome.SKIPPED]


def chain_of(*providers: FakeProvider, clock: ManualClock | None = None) -> ProviderChain[FakeProvider]:
    clock = clock or ManualClock()
    return ProviderChain("email_sending", providers, HealthRegistry(clock=clock, rng=middle), clock=clock)


async def call(chain: ProviderChain[FakeProvider], *, side_effect: bool = True, only: str | None = None) -> ChainResult:
    result = await chain.call(FakeProvider.work, side_effect=side_effect, only=only)
    await chain.registry.close()
    return result


@pytest.mark.parametrize("applied", list(Applied))
@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_side_effect_moves_on_only_when_nothing_happened_and_another_could_help(
    outcome: Outcome, applied: Applied
) -> None:
    first, second = FakeProvider("a", attempt("a", outcome, applied)), FakeProvider("b")
    result = await call(chain_of(first, second))
    helps = outcome in (Outcome.TRANSIENT, Outcome.RATE_LIMITED, Outcome.QUOTA, Outcome.AUTH, Outcome.MISS)
    # An ambiguous attempt that provably did nothing does not exist; were there one, moving on would be safe.
    helps = helps or (outcome is Outcome.AMBIGUOUS and applied is Applied.NO)
    assert second.calls == (1 if helps and applied is Applied.NO else 0)
    assert result.final is result.attempts[-1]


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_read_moves_on_after_any_failure_that_is_the_providers(outcome: Outcome) -> None:
    first, second = FakeProvider("a", outcome), FakeProvider("b")
    await call(chain_of(first, second), side_effect=False)
    stays = (Outcome.OK, Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED)
    assert second.calls == (0 if outcome in stays else 1)


async def test_the_first_that_can_serves() -> None:
    first, second = FakeProvider("a"), FakeProvider("b")
    result = await call(chain_of(first, second))
    assert (result.served_by, first.calls, second.calls) == ("a", 1, 0)


async def test_the_spare_takes_over_and_both_attempts_are_told() -> None:
    result = await call(chain_of(FakeProvider("a", Outcome.TRANSIENT), FakeProvider("b")))
    assert result.served_by == "b"
    assert [it.outcome for it in result.attempts] == [Outcome.TRANSIENT, Outcome.OK]


@pytest.mark.parametrize(
    ("first", "second", "final"),
    [
        (Outcome.AUTH, Outcome.TRANSIENT, Outcome.TRANSIENT),
        (Outcome.TRANSIENT, Outcome.AUTH, Outcome.TRANSIENT),
        (Outcome.QUOTA, Outcome.AUTH, Outcome.QUOTA),
        (Outcome.MISS, Outcome.TRANSIENT, Outcome.TRANSIENT),
        (Outcome.MISS, Outcome.MISS, Outcome.MISS),
    ],
)
async def test_when_nobody_could_the_most_hopeful_failure_speaks(
    first: Outcome, second: Outcome, final: Outcome
) -> None:
    result = await call(chain_of(FakeProvider("a", first), FakeProvider("b", second)), side_effect=False)
    assert result.final.outcome is final
    assert len(result.attempts) == 2


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_chain_of_one_answers_whatever_its_provider_says(outcome: Outcome) -> None:
    for side_effect in (True, False):
        result = await call(chain_of(FakeProvider("a", outcome)), side_effect=side_effect)
        assert (result.final.outcome, len(result.attempts)) == (outcome, 1)


async def test_a_closed_provider_is_skipped_and_gets_its_work_back() -> None:
    clock = ManualClock()
    first, second = FakeProvider("a", *[Outcome.TRANSIENT] * 3), FakeProvider("b")
    chain = chain_of(first, second, clock=clock)
    for _ in range(5):
        assert (await chain.call(FakeProvider.work, side_effect=True)).served_by == "b"
    assert (first.calls, second.calls) == (3, 5)
    clock.advance(12)
    assert (await call(chain)).served_by == "a"
    assert (await call(chain)).served_by == "a"


async def test_an_empty_chain_says_so_and_names_no_time() -> None:
    result = await call(chain_of())
    assert (result.final.outcome, result.final.applied) == (Outcome.SKIPPED, Applied.NO)
    assert (result.attempts, result.retry_at, result.served_by) == ((), None, "")
    assert result.final.detail == "email_sending: no provider is configured"


async def test_a_chain_of_closed_providers_says_why_and_until_when() -> None:
    clock = ManualClock()
    until = clock.now() + timedelta(minutes=10)
    slow = attempt("a", Outcome.RATE_LIMITED, code="454", detail="too fast", retry_at=until)
    chain = chain_of(FakeProvider("a", slow), FakeProvider("b", Outcome.AUTH), clock=clock)
    refused = await chain.call(FakeProvider.work, side_effect=True)
    assert (refused.final.outcome, refused.retry_at) == (Outcome.RATE_LIMITED, until)
    result = await call(chain)
    assert (result.final.outcome, result.retry_at, result.attempts) == (Outcome.SKIPPED, until, ())
    assert result.final.retry_at == until
    assert (
        result.final.detail == "email_sending: a is cooling after rate_limited (454 too fast); b is blocked after auth"
    )
    assert (await chain.usable(), await chain.next_try_at()) == (False, until)


async def test_a_thread_stays_with_its_sender() -> None:
    first, second = FakeProvider("a"), FakeProvider("b", Outcome.TRANSIENT)
    chain = chain_of(first, second)
    assert (await call(chain, only="b")).final.outcome is Outcome.TRANSIENT
    assert first.calls == 0
    assert (await call(chain, only="c")).final.detail == "email_sending: c is not in the chain"


@pytest.mark.parametrize("error", [NotNow(), RuntimeError("a bug"), asyncio.CancelledError()])
async def test_an_exception_comes_through_blames_nobody_and_frees_the_probe(error: BaseException) -> None:
    clock = ManualClock()
    provider = FakeProvider("a", *[Outcome.TRANSIENT] * 3, error, Outcome.OK)
    chain = chain_of(provider, clock=clock)
    for _ in range(3):
        await chain.call(FakeProvider.work, side_effect=True)
    clock.advance(12)
    before = chain.registry.states()["a"]
    with pytest.raises(type(error)):
        await chain.call(FakeProvider.work, side_effect=True)
    after = chain.registry.states()["a"]
    assert (after.consecutive_failures, after.observations) == (before.consecutive_failures, before.observations)
    assert await chain.usable()
    assert (await call(chain)).served_by == "a"


@pytest.mark.parametrize(("side_effect", "applied"), [(True, Applied.UNKNOWN), (False, Applied.NO)])
async def test_the_deadline_stops_what_runs_and_claims_no_more_than_it_knows(
    side_effect: bool, applied: Applied
) -> None:
    async def never(provider: FakeProvider) -> Attempt:
        await asyncio.Event().wait()
        raise AssertionError

    chain = chain_of(FakeProvider("a"), FakeProvider("b"))
    result = await chain.call(never, side_effect=side_effect, deadline_s=0.01)
    assert (result.final.outcome, result.final.applied, len(result.attempts)) == (Outcome.CANCELLED, applied, 1)
    assert chain.registry.states() == {}
    await chain.registry.close()


async def test_the_deadline_is_for_all_attempts_together() -> None:
    clock = ManualClock()

    async def slow(provider: FakeProvider) -> Attempt:
        clock.advance(10)
        return await provider.work()

    second = FakeProvider("b")
    chain = chain_of(FakeProvider("a", Outcome.TRANSIENT), second, clock=clock)
    result = await chain.call(slow, side_effect=True, deadline_s=5)
    assert (result.final.outcome, result.final.applied, second.calls) == (Outcome.CANCELLED, Applied.NO, 0)
    await chain.registry.close()


async def test_a_timeout_of_the_provider_itself_is_not_mistaken_for_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        await chain_of(FakeProvider("a", TimeoutError())).call(FakeProvider.work, side_effect=False, deadline_s=5)
