"""One piece of work on its way through a chain: what is asked, who has tried, and whether anybody may go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from aicmo.gateways.admission import Admission
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.providers import Provider

if TYPE_CHECKING:
    from asyncio import Task

P = TypeVar("P", bound=Provider)
T = TypeVar("T")

LAST_WORD = frozenset({Outcome.OK, Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED})
"""What no other provider could better."""
WORTH_A_RETRY = frozenset({Outcome.TRANSIENT, Outcome.AMBIGUOUS, Outcome.RATE_LIMITED})
IN_TROUBLE = WORTH_A_RETRY | {Outcome.QUOTA, Outcome.AUTH}


@dataclass(slots=True)
class Work(Generic[P, T]):
    """What ``ProviderChain.call`` and ``ask`` are given, and what came of it so far."""

    op: Callable[[P], Awaitable[Answer[T]]]
    side_effect: bool
    only: str | None
    """The one provider that may do it."""
    stop_at: float | None
    """Of the monotonic clock."""
    impatient: bool
    concerning: str
    cost: Mapping[str, int] | Callable[[P], Mapping[str, int]]
    spent: Callable[[Answer[T]], Mapping[str, int] | None]
    waits: bool = True
    """Whether, when nobody else could, the one that is being tried again is waited for."""
    attempts: list[Attempt] = field(default_factory=list)
    closed: list[Admission] = field(default_factory=list)
    beside: list[tuple[P, Task[Attempt] | None, Task[Answer[T]] | None]] = field(default_factory=list)
    """Who is being tried again meanwhile: by its check, or by the work itself."""
    missed: set[str] = field(default_factory=set)
    forced: bool = False

    def is_decided_by(self, attempt: Attempt) -> bool:
        """Whether nobody else may be asked after it: nobody could do better, or it may have happened."""
        return attempt.outcome in LAST_WORD or (self.side_effect and attempt.applied is not Applied.NO)

    def in_trouble(self) -> set[str]:
        """Who should have done it and could not, by no limit of ours."""
        closed = {it.provider for it in self.closed if it.cause and it.cause != "network"}
        failed = {it.provider for it in self.attempts if it.outcome in IN_TROUBLE}
        return closed | failed | {provider.name for provider, *_ in self.beside}

    def afresh(self) -> Work[P, T]:
        """The same work for a trial beside it, whose attempts are nobody's answer yet."""
        return replace(self, attempts=[], closed=[], beside=[], missed=set())
