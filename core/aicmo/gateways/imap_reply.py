"""What an IMAP server's NO, BAD or BYE means: whose fault it is, and what follows.

A rule names the step, the word, the response code in brackets and the text; the first that fits decides. Reading
changes nothing, so whatever nobody knows is worth another try.

Sources: RFC 3501 7.1, RFC 5530 (response codes), and what the large providers say instead of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from aicmo.gateways.attempt import Outcome
from aicmo.text import one_line

DETAIL_LIMIT = 300


class Rule(NamedTuple):
    phases: str
    """A pattern for the step: ``connect``, ``starttls``, ``auth``, ``list``, ``examine``, ``search``, ``fetch`` or
    ``noop``."""
    word: str
    code: str
    """A pattern for the whole response code, such as ``AUTHENTICATIONFAILED``; empty fits any, and none."""
    text: str
    """A pattern found anywhere in the text, in any case; empty fits any."""
    outcome: Outcome


_AGAIN = r"try again|temporar|later|internal|unavailable|server error|not connected"
_TOO_MUCH = r"too (many|fast)|rate|throttl|bandwidth|exceeded|maximum number of connections"

RULES: tuple[Rule, ...] = (
    Rule(".*", ".*", "UNAVAILABLE|INUSE|SERVERBUG|CORRUPTION", "", Outcome.TRANSIENT),
    Rule(".*", ".*", "LIMIT", "", Outcome.RATE_LIMITED),
    Rule(".*", ".*", "", _TOO_MUCH, Outcome.RATE_LIMITED),
    Rule(".*", "BYE", "", "", Outcome.TRANSIENT),
    Rule(".*", "NO", "AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED|PRIVACYREQUIRED|CONTACTADMIN", "", Outcome.AUTH),
    Rule("auth", ".*", "", _AGAIN, Outcome.TRANSIENT),
    Rule("auth", ".*", "", "", Outcome.AUTH),
    Rule(".*", "NO", "NOPERM", "", Outcome.AUTH),
    Rule("examine", "NO", "NONEXISTENT|TRYCREATE|CANNOT", "", Outcome.INPUT),
    Rule("examine", "NO", "", r"unknown mailbox|no such|does ?n.t exist|does not exist|not found", Outcome.INPUT),
    Rule(".*", "BAD", "", _AGAIN, Outcome.TRANSIENT),
    Rule(".*", "BAD", "", "", Outcome.INPUT),
)

_CODE = re.compile(r"\s*\[([A-Z0-9-]+)[^\]]*\]\s*(.*)", re.DOTALL | re.IGNORECASE)


class Reply(NamedTuple):
    """A server's refusal, made safe to show."""

    word: str
    code: str
    text: str

    @property
    def codes(self) -> str:
        """``NO AUTHENTICATIONFAILED``, as an ``Attempt`` carries it."""
        return f"{self.word} {self.code}".strip()


def read_reply(word: str, text: str, *, secrets: tuple[str, ...] = ()) -> Reply:
    """The server's words on one plain line of at most 300 characters, with every one of ``secrets`` masked."""
    for secret in secrets:
        text = text.replace(secret, "•••")
    found = _CODE.match(text)
    code, text = (found[1].upper(), found[2]) if found else ("", text)
    return Reply(one_line(word, limit=20), one_line(code, limit=40), one_line(text, limit=DETAIL_LIMIT))


def judge(phase: str, reply: Reply) -> Outcome:
    """What ``reply`` in ``phase`` means."""
    for rule in RULES:
        if (
            re.fullmatch(rule.phases, phase)
            and re.fullmatch(rule.word, reply.word)
            and (not rule.code or re.fullmatch(rule.code, reply.code))
            and (not rule.text or re.search(rule.text, reply.text, re.IGNORECASE))
        ):
            return rule.outcome
    return Outcome.TRANSIENT
