"""Who is called, in which order, and where a chain stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from fakes import FakeProvider, ManualClock, attempt, middle

from aicmo.gateways import Answer, Applied, Attempt, ChainResult, HealthRegistry, NotNow, Outcome, ProviderChain
from aicmo.gateways.limits import Gate, Refusal, Reservation
from aicmo.gateways.providers import Provider
from aicmo.gateways.retry import RetryPolicy

ONCE = RetryPolicy(rounds=1)

OUTCOMES = [it for it in Outcome if it is not Outcome.SKIPPED]


def chain_of(
    *providers: FakeProvider, clock: ManualClock | None = None, retry: RetryPolicy = ONCE, gate: Gate | None = None
) -> ProviderChain[FakeProvider]:
    clock = clock or ManualClock()
    registry = HealthRegistry(clock=clock, rng=middle)
    return ProviderChain("email_sending", providers, registry, clock=clock, retry=retry, gate=gate)


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
        result.final.detail == "email_sending: a is left alone, as it asked (454 too fast);"
        " b is blocked, because it refuses our password or key"
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


# --- reading ----------------------------------------------------------------------------------------------------------


def reads() -> Callable[[FakeProvider], Awaitable[Answer[str]]]:
    """Each provider answers as told in its own script; what it reads is its name."""

    async def op(provider: FakeProvider) -> Answer[str]:
        attempt = await provider.work()
        return Answer(attempt, provider.name if attempt.outcome is Outcome.OK else None)

    return op


async def test_a_read_brings_what_was_read_and_a_miss_goes_on_without_blame() -> None:
    chain = chain_of(FakeProvider("a", Outcome.MISS), FakeProvider("b"))
    answer = await chain.ask(reads())
    assert (answer.value, answer.served_by) == ("b", "b")
    assert chain.registry.states().get("a") is None
    await chain.registry.close()


async def test_a_read_is_tried_again_within_its_rounds_and_a_write_never_is() -> None:
    for side_effect, calls in ((False, 3), (True, 1)):
        provider = FakeProvider("a", *[attempt("a", Outcome.TRANSIENT, code="503")] * 9)
        chain = chain_of(provider, retry=RetryPolicy())
        result = await chain.call(FakeProvider.work, side_effect=side_effect)
        assert (provider.calls, result.final.outcome) == (calls, Outcome.TRANSIENT)
        await chain.registry.close()


async def test_a_write_that_may_be_repeated_is_repeated_with_the_same_provider_only() -> None:
    first, second = FakeProvider("a", Outcome.AMBIGUOUS), FakeProvider("b")
    chain = chain_of(first, second, retry=RetryPolicy())
    result = await chain.call(FakeProvider.work, side_effect=True, idempotent=True)
    assert (result.served_by, first.calls, second.calls) == ("a", 2, 0)
    await chain.registry.close()


async def test_a_retry_waits_until_the_provider_wants_it_and_a_long_wait_is_told_instead() -> None:
    for asked_s, waits in ((3, True), (60, False)):
        clock = ManualClock()
        until = clock.now() + timedelta(seconds=asked_s)
        provider = FakeProvider("a", attempt("a", Outcome.RATE_LIMITED, code="429", retry_at=until))
        chain = chain_of(provider, clock=clock, retry=RetryPolicy())
        answer = await chain.ask(reads())
        assert (answer.value == "a", clock.now() >= until) == (waits, waits)
        assert waits or answer.retry_at == until
        await chain.registry.close()


async def test_retries_stop_when_their_budget_is_spent() -> None:
    providers = [FakeProvider("a", *[attempt("a", Outcome.TRANSIENT, code="503"), Outcome.OK] * 40)]
    chain = chain_of(*providers, retry=RetryPolicy())
    outcomes = [(await chain.ask(reads())).final.outcome for _ in range(30)]
    # Ten tokens, a tenth of one back for every success: ten retries that succeed, then hardly any.
    assert outcomes[:10] == [Outcome.OK] * 10
    assert outcomes[10:].count(Outcome.TRANSIENT) >= 9
    await chain.registry.close()


class Leads(FakeProvider):
    """Knows some of what it is asked, in batches of ``batch_size``."""

    def __init__(self, name: str, *known: int, batch_size: int = 4, failing: Outcome | None = None) -> None:
        super().__init__(name)
        self.known, self.batch_size, self.failing = known, batch_size, failing
        self.asked: list[tuple[int, ...]] = []

    async def enrich(self, items: Sequence[int]) -> Answer[Sequence[str | None]]:
        self.asked.append(tuple(items))
        if self.failing:
            return Answer(attempt(self.name, self.failing))
        return Answer(attempt(self.name, Outcome.OK), [f"{self.name}{n}" if n in self.known else None for n in items])


async def test_the_next_provider_is_asked_only_about_what_the_first_one_missed() -> None:
    first, second = Leads("a", 0, 1, 2, 3, 5, 6, 7, 9), Leads("b", 4)
    chain: ProviderChain[Leads] = chain_of(first, second)  # type: ignore[assignment, arg-type]
    answer = await chain.ask_each(range(10), Leads.enrich)
    assert (first.asked, second.asked) == ([(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)], [(4, 8)])
    assert [item.value for item in answer.items] == ["a0", "a1", "a2", "a3", "b4", "a5", "a6", "a7", None, "a9"]
    assert answer.items[4].asked == ("a", "b")
    assert (answer.items[8].asked, answer.retry_at, answer.why) == (("a", "b"), None, "")
    await chain.registry.close()


async def test_items_that_nobody_could_be_asked_about_are_told_apart_from_misses() -> None:
    chain: ProviderChain[Leads] = chain_of(Leads("a", failing=Outcome.AUTH))  # type: ignore[assignment, arg-type]
    answer = await chain.ask_each([0, 1], Leads.enrich)
    assert [item.asked for item in answer.items] == [(), ()]
    assert answer.why and answer.retry_at is not None
    await chain.registry.close()


# --- nobody waits for a trial -----------------------------------------------------------------------------------------


class Checked(FakeProvider):
    """Has a free check, which hangs until ``back`` is set."""

    def __init__(self, name: str, *outcomes: Outcome | Attempt, up: bool = False) -> None:
        super().__init__(name, *outcomes)
        self.checks, self.back = 0, asyncio.Event()
        if up:
            self.back.set()

    async def check(self) -> Attempt:
        self.checks += 1
        await self.back.wait()
        return attempt(self.name, Outcome.OK, Applied.NO)


async def closed_and_due(*providers: FakeProvider) -> ProviderChain[FakeProvider]:
    clock = ManualClock()
    chain = chain_of(*providers, clock=clock)
    for _ in range(3):
        await chain.call(FakeProvider.work, side_effect=True)
    clock.advance(12)
    return chain


async def test_the_spare_serves_while_the_first_is_tried_and_then_the_first_has_its_work_back() -> None:
    first, second = Checked("a", *[Outcome.TRANSIENT] * 3), FakeProvider("b")
    chain = await closed_and_due(first, second)
    assert (await chain.call(FakeProvider.work, side_effect=True)).served_by == "b"  # although the check hangs
    first.back.set()
    await asyncio.sleep(0)
    while chain.registry.states()["a"].state != "probing":
        await asyncio.sleep(0)
    for _ in range(2):
        assert (await chain.call(FakeProvider.work, side_effect=True)).served_by == "a"
    assert (await chain.registry.admit(first)).settled
    assert (first.checks, first.calls) == (1, 5)
    await chain.registry.close()


async def test_a_side_effect_never_carries_the_first_probe_where_a_check_can() -> None:
    first = Checked("a", *[Outcome.TRANSIENT] * 3, up=True)
    chain = await closed_and_due(first)
    assert (await chain.call(FakeProvider.work, side_effect=True)).served_by == "a"
    assert (first.checks, first.calls) == (1, 4)
    await chain.registry.close()


async def test_a_read_without_a_check_is_tried_beside_the_spares_answer() -> None:
    first, second = FakeProvider("a", *[Outcome.TRANSIENT] * 3), FakeProvider("b")
    chain = await closed_and_due(first, second)
    assert (await chain.ask(reads())).value == "b"
    while chain.registry.states()["a"].state != "probing":
        await asyncio.sleep(0)
    assert (await chain.ask(reads())).value == "a"
    await chain.registry.close()


async def test_when_there_is_no_spare_the_trial_is_waited_for_until_the_deadline() -> None:
    first = Checked("a", *[Outcome.TRANSIENT] * 3)
    chain = await closed_and_due(first)
    result = await chain.call(FakeProvider.work, side_effect=True, deadline_s=0.01)
    assert (result.final.outcome, result.attempts, first.calls) == (Outcome.SKIPPED, (), 3)
    await chain.registry.close()
    assert chain.registry.states()["a"].lease_until is None


async def test_items_go_to_the_next_provider_while_the_first_is_tried_again() -> None:
    class CheckedLeads(Leads):
        async def check(self) -> Attempt:
            await asyncio.Event().wait()
            raise AssertionError

    clock = ManualClock()
    first, second = CheckedLeads("a", 0), Leads("b", 0, batch_size=9)
    first.answers = [Outcome.TRANSIENT] * 3
    chain: ProviderChain[Leads] = chain_of(first, second, clock=clock)  # type: ignore[assignment, arg-type]
    for _ in range(3):
        await chain.call(Leads.work, side_effect=True)
    clock.advance(12)
    answer = await chain.ask_each([0], Leads.enrich)
    assert (answer.items[0].value, first.asked) == ("b0", [])
    for task in chain.registry._beside:
        task.cancel()
    await chain.registry.close()


# --- nobody is left ---------------------------------------------------------------------------------------------------


async def test_work_in_the_background_waits_and_a_person_may_try_once_in_five_seconds() -> None:
    clock = ManualClock()
    provider = FakeProvider("a", *[Outcome.TRANSIENT] * 4)
    chain = chain_of(provider, clock=clock)
    for _ in range(3):
        await chain.call(FakeProvider.work, side_effect=True)
    assert (await chain.call(FakeProvider.work, side_effect=True)).final.outcome is Outcome.SKIPPED
    until = chain.registry.states()["a"].open_until
    tried = [await chain.call(FakeProvider.work, side_effect=True, impatient=True) for _ in range(2)]
    assert [it.forced for it in tried] == [True, False]
    assert chain.registry.states()["a"].open_until == until  # a forced failure lengthens nothing
    clock.advance(5)
    assert (await chain.call(FakeProvider.work, side_effect=True, impatient=True)).served_by == "a"
    await chain.registry.close()


@pytest.mark.parametrize("outcome", [Outcome.AUTH, Outcome.QUOTA, Outcome.RATE_LIMITED])
async def test_impatience_overrules_no_block_and_no_limit(outcome: Outcome) -> None:
    chain = chain_of(FakeProvider("a", outcome))
    await chain.call(FakeProvider.work, side_effect=True)
    result = await chain.call(FakeProvider.work, side_effect=True, impatient=True)
    assert (result.final.outcome, result.forced) == (Outcome.SKIPPED, False)
    await chain.registry.close()


async def test_slow_is_better_than_nobody_and_worse_than_a_spare() -> None:
    slow = attempt("a", Outcome.OK, latency_s=40.0)
    for spare in ((), (FakeProvider("b"),)):
        clock = ManualClock()
        first = FakeProvider("a", *[attempt("a", Outcome.OK, latency_s=1.0)] * 10, *[slow] * 6)
        chain = chain_of(first, *spare, clock=clock)
        for _ in range(15):
            clock.advance(1)
            await chain.call(FakeProvider.work, side_effect=True)
        await chain.registry.close()
        assert chain.registry.states()["a"].open_reason == "slow"
        assert (await chain.call(FakeProvider.work, side_effect=True)).served_by == ("b" if spare else "a")
        await chain.registry.close()


async def test_three_people_whose_mail_is_refused_for_its_content_stop_the_whole_chain() -> None:
    refused = attempt("a", Outcome.CONTENT, code="550 5.7.1")
    first, second = FakeProvider("a", *[refused] * 9), FakeProvider("b")
    chain = chain_of(first, second)
    for whom in ("x@example.com", "X@example.com ", "y@example.com", "z@example.com"):
        assert (await chain.call(FakeProvider.work, side_effect=True, concerning=whom)).final.outcome is Outcome.CONTENT
    result = await chain.call(FakeProvider.work, side_effect=True, concerning="w@example.com")
    assert (result.final.outcome, first.calls, second.calls) == (Outcome.SKIPPED, 4, 0)
    await chain.registry.reset("a")
    assert (await chain.registry.admit(first)).settled
    await chain.registry.close()


# --- our own limits, and our own network ------------------------------------------------------------------------------


class OneCall:
    """A gate that lets one call pass."""

    def __init__(self, until: datetime) -> None:
        self.until = until
        self.settled: list[dict[str, int]] = []
        self.left = 1

    async def take(self, provider: Provider, *, cost: Mapping[str, int]) -> Reservation | Refusal:
        if self.left:
            self.left -= 1
            return Reservation(provider.name, "1", cost)
        return Refusal(provider.name, Outcome.QUOTA, self.until, "no credits are left")

    async def told(self, provider: Provider, allowed: Mapping[str, int]) -> None:
        self.allowed = allowed

    async def settle(self, reservation: Reservation, spent: Mapping[str, int] | None) -> None:
        self.settled.append(dict(reservation.held if spent is None else spent))


async def test_the_gate_is_asked_before_each_call_and_told_what_it_cost() -> None:
    clock = ManualClock()
    gate = OneCall(clock.now() + timedelta(days=1))
    chain = chain_of(FakeProvider("a"), clock=clock, gate=gate)
    assert (await chain.ask(reads(), cost={"credits": 2})).value == "a"
    assert gate.settled == [{"credits": 2}]
    refused = await chain.ask(reads(), cost={"credits": 2})
    assert (refused.final.outcome, refused.final.detail) == (
        Outcome.SKIPPED,
        "email_sending: a: no credits are left",
    )
    assert refused.retry_at == gate.until
    assert (await chain.registry.admit(chain.providers[0])).settled  # not its fault
    await chain.registry.close()


async def test_the_gate_is_told_what_the_provider_says_it_allows() -> None:
    clock = ManualClock()
    gate = OneCall(clock.now())
    said = attempt("a", Outcome.RATE_LIMITED, code="429", allowed=(("minute", 20),))
    chain = chain_of(FakeProvider("a", said), clock=clock, gate=gate)
    await call(chain)
    assert gate.allowed == {"minute": 20}
    await chain.registry.close()


async def test_what_another_did_in_its_place_is_put_on_its_bill() -> None:
    clock = ManualClock()
    first = FakeProvider("a", *[Outcome.TRANSIENT] * 3)
    chain = chain_of(first, FakeProvider("b"), FakeProvider("c"), clock=clock)
    for _ in range(10):
        assert (await call(chain)).served_by == "b"
    await chain.registry.flush()
    states = chain.registry.states()
    assert (states["a"].elsewhere, states["a"].wasted, states["b"].elsewhere) == (10, 3, 0)
    assert "c" not in states
    await chain.registry.close()


class OnlyTheSecond(OneCall):
    async def take(self, provider: Provider, *, cost: Mapping[str, int]) -> Reservation | Refusal:
        self.left = provider.name == "b"
        return await super().take(provider, cost=cost)


async def test_neither_a_miss_nor_a_limit_of_ours_is_on_anybodys_bill() -> None:
    clock = ManualClock()
    chain = chain_of(FakeProvider("a"), FakeProvider("b"), clock=clock, gate=OnlyTheSecond(clock.now()))
    assert (await chain.ask(reads())).value == "b"
    misses = chain_of(FakeProvider("a", Outcome.MISS), FakeProvider("b"), clock=clock)
    assert (await misses.ask(reads())).value == "b"
    for each in (chain, misses):
        await each.registry.flush()
        assert not any(it.elsewhere for it in each.registry.states().values())
        await each.registry.close()


async def test_without_a_network_nobody_is_to_blame_and_one_call_in_five_seconds_looks_for_it() -> None:
    clock = ManualClock()
    unreachable = [attempt(name, Outcome.TRANSIENT, phase="connect") for name in "ab"]
    first, second = FakeProvider("a", *[unreachable[0]] * 9), FakeProvider("b", *[unreachable[1]] * 9)
    chain = chain_of(first, second, clock=clock)
    for _ in range(20):
        await chain.call(FakeProvider.work, side_effect=True)
    assert chain.registry.offline
    assert all(it.state == "ok" and not it.observations for it in chain.registry.states().values())
    assert (first.calls, second.calls) == (1, 1)
    clock.advance(5)
    await chain.call(FakeProvider.work, side_effect=True)
    assert first.calls + second.calls == 3
    first.answers.clear()
    clock.advance(5)
    assert (await chain.call(FakeProvider.work, side_effect=True)).served_by == "a"
    assert not chain.registry.offline
    await chain.registry.close()


async def test_one_host_that_cannot_be_reached_is_its_own_fault() -> None:
    chain = chain_of(FakeProvider("a", *[attempt("a", Outcome.TRANSIENT, phase="connect")] * 3), FakeProvider("b"))
    for _ in range(3):
        await chain.call(FakeProvider.work, side_effect=True)
    assert chain.registry.states()["a"].state == "cooling"
    assert not chain.registry.offline
    await chain.registry.close()
