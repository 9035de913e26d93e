"""The simulated audience: who does what with a message, from true rates and a seed.

Every message that an SMTP server of the sandbox accepts reaches a person. What they do with it is a pure function of
the seed, their address and its Message-ID, so the parent computes the same truth that the sandbox lives
(``intentions``). What became of it (a mail without links cannot be clicked) is in the record, see ``log``.

Some of it is the person's and the same for all their mail: whether their address is dead, whether their mail program
prefetches, whether a scanner stands before their mailbox. The rest is drawn for each message.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aicmo.errors import InvalidInput
from aicmo.text import shown

MACHINES = frozenset({"hard_bounce", "soft_bounce", "proxy_open", "scan", "auto_reply"})
"""The kinds of act that no person is behind."""
_ANSWERS = ("reply", "complaint", "unsubscribe", "unsubscribe_in_words")
"""What somebody does who has read a mail: at most one of these."""


@dataclass(frozen=True, slots=True)
class AudienceRates:
    """True rates: the share of delivered messages, 0 to 1, that end in each kind of act.

    A message that bounces ends in nothing else. Who clicks, replies, complains or unsubscribes has opened before. The
    defaults are an ordinary newsletter's. Raises ``InvalidInput`` when they cannot all hold.
    """

    # Mailchimp, averages over all industries, October 2019: 0.40 % hard, 0.61 % soft, 22.71 % opens (from before
    # Apple's proxy, so of people), 2.91 % clicks, 0.25 % unsubscribed.
    hard_bounce: float = 0.0040
    soft_bounce: float = 0.0061
    open: float = 0.2271
    """Read by a person. Who sits behind a proxy is not seen reading: the proxy has fetched the images before."""
    click: float = 0.0291
    unsubscribe: float = 0.0025
    """By what List-Unsubscribe offers; in words where it offers nothing."""
    unsubscribe_in_words: float = 0.0005
    """Not published: one in six of those who leave does not see the button."""
    complaint: float = 0.0005
    """Gmail wants it below 0.1 % and acts at 0.3 %: a sender in good standing has half of the first."""
    reply: float = 0.0100
    """Not published for newsletters; a mail that asks for answers from people it knows."""
    auto_reply: float = 0.0200
    """Not published: about a week of absence a year."""
    proxy_open: float = 0.5000
    """Apple Mail Privacy Protection and its like, about half of the recipients by published mail client shares."""
    scan: float = 0.0500
    """Security gateways, which stand before companies' mailboxes: the share of a mixed list."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InvalidInput(f"The rate {each.name} cannot be {shown(repr(value))}: it is a share from 0 to 1.")
        alive = 1 - self.hard_bounce - self.soft_bounce
        most = max(self.open, self.auto_reply, self.proxy_open, self.scan)
        if most > alive:
            raise InvalidInput(f"{most:g} of the messages cannot find anybody when only {alive:g} do not bounce.")
        if max(self.click, sum(getattr(self, name) for name in _ANSWERS)) > self.open:
            raise InvalidInput("More people would click or answer than open.", hint="Raise the rate open.")


def parse_rates(found: object) -> AudienceRates:
    """The rates of a decoded JSON object; what is not in it is at its default. Raises ``InvalidInput``."""
    known = [each.name for each in fields(AudienceRates)]
    if not isinstance(found, dict):
        raise InvalidInput("The rates of an audience are an object.", hint=f"Known: {', '.join(known)}.")
    if unknown := sorted(found.keys() - set(known)):
        raise InvalidInput(f"An audience has no rate {shown(unknown[0])}.", hint=f"Known: {', '.join(known)}.")
    rates: dict[str, Any] = found
    return AudienceRates(**rates)


@dataclass(frozen=True, slots=True)
class Intention:
    """Something a person, or a machine of theirs, is going to do with a message."""

    kind: str
    """The field of ``AudienceRates`` it counts for."""
    delay_s: float
    """Seconds since the message was delivered, in the audience's own time."""


# Median and sigma of a log-normal delay in seconds. After delivery; for what a reader does, after the open.
_DELAYS: Mapping[str, tuple[float, float]] = {
    "scan": (3, 0.4),
    "proxy_open": (40, 0.8),
    "auto_reply": (20, 0.7),
    "hard_bounce": (60, 1.0),
    "soft_bounce": (48 * 3600, 0.1),  # A server tries for some two days before it gives up (RFC 5321 4.5.4.1).
    "open": (2 * 3600, 1.5),
    "click": (30, 0.8),
    "reply": (600, 1.2),
    "complaint": (15, 0.8),
    "unsubscribe": (20, 0.8),
    "unsubscribe_in_words": (90, 0.8),
}
_LONGEST_S = 7 * 24 * 3600.0


def dice_for(*parts: object) -> random.Random:
    """Random numbers that are the same whenever the parts are."""
    return random.Random("\0".join(map(str, parts)))


def intentions(rates: AudienceRates, seed: int, address: str, message_id: str) -> tuple[Intention, ...]:
    """What ``address`` is going to do with the message, in the order of time; empty for nothing.

    ``message_id`` with its angle brackets.
    """
    habits = dice_for(seed, address.lower())
    has_dead_address, has_proxy, has_scanner = habits.random(), habits.random(), habits.random()
    dice = dice_for(seed, address.lower(), message_id)
    alive = 1 - rates.hard_bounce - rates.soft_bounce

    def in_a_while(kind: str, since_s: float = 0.0) -> Intention:
        median_s, sigma = _DELAYS[kind]
        return Intention(kind, round(min(since_s + dice.lognormvariate(math.log(median_s), sigma), _LONGEST_S), 3))

    if has_dead_address < rates.hard_bounce:
        return (in_a_while("hard_bounce"),)
    if dice.random() * (1 - rates.hard_bounce) < rates.soft_bounce:
        return (in_a_while("soft_bounce"),)
    found = []
    if has_scanner * alive < rates.scan:
        found.append(in_a_while("scan"))
    if has_proxy * alive < rates.proxy_open:
        found.append(in_a_while("proxy_open"))
    if dice.random() * alive < rates.auto_reply:
        found.append(in_a_while("auto_reply"))
    if dice.random() * alive < rates.open:
        opened = in_a_while("open")
        found.append(opened)
        if dice.random() * rates.open < rates.click:
            found.append(in_a_while("click", opened.delay_s))
        if answer := _drawn(dice.random() * rates.open, rates):
            found.append(in_a_while(answer, opened.delay_s))
    return tuple(sorted(found, key=lambda intention: intention.delay_s))


def _drawn(point: float, rates: AudienceRates) -> str:
    """Which answer a point on the line of their rates falls on; empty beyond them."""
    for kind in _ANSWERS:
        point -= getattr(rates, kind)
        if point < 0:
            return kind
    return ""
