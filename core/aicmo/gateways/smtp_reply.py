"""What a mail server's refusal means: whose fault it is, and what follows.

The same code means different things at different moments: 550 to MAIL speaks of us, to RCPT of the address, after the
final dot of the content. So a rule names phase, code, enhanced code and words, and the first rule that fits decides.
Where the servers are vague the rules lean to the side that harms nobody: a doubtful refusal never condemns an address.

Sources: RFC 5321 4.2 and 4.5.3, RFC 3463 and its IANA registry, RFC 4954, RFC 7504, and what the large providers
document.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from aicmo.gateways.attempt import Outcome
from aicmo.text import one_line

DETAIL_LIMIT = 300
LONGEST_WAIT = timedelta(days=1)


class Reply(NamedTuple):
    """A server's answer, made safe to show."""

    code: int
    enhanced: str
    """RFC 3463, such as ``5.1.1``; empty when the server gave none."""
    text: str

    @property
    def codes(self) -> str:
        """``550 5.1.1``, as an ``Attempt`` carries it."""
        return f"{self.code} {self.enhanced}".strip()


class Verdict(NamedTuple):
    outcome: Outcome
    permanent: bool = False


class Rule(NamedTuple):
    phases: frozenset[str]
    code: str
    """A pattern for the whole reply code."""
    enhanced: str
    """A pattern for the whole enhanced code; empty fits any, and none."""
    words: str
    """A pattern found anywhere in the text, in any case; empty fits any."""
    verdict: Verdict


SESSION = frozenset({"connect", "tls", "ehlo", "starttls", "auth"})
MAIL = frozenset({"mail"})
RCPT = frozenset({"rcpt"})
DATA = frozenset({"data"})
CONTENT = frozenset({"body", "reply"})
AFTER_MAIL = RCPT | DATA | CONTENT
TRANSACTION = MAIL | AFTER_MAIL
ANY = SESSION | TRANSACTION

_TRANSIENT = Verdict(Outcome.TRANSIENT)
_RATE = Verdict(Outcome.RATE_LIMITED)
_QUOTA = Verdict(Outcome.QUOTA)
_AUTH = Verdict(Outcome.AUTH)
_DEAD = Verdict(Outcome.RECIPIENT, permanent=True)
_BUSY = Verdict(Outcome.RECIPIENT)
_TOO_BIG = Verdict(Outcome.CONTENT, permanent=True)
_POLICY = Verdict(Outcome.CONTENT)

_OUR_QUOTA = (
    r"(hourly|daily|monthly) .{0,30}(limit|quota)|(sending|submission|message) ?(limit|quota) .{0,20}(exceed|reach)"
    r"|submissionquotaexceeded"
)
_NOT_OURS_TO_SEND = (
    r"relay(ing)? (access )?(is )?(denied|prohibited|not)|not? .{0,20}to relay|unable to relay|not owned by user"
    r"|sendasdenied|not allowed to send as|sender address rejected|authenticat(e|ion) (is )?(first|required)"
)
_REPUTATION = (
    r"spam|black ?list|block|dnsbl|\brbl\b|reputation|policy|unsolicited|\bspf\b|dkim|dmarc|virus|banned|denied"
)
_FULL = r"(mailbox|quota|storage|inbox).{0,40}(full|exceed|over)|over ?quota"
_NOBODY = (
    r"(user|mailbox|recipient|address|account)( is)? (unknown|unavailable|not found|invalid|does ?n.t|does not exist)"
    r"|no such|unknown (user|recipient|mailbox|local)|invalid (recipient|mailbox|user)"
)
_NEVER_WAS = (
    r"no such (user|recipient|mailbox|address|person|account)|unknown (user|recipient|mailbox)"
    r"|(user|recipient|mailbox|address|account) ((is )?(unknown|not found)|(does ?n.t|does not) exist)"
)
"""Without a code that says so, only words that nothing else is meant by condemn an address."""
_DOMAIN_LIMIT = (
    r"(rate|limit|throttl|too many|too fast|slow).{0,60}\b(for|to|of|per|this|that|your|recipient|destination) "
    r"(recipient |destination |receiving )?(domain|destination)\b"
    r"|\b(domain|destination)\b.{0,40}(rate|limit|throttl|too many|too fast|slow)"
)

RULES: tuple[Rule, ...] = (
    # An allowance of ours is used up; a full mailbox of theirs speaks of quotas too, and goes first.
    Rule(AFTER_MAIL, "...", r"[45]\.2\.2", "", _BUSY),
    Rule(ANY, "...", r"[45]\.4\.5|5\.1\.90", "", _QUOTA),
    Rule(TRANSACTION, "...", "", _OUR_QUOTA, _QUOTA),
    # Our credential, or our right to send at all.
    Rule(ANY, "530|534|535|538", "", "", _AUTH),
    Rule(ANY, "5..", r"5\.7\.(8|9|11|14|60)", "", _AUTH),
    Rule(frozenset({"auth"}), "5..", "", "", _AUTH),
    Rule(TRANSACTION, "454|5..", "", _NOT_OURS_TO_SEND, _AUTH),
    Rule(TRANSACTION, "5..", r"5\.1\.[78]", "", _AUTH),
    # Too fast. Greylisting asks for patience with one recipient, and a second server would start its clock anew.
    Rule(AFTER_MAIL, "4..", "", "gr[ae]y-?list", _BUSY),
    # A relay may slow down what goes to one domain; the others' mail is none of that.
    Rule(AFTER_MAIL, "45.", "", _DOMAIN_LIMIT, _BUSY),
    Rule(ANY, "4..", r"4\.7\.28", "", _RATE),
    Rule(ANY, "4..", "", r"too (many|fast)|rate limit|throttl|\bTSS0\d|sending rate|slow down", _RATE),
    Rule(TRANSACTION, "454", "", "", _RATE),
    Rule(TRANSACTION | {"connect"}, "4..", r"4\.7\.0", "", _RATE),
    # The server itself.
    Rule(ANY, "421", "", "", _TRANSIENT),
    Rule(SESSION, "...", "", "", _TRANSIENT),
    # Too big, anywhere.
    Rule(TRANSACTION, "5..", r"5\.(2\.3|3\.4)", "", _TOO_BIG),
    Rule(TRANSACTION, "5..", "", r"message (size|is too|too)|size exceeds|exceeds.{0,30} size", _TOO_BIG),
    Rule(MAIL | DATA | CONTENT, "552", "", "", _TOO_BIG),
    # MAIL: us.
    Rule(MAIL, "4..", "", "", _TRANSIENT),
    Rule(MAIL, "5..", r"5\.6\..*", "", _TOO_BIG),
    Rule(MAIL, "5..", "", _REPUTATION, _POLICY),
    Rule(MAIL, "5..", r"5\.7\..*", "", _AUTH),
    Rule(MAIL, "5..", "", "", _TRANSIENT),
    # RCPT and later, where the enhanced code or the words tell whom it is about.
    Rule(AFTER_MAIL, "5..", r"5\.1\..*", "", _DEAD),
    Rule(AFTER_MAIL, "556", "", "", _DEAD),
    Rule(AFTER_MAIL, "5..", r"5\.4\.1", "recipient", _DEAD),
    Rule(AFTER_MAIL, "5..", r"5\.2\..*", "", _BUSY),
    Rule(AFTER_MAIL, "5..", r"5\.6\..*", "", _TOO_BIG),
    Rule(AFTER_MAIL, "5..", r"5\.7\..*", "", _POLICY),
    Rule(AFTER_MAIL, "554", "", "", _POLICY),
    Rule(AFTER_MAIL, "5..", "", _REPUTATION, _POLICY),
    Rule(AFTER_MAIL, "5..", "", _FULL, _BUSY),
    Rule(AFTER_MAIL, "5..", "", _NOBODY, _DEAD),
    # No more than the phase to go by.
    Rule(RCPT, "501|521|550|551|553", "", "", _DEAD),
    Rule(RCPT, "552|4..", "", "", _BUSY),
    Rule(DATA | CONTENT, "450", "", "", _BUSY),
    Rule(DATA | CONTENT, "4..", r"4\.[127]\..*", "", _BUSY),
    Rule(AFTER_MAIL, "4..", "", "", _TRANSIENT),
    Rule(CONTENT, "5..", "", "", _POLICY),
    Rule(RCPT | DATA, "5..", "", "", _TRANSIENT),
)

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,-]|$)")
_WAIT = re.compile(
    r"\b(?:in|after|for|wait)\s+(\d{1,6})\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?)\b", re.IGNORECASE
)
_WAIT_MEANT = re.compile(r"again|retry|wait|later|gr[ae]y-?list|back", re.IGNORECASE)
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def read_reply(code: int, message: str, *, secrets: tuple[str, ...] = ()) -> Reply:
    """The server's words on one plain line of at most 300 characters, with every one of ``secrets`` masked."""
    for secret in secrets:
        if secret:
            message = message.replace(secret, "•••")
    found = _ENHANCED.match(message)
    # An enhanced code that contradicts the reply code is noise (RFC 2034 4).
    enhanced = found[1] if found and found[1][0] == str(code)[0] else ""
    if found and enhanced:  # each line of a long reply repeats it
        message = re.sub(rf"(?m)^\s*{re.escape(enhanced)}[\s:;,-]*", "", message)
    return Reply(code, enhanced, one_line(message, limit=DETAIL_LIMIT))


def judge(phase: str, reply: Reply) -> Verdict:
    """What a 4xx or 5xx ``reply`` in ``phase`` means."""
    rule = rule_for(phase, reply)
    return _TRANSIENT if rule is None else rule.verdict


def rule_for(phase: str, reply: Reply) -> Rule | None:
    """The first rule that fits, or ``None``."""
    for rule in RULES:
        if (
            phase in rule.phases
            and re.fullmatch(rule.code, str(reply.code))
            and (not rule.enhanced or re.fullmatch(rule.enhanced, reply.enhanced))
            and (not rule.words or re.search(rule.words, reply.text, re.IGNORECASE))
        ):
            return rule
    return None


def says_nobody(text: str) -> bool:
    """Whether the words alone say that there is no such address."""
    return bool(re.search(_NEVER_WAS, text, re.IGNORECASE))


def says_full(text: str) -> bool:
    """Whether the words say that the mailbox is full."""
    return bool(re.search(_FULL, text, re.IGNORECASE))


def is_domain_limit(text: str) -> bool:
    """Whether the words ask for less mail to the recipient's domain, and not from us as a whole."""
    return bool(re.search(_DOMAIN_LIMIT, text, re.IGNORECASE))


def asked_to_wait_until(text: str, now: datetime) -> datetime | None:
    """The time meant by "try again in 5 minutes", at most a day ahead; ``None`` when the text names none."""
    found = _WAIT.search(text)
    if not found or not _WAIT_MEANT.search(text):
        return None
    return now + min(timedelta(seconds=int(found[1]) * _UNIT_S[found[2][0].lower()]), LONGEST_WAIT)
