"""The audience at work, in the sandbox's process: it reads the mail log and does what its people mean to do.

The log on disk is its queue. The mail servers only ring a bell, so nothing is dropped, nothing waits for the audience,
and of a message whose people have something left to do there is no more in memory than when, and where in the log it
stands. Everything happens one after the other, in the order of its time; at scale 0 in the order of the log.

This module is imported in the sandbox's own process only.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from random import Random

from aicmo.clock import Clock
from aicmo.sandbox.audience.answers import Answer, Writing, absence, language_of, leave_by_mailto, leave_in_words, reply
from aicmo.sandbox.audience.letter import Letter
from aicmo.sandbox.audience.log import Act, AudienceLog
from aicmo.sandbox.audience.loopback import ask, loopback_host
from aicmo.sandbox.audience.rates import AudienceRates, Intention, dice_for, intentions
from aicmo.sandbox.audience.reports import bounce, complaint
from aicmo.sandbox.mail import MailFollower, Received

_AT_ONCE = 16
"""Messages read from the log before anybody else on the event loop has a turn."""
_GIVES_WAY = 9
"""While mail comes in, the audience rests so many times as long as it works: nine tenths are the mail servers'."""
_PROXY = "Mozilla/5.0"
"""All that Apple's proxy says of itself."""
_SCANNERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; MailGatewayLinkCheck/3.1)",
)
_READERS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.1.0",
)

_WRITERS: dict[str, Callable[[Writing], Answer]] = {
    "hard_bounce": partial(bounce, hard=True),
    "soft_bounce": partial(bounce, hard=False),
    "reply": reply,
    "auto_reply": absence,
    "complaint": complaint,
    "unsubscribe": leave_by_mailto,
    "unsubscribe_in_words": leave_in_words,
}


class Crowd:
    """The people behind every address. ``start`` it on the running loop."""

    def __init__(
        self,
        folder: Path,
        rates: AudienceRates,
        *,
        seed: int,
        scale: float,
        put_in_inbox: Callable[[bytes, datetime], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """``scale`` is what a second of the audience's time takes here: 0 for nothing at all."""
        self.rates = rates
        self._seed = seed
        self._scale = scale
        self._put_in_inbox = put_in_inbox
        self._clock = clock
        self._mail = MailFollower(folder)
        self._log = AudienceLog(folder)
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        # (when, where in the log, which recipient, which of their intentions)
        self._waiting: list[tuple[float, int, int, int]] = []
        self._met: set[bytes] = set()

    @property
    def waiting(self) -> int:
        """People who have something left to do with a message that was read."""
        return len(self._waiting)

    @property
    def done(self) -> int:
        """Acts recorded."""
        return self._log.count

    def mail_came(self) -> None:
        """The bell that the mail servers ring."""
        self._news.set()
        self._settled.clear()

    async def settled(self) -> None:
        """Wait until all that was accepted is read, and everybody has done all they will do."""
        await self._settled.wait()

    def start(self) -> None:
        self._life = asyncio.create_task(self._live())

    async def stop(self) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life])

    async def forget(self) -> None:
        """Be as at the start, with an empty mail log."""
        await self.stop()
        self._waiting.clear()
        self._met.clear()
        self._mail.rewind()
        self._log.clear()
        self.start()

    def close(self) -> None:
        if self._life is not None:
            self._life.cancel()
        self._mail.close()
        self._log.close()

    async def _live(self) -> None:
        while True:
            mail_came = self._news.is_set()
            self._news.clear()
            began = self._clock.monotonic()
            mails = self._mail.next(_AT_ONCE)
            for place, received in mails:
                self._meet(place, received)
            if self._waiting and self._waiting[0][0] <= self._clock.monotonic():
                await self._next_act()
            elif not mails:
                await self._wait_for_news()
                continue
            took_s = self._clock.monotonic() - began
            await self._clock.sleep(took_s * _GIVES_WAY if mail_came or self._news.is_set() else 0)

    async def _wait_for_news(self) -> None:
        """Until there is mail or somebody's time has come."""
        if not self._waiting:
            self._settled.set()
            await self._news.wait()
            return
        at_most_s = self._waiting[0][0] - self._clock.monotonic()
        waits = [asyncio.ensure_future(self._clock.sleep(at_most_s)), asyncio.ensure_future(self._news.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _meet(self, place: int, received: Received) -> None:
        """Let everybody a message is for decide what to do, unless they have seen it."""
        for who, address in enumerate(received.rcpt_to):
            name = received.message_id or received.queue_id
            met = blake2b(f"{address.lower()}\0{name}".encode(), digest_size=12).digest()
            if met not in self._met:
                self._met.add(met)
                self._plan(place, who, 0, intentions(self.rates, self._seed, address, name), received.at)

    def _plan(self, place: int, who: int, step: int, meant: tuple[Intention, ...], delivered: datetime) -> None:
        if step == len(meant):
            return
        if self._scale:
            passed_s = (self._clock.now() - delivered).total_seconds()
            due = self._clock.monotonic() - passed_s + meant[step].delay_s * self._scale
        else:
            due = 0.0
        heapq.heappush(self._waiting, (due, place, who, step))

    async def _next_act(self) -> None:
        _, place, who, step = self._waiting[0]
        received = self._mail.at(place)
        recipient, name = received.rcpt_to[who], received.message_id or received.queue_id
        meant = intentions(self.rates, self._seed, recipient, name)
        letter = Letter(received.raw, mail_from=received.mail_from, recipient=recipient)
        try:
            if not letter.automatic:
                await self._act(letter, meant, step, received)
        except Exception as error:  # one strange mail must not send the whole audience home
            logging.getLogger(__name__).error("a %s failed", meant[step].kind, exc_info=error)
        heapq.heappop(self._waiting)  # Only now: who waits for the audience to settle waits for this act too.
        self._plan(place, who, len(meant) if letter.automatic else step + 1, meant, received.at)

    async def _act(self, letter: Letter, meant: tuple[Intention, ...], step: int, received: Received) -> None:
        """Do it, and write down what was done; nothing is written down of what cannot be done with this message."""
        kind, name = meant[step].kind, received.message_id or received.queue_id
        dice = dice_for(self._seed, letter.recipient.lower(), name, kind)
        how = link = agent = answer = ""
        asked: tuple[str, ...] = ()
        match kind:
            case "proxy_open":
                agent, asked = _PROXY, await _fetch(letter.images, _PROXY)
            case "scan":
                agent = dice.choice(_SCANNERS)
                asked = await _fetch(letter.links, agent)
            case "open":
                # Behind a proxy the images are there already, so nothing outside sees that they are looked at.
                if not any(each.kind == "proxy_open" for each in meant):
                    agent = self._reader(letter)
                    asked = await _fetch(letter.images, agent)
            case "click":
                if not letter.inviting_links:
                    return
                agent, link = self._reader(letter), dice.choice(letter.inviting_links)
                asked = await _fetch((link,), agent)
            case "auto_reply" if letter.wants_no_auto_reply:
                return
            case "unsubscribe" if loopback_host(letter.one_click):
                how, agent, url = "post", self._reader(letter), letter.one_click
                if await ask("POST", url, user_agent=agent, form=b"List-Unsubscribe=One-Click"):
                    asked = (url,)
            case _:
                answer, how = await self._write(kind, letter, dice, name)
        act = Act(
            kind=kind,
            recipient=letter.recipient,
            message_id=received.message_id,
            delay_s=meant[step].delay_s,
            at=self._clock.now(),
            how=how,
            link=link,
            asked=asked,
            user_agent=agent if asked else "",
            answer=answer,
        )
        self._log.add(act)

    async def _write(self, kind: str, letter: Letter, dice: Random, name: str) -> tuple[str, str]:
        """Put a mail into the mailbox; returns its Message-ID and how it was written."""
        known = blake2b(f"{self._seed}\0{letter.recipient}\0{name}".encode(), digest_size=10).hexdigest()
        writing = Writing(
            letter=letter,
            message_id=f"<{kind}.{known}@{letter.domain}>",
            at=self._clock.now(),
            dice=dice,
            language=language_of(self._habits(letter)),
        )
        answer = _WRITERS[kind](writing)
        await self._put_in_inbox(answer.raw, writing.at)
        return writing.message_id, answer.how

    def _reader(self, letter: Letter) -> str:
        return self._habits(letter).choice(_READERS)

    def _habits(self, letter: Letter) -> Random:
        """What is the same for all of somebody's mail."""
        return dice_for(self._seed, letter.recipient.lower(), "habits")


async def _fetch(urls: tuple[str, ...], user_agent: str) -> tuple[str, ...]:
    """Ask for those of ``urls`` that are on this machine; returns the ones that answered."""
    return tuple([url for url in urls if loopback_host(url) and await ask("GET", url, user_agent=user_agent)])
