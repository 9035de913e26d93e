"""How one provider is asked about a batch of people, whichever of our two questions it is.

A provider that hands in and fetches (``submit``, ``collect``) gives its number to ``keep`` before it is waited for, so
that a paid answer survives whatever happens to us. One that knows addresses only one by one is asked one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aicmo.crm.enrichment.plan import EMAIL_VERIFICATION
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.leads import EmailStatus, Enrichment, Lead
from aicmo.gateways.limits import whole

CREDITS = "credits"
Answers = Answer[tuple[Enrichment | None, ...]]
Keep = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one provider is asked one kind of question."""

    provider: Any
    capability: str

    @property
    def name(self) -> str:
        return str(self.provider.name)

    @property
    def size(self) -> int:
        """How many people are asked about at a time."""
        one_by_one = self.capability == EMAIL_VERIFICATION and not self.keeps
        return 1 if one_by_one else int(getattr(self.provider, "batch_size", 1))

    @property
    def keeps(self) -> bool:
        """Whether an answer can be fetched later."""
        return hasattr(self.provider, "submit")

    @property
    def paid(self) -> bool:
        """Whether an answer costs credits: at most one for each person."""
        return hasattr(self.provider, "monthly")

    def cost(self, people: int) -> Mapping[str, int]:
        """The most that so many people can cost."""
        return {CREDITS: people} if self.paid else {}

    async def ask(self, people: Sequence[Lead], keep: Keep, stopped: asyncio.Event) -> Answers:
        """What the provider says of each of ``people``.

        When ``stopped`` is set while an answer is waited for that can be fetched later, the waiting ends.
        """
        if self.keeps:
            submitted: Answer[str] = await self.provider.submit(people)
            if submitted.value is None:
                return Answer(submitted.attempt)
            await keep(submitted.value)
            return await self.fetch(submitted.value, people, stopped)
        if self.capability == EMAIL_VERIFICATION:
            answer = await self.provider.verify(people[0].email)
            if answer.value is None:
                return Answer(answer.attempt)
            return Answer(answer.attempt, (Enrichment({}, (answer.value,), answer.value.credits),))
        enriched: Answers = await self.provider.enrich(people)
        return enriched

    async def fetch(self, reference: str, people: Sequence[Lead], stopped: asyncio.Event) -> Answers:
        """The answer to a batch that was handed in, now or by an earlier run. It costs nothing more."""
        waiting = asyncio.ensure_future(self.provider.collect(reference, people))
        stop = asyncio.ensure_future(stopped.wait())
        try:
            await asyncio.wait([waiting, stop], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                answer: Answers = waiting.result()
                return answer
        finally:
            for task in (waiting, stop):
                task.cancel()
            await asyncio.gather(waiting, stop, return_exceptions=True)
        detail = "stopped while the answer was waited for; the next run fetches it"
        return Answer(Attempt(self.name, Outcome.CANCELLED, Applied.YES, "collect", detail=detail, reference=reference))

    def settles(self, answer: Enrichment) -> bool:
        """Whether nobody else has to be asked after an answer of somebody who knows."""
        if self.capability == EMAIL_VERIFICATION:
            return any(said.status is not EmailStatus.UNKNOWN for said in answer.emails)
        return True


def knows(capability: str, answer: Enrichment | None, email: str) -> bool:
    """Whether an answer says more of somebody than a verdict on the address that was asked with: that is paid for and
    kept, and still the provider does not know them."""
    if answer is None or capability == EMAIL_VERIFICATION:
        return answer is not None
    named = answer.fields.get("email")
    return bool(answer.fields.keys() - {"email"}) or (named is not None and named.value.casefold() != email.casefold())


def spent(answer: Answer[Any]) -> Mapping[str, int] | None:
    """What an answer cost; ``None``: nobody knows, and all of it counts."""
    if answer.value is not None and answer.attempt.outcome is Outcome.OK:
        return {CREDITS: whole(sum((found.credits for found in answer.value if found), start=0))}
    return {} if answer.attempt.applied is Applied.NO else None
