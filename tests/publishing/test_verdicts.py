"""What a server's answer means for a delivery: the whole table, without a socket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aicmo.gateways import Applied, Attempt, ChainResult, Outcome
from aicmo.gateways.smtp_reply import judge, read_reply
from aicmo.publishing.sending.verdicts import (
    BACKOFF,
    PROVIDER_BACKOFF,
    is_dead_address,
    is_sender_fault,
    slows_domain,
    verdict_of,
)
from aicmo.store import failures
from aicmo.store.claiming import Verdict
from aicmo.store.deliveries import CAUSES, MOVES, State

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOON, LATE = NOW + timedelta(seconds=1), NOW + timedelta(hours=9)


def one(outcome: Outcome, applied: Applied = Applied.NO, **more: object) -> ChainResult:
    final = Attempt("smtp-a", outcome, applied, detail="told", **more)  # type: ignore[arg-type]
    return ChainResult((final,), final, final.retry_at)


TABLE = [
    # result, was let go, state, retry_at
    (one(Outcome.OK, Applied.YES, code="250"), True, State.SENT, None),
    (one(Outcome.AMBIGUOUS, Applied.UNKNOWN), True, State.UNKNOWN, None),
    (one(Outcome.CANCELLED, Applied.UNKNOWN), True, State.UNKNOWN, None),
    (one(Outcome.INPUT), False, State.FAILED, None),
    (one(Outcome.RECIPIENT, code="550 5.1.1", permanent=True), False, State.FAILED, None),
    (one(Outcome.RECIPIENT, code="450"), False, State.DEFERRED, NOW + BACKOFF[0]),
    (one(Outcome.RECIPIENT, code="450", retry_at=SOON), False, State.DEFERRED, NOW + BACKOFF[0]),
    (one(Outcome.RECIPIENT, code="450", retry_at=LATE), False, State.DEFERRED, LATE),
    (one(Outcome.CONTENT, code="554 5.7.1"), True, State.FAILED, None),
    (one(Outcome.CONTENT, code="451 4.7.1"), True, State.DEFERRED, NOW + BACKOFF[0]),
    (one(Outcome.TRANSIENT), False, State.DEFERRED, NOW + PROVIDER_BACKOFF),
    (one(Outcome.RATE_LIMITED, retry_at=LATE), True, State.DEFERRED, LATE),
    (one(Outcome.AUTH), False, State.DEFERRED, NOW + PROVIDER_BACKOFF),
    (one(Outcome.SKIPPED), False, State.QUEUED, None),
    (one(Outcome.CANCELLED), False, State.QUEUED, None),
    (one(Outcome.CANCELLED), True, State.DEFERRED, NOW + PROVIDER_BACKOFF),
]


@pytest.mark.parametrize(("result", "let_go", "state", "retry_at"), TABLE)
def test_the_table(result: ChainResult, let_go: bool, state: State, retry_at: datetime | None) -> None:
    verdict = verdict_of(result, attempts_before=0, let_go=let_go, now=NOW)
    assert (verdict.state, verdict.retry_at) == (state, retry_at)
    assert state in MOVES[State.SENDING if let_go else State.CLAIMED] or (state is State.SENT and let_go)


def test_every_outcome_leads_somewhere_the_ledger_allows() -> None:
    for outcome in Outcome:
        for applied in Applied:
            for let_go in (True, False):
                if applied is not Applied.NO and not let_go:
                    continue  # nothing can have happened before the body was let go
                state = verdict_of(one(outcome, applied), attempts_before=0, let_go=let_go, now=NOW).state
                assert state in MOVES[State.SENDING if let_go else State.CLAIMED], (outcome, applied, let_go)


def test_one_doubtful_attempt_makes_the_delivery_unknown_whatever_came_after() -> None:
    doubtful = Attempt("smtp-a", Outcome.AMBIGUOUS, Applied.UNKNOWN)
    sure = Attempt("smtp-b", Outcome.OK, Applied.YES)
    result = ChainResult((doubtful, sure), sure)
    assert verdict_of(result, attempts_before=0, let_go=True, now=NOW).state is State.UNKNOWN


def test_the_reason_says_how_far_it_had_come_and_nothing_of_a_limit_of_ours() -> None:
    def reason(outcome: Outcome, phase: str) -> str:
        return verdict_of(one(outcome, phase=phase), attempts_before=0, let_go=False, now=NOW).reason

    assert reason(Outcome.INPUT, "rcpt") == "told (at the recipient)"
    assert reason(Outcome.TRANSIENT, "connect") == "told (on connecting)"
    assert reason(Outcome.QUOTA, "data") == "told"


def test_a_mailbox_that_keeps_saying_later_is_given_up_and_the_reason_says_so() -> None:
    result = one(Outcome.RECIPIENT, code="450")
    waits = [verdict_of(result, attempts_before=n, let_go=False, now=NOW).retry_at for n in range(len(BACKOFF))]
    assert waits == sorted(waits, key=lambda at: at or NOW)
    given_up = verdict_of(result, attempts_before=len(BACKOFF), let_go=False, now=NOW)
    assert given_up.state is State.FAILED and "given up" in given_up.reason


D, F = State.DEFERRED, State.FAILED
ANSWERS = [
    # phase, the server's line, state, cause, and what follows (RFC 5321 4.2, RFC 3463 3, and what providers document):
    # "suppress" now, "count" towards it, "slow" the domain, "pause" the campaign if it goes on, "stop" the server.
    # --- 421: the server leaves
    ("reply", "421 4.3.2 shutting down", D, "trouble", ""),
    ("rcpt", "421 4.4.2 timeout", D, "trouble", ""),
    # --- 450, 451, 4.7.1: later, and the same server again; trouble of the server's own is nothing about the mailbox
    ("rcpt", "450 4.2.0 Greylisted", D, "later", "count"),
    ("rcpt", "451 4.7.1 greylisting in action, please come back later", D, "later", "count"),
    ("rcpt", "450 4.2.1 mailbox temporarily disabled", D, "mailbox", "count"),
    ("rcpt", "452 4.3.1 storage", D, "later", "count"),
    ("data", "451 4.3.0 try again later", D, "trouble", ""),
    ("reply", "451 local error in processing", D, "trouble", ""),
    ("reply", "452 4.3.1 Insufficient system storage", D, "trouble", ""),
    ("reply", "451 4.7.1 looks like spam, try later", D, "later", "count"),
    # --- too fast: the domain, or we as a whole
    ("rcpt", "421 4.7.0 [TSS04] Messages temporarily deferred", D, "throttled", "slow"),
    ("reply", "421 4.7.28 unusual rate of mail", D, "throttled", "slow"),
    ("rcpt", "451 4.7.1 rate limit for this domain exceeded", D, "throttled", "slow"),
    ("reply", "454 Throttling failure: Maximum sending rate exceeded.", D, "throttled", ""),
    ("connect", "421 4.7.28 unusual rate", D, "throttled", ""),
    ("reply", "454 Daily message quota exceeded", D, "limit", ""),
    # --- dead: nobody will ever read there
    ("rcpt", "550 5.1.1 User unknown", F, "address", "suppress"),
    ("rcpt", "550 5.1.2 Bad destination system", F, "address", "suppress"),
    ("rcpt", "553 5.1.3 Bad address syntax", F, "address", "suppress"),
    ("rcpt", "551 5.1.6 Has moved", F, "address", "suppress"),
    ("reply", "550 5.1.10 RecipientNotFound", F, "address", "suppress"),
    ("rcpt", "556 5.1.10 null MX", F, "address", "suppress"),
    ("rcpt", "556 this domain takes no mail", F, "address", "suppress"),
    # --- disabled, full: not for good
    ("rcpt", "550 5.2.1 account disabled", F, "mailbox", "count"),
    ("rcpt", "552 5.2.2 over quota", D, "mailbox", "count"),
    ("rcpt", "452 4.2.2 mailbox full", D, "mailbox", "count"),
    # --- too big, malformed: it would be so for the next one too
    ("reply", "552 5.3.4 too big", F, "content", "pause"),
    ("reply", "552 too much mail data", F, "content", "pause"),
    ("rcpt", "550 5.2.3 message too long", F, "content", "pause"),
    ("reply", "554 5.6.0 malformed", F, "content", "pause"),
    # --- the sender's fault
    ("reply", "554 5.7.1 spam", F, "content", "pause"),
    ("rcpt", "550 5.7.1 Client host blocked using zen.spamhaus.org", F, "content", "pause"),
    ("rcpt", "550 5.7.25 The IP address sending this message does not have a PTR record", F, "content", "pause"),
    ("rcpt", "550 5.7.26 unauthenticated mail", F, "content", "pause"),
    ("reply", "550 5.7.515 Access denied", F, "content", "pause"),
    ("reply", "554 Message refused, listed at a blocklist", F, "content", "pause"),
    # --- our login: this server stops, the queue stays
    ("auth", "535 5.7.8 wrong password", D, "server", "stop"),
    ("mail", "530 5.7.0 authenticate first", D, "server", "stop"),
    ("mail", "530 no", D, "server", "stop"),
    ("rcpt", "535 no", D, "server", "stop"),
    # --- no enhanced code: the words, then the phase
    ("rcpt", "452 mailbox is full", D, "mailbox", "count"),
    ("rcpt", "550 No such user here", F, "address", "suppress"),
    ("rcpt", "550 mailbox unavailable", F, "address", ""),
    ("rcpt", "550 5.4.1 Recipient address rejected: Access denied", F, "address", ""),
    ("mail", "550 no", D, "server", ""),
    ("rcpt", "571 no", D, "trouble", ""),
    ("reply", "550 no", F, "content", "pause"),
]


def answered(phase: str, line: str) -> Attempt:
    reply = read_reply(int(line[:3]), line[4:])
    judged = judge(phase, reply)
    return Attempt("a", judged.outcome, Applied.NO, phase, reply.codes, reply.text, judged.permanent)


def follows(final: Attempt, verdict: Verdict) -> str:
    found = {
        "suppress": is_dead_address(final),
        "count": verdict.cause in failures.SOFT,
        "slow": slows_domain(final),
        "pause": is_sender_fault(final) and verdict.state is F,
        "stop": final.outcome is Outcome.AUTH,
    }
    return " ".join(name for name, is_so in found.items() if is_so)


@pytest.mark.parametrize(("phase", "line", "state", "cause", "then"), ANSWERS)
def test_what_a_servers_line_means_for_the_delivery_the_address_the_domain_and_the_campaign(
    phase: str, line: str, state: State, cause: str, then: str
) -> None:
    final = answered(phase, line)
    verdict = verdict_of(ChainResult((final,), final), attempts_before=0, let_go=phase == "reply", now=NOW)
    assert (verdict.state, verdict.cause, follows(final, verdict)) == (state, cause, then)
    assert cause in CAUSES


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "reply"])
def test_no_refusal_for_policy_is_ever_held_against_an_address(phase: str) -> None:
    for detail in (*range(31), 515, 520, 750):
        for words in ("no", "User unknown", "mailbox full", "listed at a blocklist"):
            final = answered(phase, f"550 5.7.{detail} {words}")
            verdict = verdict_of(ChainResult((final,), final), attempts_before=0, let_go=phase == "reply", now=NOW)
            assert not is_dead_address(final) and verdict.cause in ("content", "server"), final


@pytest.mark.parametrize("line", ["451 4.3.0 queue file write error", "452 4.3.1 storage", "503 bad sequence"])
def test_one_message_that_a_server_keeps_refusing_is_not_offered_for_ever(line: str) -> None:
    final = answered("data", line)
    result = ChainResult((final,), final)
    tries = [verdict_of(result, attempts_before=n, let_go=True, now=NOW) for n in range(len(BACKOFF) + 1)]
    assert [each.retry_at for each in tries[:-1]] == [NOW + wait for wait in BACKOFF]
    assert tries[-1].state is State.FAILED and "given up" in tries[-1].reason


@pytest.mark.parametrize(("phase", "code"), [("body", ""), ("data", ""), ("reply", "421 4.3.2"), ("rcpt", "421 4.4.2")])
def test_a_dropped_line_is_tried_again_soon_and_one_that_always_drops_not_for_ever(phase: str, code: str) -> None:
    result = one(Outcome.TRANSIENT, phase=phase, code=code)
    tries = [verdict_of(result, attempts_before=n, let_go=True, now=NOW) for n in range(len(BACKOFF) + 2)]
    assert [each.retry_at for each in tries[:-1]] == [NOW + wait for wait in (PROVIDER_BACKOFF, *BACKOFF)]
    assert tries[-1].state is State.FAILED and "given up" in tries[-1].reason


def test_patience_with_a_mailbox_lasts_two_to_three_days_and_begins_with_what_suits_greylisting() -> None:
    assert timedelta(minutes=5) <= BACKOFF[0] <= timedelta(minutes=15)
    assert timedelta(hours=48) <= sum(BACKOFF, timedelta()) <= timedelta(hours=72)


@pytest.mark.parametrize(
    ("code", "permanent", "dead"),
    [("550 5.1.1", True, True), ("550 5.2.1", True, False), ("550", True, False), ("450 5.1.1", False, False)],
)
def test_only_a_dead_address_is_suppressed(code: str, permanent: bool, dead: bool) -> None:
    assert is_dead_address(one(Outcome.RECIPIENT, code=code, permanent=permanent).final) is dead
    assert not is_dead_address(one(Outcome.CONTENT, code=code, permanent=permanent).final)
