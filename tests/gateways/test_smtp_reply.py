"""What servers say, and what is made of it: real wordings, one row each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aicmo.gateways.attempt import Outcome
from aicmo.gateways.smtp_reply import ANY, RULES, Reply, asked_to_wait_until, judge, read_reply, rule_for

T, RATE, QUOTA, AUTH, WHO, WHAT = (
    Outcome.TRANSIENT,
    Outcome.RATE_LIMITED,
    Outcome.QUOTA,
    Outcome.AUTH,
    Outcome.RECIPIENT,
    Outcome.CONTENT,
)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

SAID = [
    # phase, reply, outcome, permanent
    ("rcpt", "452 4.2.2 Mailbox full", WHO, False),
    ("rcpt", "552 5.2.2 The email account that you tried to reach is over quota", WHO, False),
    ("reply", "550 5.4.5 Daily user sending limit exceeded", QUOTA, False),
    ("mail", "550 5.1.90 Your message can't be sent because you've reached your daily limit", QUOTA, False),
    ("reply", "454 Throttling failure: Daily message quota exceeded", QUOTA, False),
    ("reply", "554 5.2.0 SubmissionQuotaExceededException", QUOTA, False),
    ("auth", "535 5.7.8 Username and Password not accepted", AUTH, False),
    ("auth", "534 5.7.9 Application-specific password required", AUTH, False),
    ("mail", "530 5.7.0 Must issue a STARTTLS command first", AUTH, False),
    ("auth", "538 5.7.11 Encryption required", AUTH, False),
    ("auth", "550 5.2.1 account disabled", AUTH, False),
    ("mail", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", AUTH, False),
    ("rcpt", "554 5.7.1 <a@b.example>: Relay access denied", AUTH, False),
    ("rcpt", "454 4.7.1 Relay access denied", AUTH, False),
    ("rcpt", "553 5.7.1 <me@x.example>: Sender address rejected: not owned by user ada", AUTH, False),
    ("mail", "550 5.1.8 Bad sender's domain", AUTH, False),
    ("rcpt", "451 4.7.0 Greylisted, please try again in 5 minutes", WHO, False),
    ("rcpt", "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted", WHO, False),
    ("connect", "421 4.7.28 unusual rate of unsolicited mail", RATE, False),
    ("rcpt", "451 4.7.1 Sending rate for destination domain gmail.com exceeded", WHO, False),
    ("connect", "421 Too many concurrent connections", RATE, False),
    ("rcpt", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", RATE, False),
    ("reply", "454 Throttling failure: Maximum sending rate exceeded.", RATE, False),
    ("data", "454 not now", RATE, False),
    ("rcpt", "450 4.7.0 slow", RATE, False),
    ("connect", "421 4.3.2 shutting down", T, False),
    ("reply", "421 4.4.2 timeout", T, False),
    ("connect", "554 5.3.2 no service", T, False),
    ("ehlo", "501 no", T, False),
    ("starttls", "454 4.7.0 TLS not available", T, False),
    ("auth", "454 4.7.0 Temporary authentication failure", T, False),
    ("rcpt", "550 5.2.3 message too long for this mailbox", WHAT, True),
    ("mail", "552 5.3.4 Message size exceeds fixed limit", WHAT, True),
    ("data", "550 message size exceeds limit", WHAT, True),
    ("reply", "552 too much", WHAT, True),
    ("mail", "451 4.3.0 try later", T, False),
    ("mail", "452 4.3.1 Insufficient system storage", T, False),
    ("mail", "550 5.6.7 no SMTPUTF8", WHAT, True),
    ("mail", "550 5.7.1 blocked using zen.spamhaus.org", WHAT, False),
    ("mail", "550 5.7.1 not you", AUTH, False),
    ("mail", "501 syntax", T, False),
    ("rcpt", "550 5.1.1 User unknown", WHO, True),
    ("reply", "550 5.1.10 RESOLVER.ADR.RecipientNotFound", WHO, True),
    ("rcpt", "556 5.1.10 null MX", WHO, True),
    ("rcpt", "556 domain takes no mail", WHO, True),
    ("rcpt", "550 5.4.1 Recipient address rejected: Access denied", WHO, True),
    ("rcpt", "550 5.2.1 account disabled", WHO, False),
    ("reply", "554 5.6.0 malformed", WHAT, True),
    ("rcpt", "550 5.7.26 unauthenticated mail", WHAT, False),
    ("reply", "550 5.7.515 Access denied", WHAT, False),
    ("rcpt", "554 no", WHAT, False),
    ("rcpt", "550 rejected by spam policy", WHAT, False),
    ("reply", "550 over quota", WHO, False),
    ("reply", "550 No such user here", WHO, True),
    ("rcpt", "550 mailbox unavailable", WHO, True),
    ("rcpt", "553 name not allowed", WHO, True),
    ("rcpt", "551 user not local", WHO, True),
    ("rcpt", "552 storage", WHO, False),
    ("rcpt", "451 local error", WHO, False),
    ("rcpt", "452 4.3.1 storage", WHO, False),
    ("reply", "450 later", WHO, False),
    ("reply", "451 4.7.1 later", WHO, False),
    ("data", "451 4.3.0 later", T, False),
    ("reply", "452 4.3.1 later", T, False),
    ("reply", "550 Transaction failed", WHAT, False),
    ("data", "503 bad sequence", T, False),
    ("rcpt", "500 what", T, False),
]


def _reply(line: str) -> Reply:
    code, _, message = line.partition(" ")
    return read_reply(int(code), message)


@pytest.mark.parametrize(("phase", "line", "outcome", "permanent"), SAID)
def test_a_refusal_is_laid_at_the_right_door(phase: str, line: str, outcome: Outcome, permanent: bool) -> None:
    assert judge(phase, _reply(line)) == (outcome, permanent)


def test_every_rule_decides_at_least_one_of_these_rows() -> None:
    decided = {rule_for(phase, _reply(line)) for phase, line, _, _ in SAID}
    assert set(RULES) <= decided


def test_no_refusal_before_rcpt_condemns_a_recipient() -> None:
    for code in (*range(400, 460), *range(500, 560)):
        for phase in ANY - {"rcpt", "data", "body", "reply"}:
            assert judge(phase, read_reply(code, "5.1.1 User unknown")).outcome is not WHO


def test_a_reply_is_one_plain_line_without_the_secret() -> None:
    reply = read_reply(550, "5.1.1 no\x1b[2J such\n5.1.1 hunter2 \u202euser " + "x" * 1000, secrets=("hunter2",))
    assert (reply.code, reply.enhanced, reply.codes) == (550, "5.1.1", "550 5.1.1")
    assert reply.text.startswith("no[2J such ••• user xxx")
    assert len(reply.text) == 300


@pytest.mark.parametrize("message", ["5.1.2.3 is listed", "no 5.1.1 here", "2.1.0 odd", "4.2.0 odd"])
def test_what_only_looks_like_an_enhanced_code_is_none(message: str) -> None:
    assert read_reply(550, message).enhanced == ""


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Greylisted, please try again in 300 seconds", timedelta(seconds=300)),
        ("try again in 5 minutes", timedelta(minutes=5)),
        ("Please retry after 1 hour.", timedelta(hours=1)),
        ("Greylisted for 60 secs", timedelta(seconds=60)),
        ("wait 2 mins and try again", timedelta(minutes=2)),
        ("try again in 5m", timedelta(minutes=5)),
        ("try again in 999999 hours", timedelta(days=1)),
        ("try again later", None),
        ("message deleted in 5 minutes", None),
        ("no more than 5 in 10 messages, try again", None),
    ],
)
def test_a_wait_that_is_asked_for_is_understood(text: str, wait: timedelta | None) -> None:
    assert asked_to_wait_until(text, NOW) == (None if wait is None else NOW + wait)
