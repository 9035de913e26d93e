"""Calls to the one CRM that is kept in step, through its chain: short waits are waited, longer ones end the sync.

The chain retries; here a sync only has the patience that a person at a form has not: Airtable shuts a base for half a
minute when it was asked too often, and to give up a thousand pages for that would be silly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aicmo.clock import Clock
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.chain import ProviderChain
from aicmo.gateways.chain_answer import ChainResult
from aicmo.gateways.records import CrmProvider

T = TypeVar("T")
PATIENCE_S = {Outcome.RATE_LIMITED: 60.0, Outcome.SKIPPED: 5.0}
"""The longest wait that is worth it: too fast passes by itself, and so does a limit of ours that others use up."""
_WAITS = 5


class Stopped(Exception):
    """The CRM does not answer any more, or not us: carries what the last attempt came to."""

    def __init__(self, final: Attempt) -> None:
        super().__init__(final.detail)
        self.final = final


class Refused(Exception):
    """The CRM can do nothing with this one request; others may go well."""

    def __init__(self, final: Attempt) -> None:
        super().__init__(final.detail)
        self.final = final


class Caller:
    """Speaks to ``provider`` alone: another provider of the chain is another CRM."""

    def __init__(self, chain: ProviderChain[Any], provider: CrmProvider, clock: Clock) -> None:
        self._chain, self._provider, self._clock = chain, provider, clock

    async def read(self, op: Callable[[CrmProvider], Awaitable[Answer[T]]]) -> T:
        """What ``op`` reads. Raises ``Refused`` or ``Stopped``."""
        value: T | None = None

        async def call() -> ChainResult:
            nonlocal value
            answer = await self._chain.ask(op, only=self._provider.name)
            value = answer.value
            return answer

        await self._patiently(call)
        assert value is not None
        return value

    async def write(self, op: Callable[[CrmProvider], Awaitable[Answer[T]]]) -> T:
        """What a write that may be repeated comes to. Raises ``Refused`` or ``Stopped``."""
        value: T | None = None

        async def act(provider: CrmProvider) -> Attempt:
            nonlocal value
            answer = await op(provider)
            value = answer.value
            return answer.attempt

        await self._patiently(
            lambda: self._chain.call(act, side_effect=True, idempotent=True, only=self._provider.name)
        )
        assert value is not None
        return value

    async def _patiently(self, call: Callable[[], Awaitable[ChainResult]]) -> None:
        for _ in range(_WAITS):
            result = await call()
            final = result.final
            if final.outcome is Outcome.OK:
                return
            if final.outcome in (Outcome.INPUT, Outcome.MISS):
                raise Refused(final)
            wait_s = self._wait_s(result)
            if final.applied is not Applied.NO or wait_s is None:
                break
            await self._clock.sleep(wait_s)
        raise Stopped(final)

    def _wait_s(self, result: ChainResult) -> float | None:
        """Until it may go on; ``None`` when nobody said so, or it is too long."""
        if result.retry_at is None:
            return None
        wait_s = max((result.retry_at - self._clock.now()).total_seconds(), 0.1)
        return wait_s if wait_s <= PATIENCE_S.get(result.final.outcome, 0.0) else None
