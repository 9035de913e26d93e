"""Listening for opt-outs while mail goes out: often enough, never twice at once, and whatever the mailbox does."""

from __future__ import annotations

import asyncio

from aicmo.clock import SystemClock
from aicmo.errors import AicmoError, StoreError
from aicmo.publishing.inbox.listening import FRESH_S, HEAR_EVERY_S, Listening
from aicmo.publishing.inbox.optouts import OptOutReport


class Minutes(SystemClock):
    """Whoever waits is let through at once, and that long has passed."""

    passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


class Mailbox:
    """Gives what it is told to, in turn, and nothing new after that."""

    def __init__(self, *answers: OptOutReport | AicmoError) -> None:
        self._answers = list(answers)
        self.looked = 0
        self.enough = asyncio.Event()

    async def look(self) -> OptOutReport:
        self.looked += 1
        await asyncio.sleep(0)
        if not self._answers:
            self.enough.set()
            return OptOutReport()
        answer = self._answers.pop(0)
        if isinstance(answer, AicmoError):
            raise answer
        return answer


async def test_it_hears_first_and_again_every_minute_as_long_as_the_block_runs() -> None:
    mailbox, clock = Mailbox(OptOutReport(3, 1), OptOutReport(2, 2, "slow"), OptOutReport(1, 0)), Minutes()
    listening = Listening(mailbox.look, clock=clock)
    async with listening.meanwhile():
        assert mailbox.looked == 1
        async with asyncio.timeout(20):
            await mailbox.enough.wait()
    assert listening.heard == OptOutReport(6, 3)
    assert HEAR_EVERY_S * 3 <= clock.passed_s <= HEAR_EVERY_S * 5
    looked = mailbox.looked
    await asyncio.sleep(0)
    assert mailbox.looked == looked


async def test_what_was_just_heard_is_not_asked_again_also_by_two_at_once() -> None:
    mailbox, clock = Mailbox(), Minutes()
    listening = Listening(mailbox.look, clock=clock)
    await asyncio.gather(listening.hear(), listening.hear())
    assert mailbox.looked == 1
    clock.passed_s += FRESH_S
    await listening.hear()
    assert mailbox.looked == 2


async def test_what_fails_is_told_and_tried_again() -> None:
    mailbox, told, failed = Mailbox(StoreError("full"), OptOutReport(1, 1)), [], []
    listening = Listening(mailbox.look, told=told.append, failed=failed.append, clock=Minutes())
    async with listening.meanwhile(), asyncio.timeout(20):
        await mailbox.enough.wait()
    assert [error.message for error in failed] == ["full"]
    assert told[0] == OptOutReport(1, 1) and listening.heard.opted_out == 1


async def test_why_the_last_look_failed_stays_until_one_succeeds() -> None:
    mailbox, clock = Mailbox(OptOutReport(1, 1), StoreError("full"), OptOutReport(2, 0)), Minutes()
    listening = Listening(mailbox.look, clock=clock)
    seen = []
    for _ in range(3):
        await listening.hear()
        seen.append(listening.heard)
        clock.passed_s += HEAR_EVERY_S
    assert seen == [OptOutReport(1, 1), OptOutReport(1, 1, "full"), OptOutReport(3, 1)]
