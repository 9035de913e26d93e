"""Providers of one capability in order of preference: the first that may serve does; the next steps in if that is safe.

A side effect moves on only while every attempt so far says that nothing happened (``Applied.NO``). Our own bad input, a
dead recipient and refused content never move on: the next provider would be given the same. A miss moves on without
blame. Nobody waits for a provider that is being tried again: the next one serves, and the trial runs beside it. When no
one may serve, the chain says why, and when to come back.

This is the one layer that retries: reads, and writes that are declared repeatable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.gateways.admission import Admission
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.breaker import REPUTATION
from aicmo.gateways.chain_answer import ChainAnswer, ChainResult, EachAnswer, ItemAnswer
from aicmo.gateways.chain_work import WORTH_A_RETRY, Work
from aicmo.gateways.health import HealthRegistry, has_free_check
from aicmo.gateways.limits import Gate, Refusal, Reservation
from aicmo.gateways.providers import Provider
from aicmo.gateways.retry import RetryBudget, RetryPolicy

if TYPE_CHECKING:
    from asyncio import Task

P = TypeVar("P", bound=Provider)
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741  # an item asked about
R = TypeVar("R")

_MOST_HOPEFUL_FIRST = (
    Outcome.TRANSIENT,
    Outcome.AMBIGUOUS,
    Outcome.RATE_LIMITED,
    Outcome.QUOTA,
    Outcome.AUTH,
    Outcome.MISS,
    Outcome.SKIPPED,
)
"""Which failure speaks for a chain that nobody could serve. A miss is the answer only when all missed."""
_FREE: Mapping[str, int] = {}


class ProviderChain(Generic[P]):
    """``providers`` are in the configured order, which is the order they are tried in."""

    def __init__(
        self,
        capability: str,
        providers: Sequence[P],
        registry: HealthRegistry,
        *,
        clock: Clock = SYSTEM_CLOCK,
        gate: Gate | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """``gate`` is asked for rates and budgets before every call."""
        self.capability = capability
        self.providers = tuple(providers)
        self.registry = registry
        self._clock = clock
        self._gate = gate
        self._retry = retry or RetryPolicy()
        self._budget = RetryBudget()

    async def call(
        self,
        op: Callable[[P], Awaitable[Attempt]],
        *,
        side_effect: bool,
        idempotent: bool = False,
        only: str | None = None,
        deadline_s: float | None = None,
        impatient: bool = False,
        concerning: str = "",
    ) -> ChainResult:
        """Let the first provider that may serve do ``op``; move on where that is safe.

        ``idempotent``: this side effect may be repeated *with the same provider* when nobody knows what came of it.
        ``only`` names the one provider that may do it, because a thread stays with the sender that began it.
        ``deadline_s`` is for all attempts together; what still runs then is cancelled, and for a side effect nobody
        knows what came of it (``Applied.UNKNOWN``). ``impatient``: a person waits, so a closed provider is tried once
        in five seconds when there is no other. ``concerning`` is the recipient or record, if there is one. An exception
        of ``op``, ``NotNow`` among them, passes through and blames nobody.
        """

        async def answered(provider: P) -> Answer[None]:
            return Answer(await op(provider))

        work: Work[P, None] = Work(
            answered, side_effect, only, self._stop_at(deadline_s), impatient, concerning, _FREE, _unknown_if_done
        )
        answer = await self._run(work, repeatable=idempotent or not side_effect)
        return await self._result(work, answer)

    async def ask(
        self,
        op: Callable[[P], Awaitable[Answer[T]]],
        *,
        only: str | None = None,
        deadline_s: float | None = None,
        impatient: bool = False,
        concerning: str = "",
        cost: Mapping[str, int] | Callable[[P], Mapping[str, int]] = _FREE,
        spent: Callable[[Answer[T]], Mapping[str, int] | None] | None = None,
    ) -> ChainAnswer[T]:
        """Let the first provider that can read what ``op`` reads. A miss goes on to the next one.

        ``cost`` is the most a call can cost (unit -> amount), ``spent`` what the answer says it did cost; without
        ``spent``, an answer costs all of it, and what was provably not done costs nothing. Else as ``call``.
        """
        work = Work(op, False, only, self._stop_at(deadline_s), impatient, concerning, cost, spent or _unknown_if_done)
        answer = await self._run(work, repeatable=True)
        told = await self._result(work, answer)
        return ChainAnswer(told.attempts, told.final, told.retry_at, told.forced, answer.value if answer else None)

    async def ask_each(
        self,
        items: Sequence[I],
        op: Callable[[P, Sequence[I]], Awaitable[Answer[Sequence[R | None]]]],
        *,
        deadline_s: float | None = None,
    ) -> EachAnswer[R]:
        """Ask about several items: the first provider tells what it can, the next one is only asked about the rest.

        ``op`` gives one value per item, in order; ``None`` is a miss. A provider with a ``batch_size`` is asked about
        so many at a time. ``deadline_s`` is for all attempts together. Nothing is retried: what is left is told.
        """
        found: list[ItemAnswer[R]] = [ItemAnswer() for _ in items]
        open_places, stop_at = list(range(len(items))), self._stop_at(deadline_s)
        done: list[Attempt] = []
        left_out: list[Admission] = []
        left_by: dict[str, list[int]] = {}
        for provider in self.providers:
            size = getattr(provider, "batch_size", 0) or len(open_places)
            asked_next: list[int] = []
            for start in range(0, len(open_places), size or 1):
                places = open_places[start : start + size]
                batch = [items[place] for place in places]

                async def ask(provider: P, batch: Sequence[I] = batch) -> Answer[Sequence[R | None]]:
                    return await op(provider, batch)

                last = provider is self.providers[-1]
                work = Work(ask, False, provider.name, stop_at, False, "", _FREE, _unknown_if_done, waits=last)
                answer = await self._walk(work)
                done += work.attempts
                if answer is None and provider.name not in work.missed:
                    left_out += work.closed
                    left_by |= dict.fromkeys(work.in_trouble(), open_places[start:])
                    asked_next += open_places[start:]
                    break
                if answer is not None and answer.attempt.outcome is not Outcome.OK:
                    continue  # our own bad input, or no time left: the next provider could do no better
                values = answer.value if answer is not None and answer.value is not None else [None] * len(places)
                for place, value in zip(places, values, strict=True):
                    found[place] = ItemAnswer(value, (*found[place].asked, provider.name))
                    if value is None:
                        asked_next.append(place)
            open_places = asked_next
            if not open_places:
                break
        for name, places in left_by.items():
            self.registry.served_elsewhere(name, sum(bool(found[place].asked) for place in places))
        unasked = any(not item.asked for item in found)
        failed = [attempt for attempt in done if attempt.outcome not in (Outcome.OK, Outcome.MISS)]
        why = "; ".join([*(_closed(it) for it in left_out), *(f"{it.provider}: {it.detail}" for it in failed)])
        return EachAnswer(
            tuple(found),
            tuple(done),
            await self.next_try_at() if unasked else None,
            (why or "no provider is configured")[:300] if unasked else "",
        )

    async def usable(self, only: str | None = None) -> bool:
        """Whether a call made now would reach a provider."""
        return any([(await self.registry.look(provider)).allowed for provider in self._candidates(only)])

    async def next_try_at(self, only: str | None = None) -> datetime | None:
        """When a provider may be called: now or in the past when one is usable. ``None`` when there is none at all."""
        looks = [await self.registry.look(provider) for provider in self._candidates(only)]
        return min((look.until or self._clock.now() for look in looks), default=None)

    # --- one call through the chain -----------------------------------------------------------------------------------

    async def _run(self, work: Work[P, T], *, repeatable: bool) -> Answer[T] | None:
        """Walk the chain, again where that may help, until somebody has the last word; ``None`` when nobody had."""
        for retry in range(self._retry.rounds):
            tried = len(work.attempts)
            work.closed.clear()
            answer = await self._walk(work)
            if answer is not None and answer.attempt.outcome is Outcome.OK:
                self._budget.earn()
                if work.closed or len(work.attempts) > 1 or work.beside:
                    for name in work.in_trouble() - {answer.attempt.provider}:
                        self.registry.served_elsewhere(name)
            final = answer.attempt if answer is not None else None
            if not repeatable or not await self._wait_for_retry(work, final, work.attempts[tried:], retry):
                return answer
        raise AssertionError("the last round never waits for another")

    async def _walk(self, work: Work[P, T]) -> Answer[T] | None:
        """Ask one after the other, once."""
        work.beside.clear()
        for provider in self._candidates(work.only):
            if provider.name in work.missed:
                continue
            admission = await self.registry.admit(provider)
            if not admission.allowed:
                work.closed.append(admission)
                if work.side_effect and admission.cause == REPUTATION:
                    break  # the same content through the next one would ruin that one too
                continue
            if admission.first and self._try_beside(provider, admission, work):
                continue
            answer = await self._attempt(provider, admission, work)
            if answer is not None and work.is_decided_by(answer.attempt):
                return answer
        return await self._walk_the_rest(work)

    async def _walk_the_rest(self, work: Work[P, T]) -> Answer[T] | None:
        """Nobody in service could: wait for those being tried again, then turn to those that are merely closed."""
        for provider, check, own in work.beside:
            answer = await self._hear_trial(provider, check, own, work)
            if answer is not None and work.is_decided_by(answer.attempt):
                return answer
        for closed in [it for it in work.closed if it.cause and not work.attempts]:
            provider = next(it for it in self.providers if it.name == closed.provider)
            admission = await self.registry.admit_all_the_same(provider, impatient=work.impatient)
            if admission is not None:
                work.forced = True
                answer = await self._attempt(provider, admission, work)
                if answer is not None and work.is_decided_by(answer.attempt):
                    return answer
        return None

    async def _attempt(self, provider: P, admission: Admission, work: Work[P, T]) -> Answer[T] | None:
        """One call under ``admission``, recorded; ``None`` when the gate does not let it pass."""
        remaining_s = None if work.stop_at is None else work.stop_at - self._clock.monotonic()
        reservation: Reservation | None = None
        answer: Answer[T] | None = None
        try:
            if self._gate is not None:
                cost = work.cost(provider) if callable(work.cost) else work.cost
                taken = await self._gate.take(provider, cost=cost)
                if isinstance(taken, Refusal):
                    await self.registry.release(admission)
                    work.closed.append(Admission(provider.name, False, until=taken.until, reason=taken.reason))
                    return None
                reservation = taken
            try:
                answer = await _within(remaining_s, work.op, provider, work.side_effect)
            finally:
                if reservation is not None and self._gate is not None:
                    await self._gate.settle(reservation, None if answer is None else work.spent(answer))
        except BaseException:  # cancelled as well: nobody may wait for a probe that is over; raised again
            await self.registry.release(admission)
            raise
        work.attempts.append(answer.attempt)
        if answer.attempt.outcome is Outcome.MISS:
            work.missed.add(provider.name)
        if answer.attempt.allowed and self._gate is not None:
            await self._gate.told(provider, dict(answer.attempt.allowed))
        await self.registry.record(provider, answer.attempt, admission, concerning=work.concerning)
        return answer

    # --- trying a provider again, beside the work ---------------------------------------------------------------------

    def _try_beside(self, provider: P, admission: Admission, work: Work[P, T]) -> bool:
        """Begin to find out whether ``provider`` is back; ``False`` when only the work itself can tell.

        A side effect never carries the first probe where a free check can. A read without a check is done twice, once
        by the next provider; whoever takes money for reads has a free check.
        """
        if has_free_check(provider):
            check = self.registry.beside(self.registry.check(provider, admission))
            work.beside.append((provider, check, None))
            return True
        if work.side_effect or len(self._candidates(work.only)) == 1:
            return False
        own = self.registry.beside(self._attempt_beside(provider, admission, work.afresh()))
        work.beside.append((provider, None, own))
        return True

    async def _attempt_beside(self, provider: P, admission: Admission, work: Work[P, T]) -> Answer[T]:
        answer = await self._attempt(provider, admission, work)
        if answer is not None:
            return answer
        return Answer(Attempt(provider.name, Outcome.SKIPPED, Applied.NO, detail=work.closed[-1].reason))

    async def _hear_trial(
        self, provider: P, check: Task[Attempt] | None, own: Task[Answer[T]] | None, work: Work[P, T]
    ) -> Answer[T] | None:
        """How the trial went; after a good check, the work itself. ``None`` when it may not be done after all."""
        import asyncio

        trial: Task[Any] = check or own  # type: ignore[assignment]  # one of them is there
        remaining_s = None if work.stop_at is None else max(work.stop_at - self._clock.monotonic(), 0)
        await asyncio.wait([trial], timeout=remaining_s if work.waits else 0)
        if trial.done() and not trial.cancelled() and trial.exception() is None:
            if own is not None:
                answer = own.result()
                if answer.attempt.outcome is Outcome.SKIPPED:
                    return None
                work.attempts.append(answer.attempt)
                return answer
            admission = await self.registry.admit(provider)
            if admission.allowed and not admission.first:
                return await self._attempt(provider, admission, work)
            if admission.allowed:
                await self.registry.release(admission)
        look = await self.registry.look(provider)
        until = look.until or self._clock.now()
        work.closed.append(replace(look, allowed=False, until=until, reason=look.reason or "being tried again"))
        return None

    # --- when to try again, and what to say ---------------------------------------------------------------------------

    async def _wait_for_retry(
        self, work: Work[P, T], final: Attempt | None, tried: Sequence[Attempt], retry: int
    ) -> bool:
        """Wait until another round may help; ``False`` when it cannot, may not, or would come too late."""
        if retry + 1 >= self._retry.rounds:
            return False
        if final is not None:
            if final.outcome not in WORTH_A_RETRY:
                return False
            work.only = final.provider  # it may have happened there; nowhere else
        elif not any(attempt.outcome in WORTH_A_RETRY for attempt in tried):
            return False
        if not work.side_effect and any(it.applied is not Applied.NO for it in tried):
            return False  # a read that may have been paid for
        wait_s = self._retry.wait_s(retry, self.registry.rng())
        next_at = await self.next_try_at(work.only)
        if next_at is not None:
            wait_s += max((next_at - self._clock.now()).total_seconds(), 0.0)
        room_s = float("inf") if work.stop_at is None else work.stop_at - self._clock.monotonic()
        if wait_s > min(self._retry.longest_wait_s, room_s) or not self._budget.take():
            return False
        await self._clock.sleep(wait_s)
        return True

    async def _result(self, work: Work[P, T], answer: Answer[T] | None) -> ChainResult:
        if answer is not None:
            return ChainResult(tuple(work.attempts), answer.attempt, answer.attempt.retry_at, work.forced)
        retry_at = await self.next_try_at(work.only)
        if retry_at is not None and work.closed:
            # A limit of our own closes nobody for others, but it does for this work.
            soonest = min((it.until for it in work.closed if it.until is not None), default=retry_at)
            retry_at = max(retry_at, soonest) if not work.attempts else retry_at
        if work.attempts:
            final = min(work.attempts, key=lambda attempt: _MOST_HOPEFUL_FIRST.index(attempt.outcome))
            missed = final.outcome is Outcome.MISS
            return ChainResult(tuple(work.attempts), final, None if missed else retry_at, work.forced)
        if work.closed:
            why = "; ".join(_closed(look) for look in work.closed)
        else:
            why = f"{work.only} is not in the chain" if work.only else "no provider is configured"
        skipped = Attempt("", Outcome.SKIPPED, Applied.NO, detail=f"{self.capability}: {why}"[:300], retry_at=retry_at)
        return ChainResult((), skipped, retry_at)

    def _candidates(self, only: str | None) -> tuple[P, ...]:
        if only is None:
            return self.providers
        return tuple(provider for provider in self.providers if provider.name == only)

    def _stop_at(self, deadline_s: float | None) -> float | None:
        return None if deadline_s is None else self._clock.monotonic() + deadline_s


def _closed(look: Admission) -> str:
    return f"{look.provider} is {look.reason}" if look.cause else f"{look.provider}: {look.reason}"


def _unknown_if_done(answer: Answer[Any]) -> Mapping[str, int] | None:
    """Nothing was spent on what provably was not done; else nobody knows, and all of it counts."""
    attempt = answer.attempt
    return None if attempt.outcome is Outcome.OK or attempt.applied is not Applied.NO else _FREE


async def _within(
    seconds: float | None, op: Callable[[P], Awaitable[Answer[T]]], provider: P, side_effect: bool
) -> Answer[T]:
    """What ``op`` answers, or ``CANCELLED`` when ``seconds`` are over first."""
    if seconds is None:
        return await op(provider)
    import asyncio

    late = Attempt(
        provider.name, Outcome.CANCELLED, Applied.NO, "deadline", detail="the time for all attempts was over"
    )
    if seconds <= 0:
        return Answer(late)
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            return await op(provider)
    except TimeoutError:
        if not scope.expired():
            raise
        return Answer(replace(late, applied=Applied.UNKNOWN if side_effect else Applied.NO))
