"""What a server's answer means for a delivery: the whole table, without a socket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aicmo.gateways import Applied, Attempt, ChainResult, Outcome
from aicmo.gateways.smtp_reply import judge, read_reply
from aicmo.publishing.sending.verdicts import BACKOFF, PROVIDER_BACKOFF, is_dead_address, slows_domain, verdict_of
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


ANSWERS = [
    # phase, the server's line; state, cause; dead address, slows its domain (facts: RFC 5321 4.2, RFC 3463 3)
    ("rcpt", "450 4.2.0 Greylisted", State.DEFERRED, "later", False, False),
    ("rcpt", "451 4.7.1 greylisting in action, please come back later", State.DEFERRED, "later", False, False),
    ("rcpt", "450 4.2.1 mailbox temporarily disabled", State.DEFERRED, "mailbox", False, False),
    ("rcpt", "452 4.2.2 mailbox full", State.DEFERRED, "mailbox", False, False),
    ("rcpt", "552 5.2.2 over quota", State.DEFERRED, "mailbox", False, False),
    ("rcpt", "452 mailbox is full", State.DEFERRED, "mailbox", False, False),
    ("rcpt", "550 5.2.1 account disabled", State.FAILED, "mailbox", False, False),
    ("rcpt", "550 5.1.1 User unknown", State.FAILED, "address", True, False),
    ("reply", "550 5.1.10 RecipientNotFound", State.FAILED, "address", True, False),
    ("rcpt", "556 this domain takes no mail", State.FAILED, "address", True, False),
    ("rcpt", "550 No such user here", State.FAILED, "address", True, False),
    ("rcpt", "550 mailbox unavailable", State.FAILED, "address", False, False),
    ("rcpt", "550 5.4.1 Recipient address rejected: Access denied", State.FAILED, "address", False, False),
    ("rcpt", "421 4.7.0 [TSS04] Messages temporarily deferred", State.DEFERRED, "throttled", False, True),
    ("reply", "421 4.7.28 unusual rate of mail", State.DEFERRED, "throttled", False, True),
    ("rcpt", "451 4.7.1 rate limit for this domain exceeded", State.DEFERRED, "throttled", False, True),
    ("reply", "454 Throttling failure: Maximum sending rate exceeded.", State.DEFERRED, "throttled", False, False),
    ("connect", "421 4.7.28 unusual rate", State.DEFERRED, "throttled", False, False),
    ("reply", "454 Daily message quota exceeded", State.DEFERRED, "limit", False, False),
    ("reply", "421 4.3.2 shutting down", State.DEFERRED, "server", False, False),
    ("auth", "535 5.7.8 wrong password", State.DEFERRED, "server", False, False),
    ("mail", "530 5.7.0 authenticate first", State.DEFERRED, "server", False, False),
    ("reply", "552 5.3.4 too big", State.FAILED, "content", False, False),
    ("rcpt", "550 5.2.3 message too long", State.FAILED, "content", False, False),
    ("reply", "554 5.6.0 malformed", State.FAILED, "content", False, False),
    ("reply", "554 5.7.1 spam", State.FAILED, "content", False, False),
    ("rcpt", "550 5.7.26 unauthenticated mail", State.FAILED, "content", False, False),
    ("reply", "550 5.7.515 Access denied", State.FAILED, "content", False, False),
    ("reply", "451 4.7.1 looks like spam, try later", State.DEFERRED, "later", False, False),
]


@pytest.mark.parametrize(("phase", "line", "state", "cause", "dead", "slows"), ANSWERS)
def test_what_a_servers_line_means_for_the_delivery_the_address_and_the_domain(
    phase: str, line: str, state: State, cause: str, dead: bool, slows: bool
) -> None:
    reply = read_reply(int(line[:3]), line[4:])
    judged = judge(phase, reply)
    final = Attempt("a", judged.outcome, Applied.NO, phase, reply.codes, reply.text, judged.permanent)
    verdict = verdict_of(ChainResult((final,), final), attempts_before=0, let_go=phase == "reply", now=NOW)
    assert (verdict.state, verdict.cause) == (state, cause)
    assert (is_dead_address(final), slows_domain(final)) == (dead, slows)
    assert cause in CAUSES


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
