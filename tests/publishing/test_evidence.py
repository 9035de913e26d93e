"""Unknown deliveries and the mailbox that knows more: real sockets, a real ledger, a server that may keep copies."""

from __future__ import annotations

import asyncio
import imaplib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aicmo.errors import IllegalTransition, NotFound
from aicmo.paths import Paths
from aicmo.publishing import Counts, State
from aicmo.publishing.sending.evidence import AFTER, MOST_AT_ONCE, NOBODY, EvidenceReport, due_looks
from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox
from aicmo.store import deliveries, unknown
from aicmo.store.unknown import InDoubt
from aicmo.workspace import Workspace, open_workspace

from .conftest import config_for, started_campaign, with_mailbox
from .hand_clock import Movable

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


Open = Callable[..., Awaitable[Workspace]]


@pytest.fixture
def clock() -> Movable:
    return Movable()


@pytest.fixture
async def opened(sandbox: RunningSandbox, tmp_path: Path, clock: Movable) -> AsyncIterator[Open]:
    """``await opened()`` is a workspace with a mailbox, whose settings may be changed; all are on the same store."""
    async with AsyncExitStack() as stack:

        async def open_it(*, mailboxes: int = 1, **changed: Any) -> Workspace:
            sending = config_for(sandbox, "smtp-a", connections=1, final_reply_seconds=5)
            config = with_mailbox(sending, sandbox, mailboxes=mailboxes, **changed)
            paths = Paths(tmp_path / "config.toml", tmp_path / "data")
            return await stack.enter_async_context(open_workspace(paths, config, clock=clock))

        yield open_it


async def sent_with_lost_replies(workspace: Workspace, sandbox: RunningSandbox, people: int, lost: str = "*") -> int:
    """A campaign to so many, the server's last word on ``lost`` of them being lost; its id."""
    sandbox.set_faults([Fault("dot", "drop", recipient=lost)])
    campaign = started_campaign(workspace, people)
    await workspace.publishing.outbox().run()
    sandbox.set_faults([])
    return campaign.id


def arrives(sandbox: RunningSandbox, *headers: str) -> None:
    """A mail in INBOX."""
    with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10) as mailbox:
        mailbox.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mailbox.login(USER, PASSWORD)
        mailbox.append("INBOX", "", "", "".join(f"{header}\r\n" for header in headers).encode() + b"\r\nyes\r\n")


# --- what settles it --------------------------------------------------------------------------------------------------


async def test_a_copy_in_sent_shows_that_it_went(opened: Open, sandbox: RunningSandbox) -> None:
    sandbox.keep_copies()
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 5, "p[12]@*")
    assert workspace.publishing.counts(campaign) == Counts(audience=5, sent=3, unknown=2)

    report = await workspace.publishing.evidence().look()

    assert (report.asked, report.settled, report.left, report.why_not) == (2, 2, 0, "")
    assert report.looked_in == ("Sent of inbox",)
    assert workspace.publishing.counts(campaign) == Counts(audience=5, sent=5)
    reasons = {each.email: each.reason for each in workspace.publishing.deliveries(campaign)}
    assert reasons["p1@acme.example"] == "it was sent: a copy lies in Sent of inbox"
    assert set(Counter(mail.message_id for mail in sandbox.received()).values()) == {1}
    assert workspace.publishing.doubt(campaign) is None


@pytest.mark.parametrize("header", ["In-Reply-To: {}", "References: <before@x>\r\n {}"])
async def test_an_answer_in_inbox_shows_that_it_went(opened: Open, sandbox: RunningSandbox, header: str) -> None:
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 2)
    first, second = workspace.publishing.deliveries(campaign)
    arrives(sandbox, "From: p0@acme.example", header.format(first.message_id))

    report = await workspace.publishing.evidence().look()

    assert (report.settled, report.left) == (1, 1)
    first, second = workspace.publishing.deliveries(campaign)
    assert (first.state, first.reason) == (State.SENT, "it was sent: a mail in INBOX of inbox answers it")
    assert second.state is State.UNKNOWN


async def test_the_copy_of_one_message_says_nothing_of_another(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 1)
    sandbox.keep_copies()
    workspace.crm.add("late@acme.example")
    other = workspace.publishing.create_campaign("Other", 1, "late@acme.example")
    workspace.publishing.start(other.id, approve=True)
    sandbox.set_faults([Fault("dot", "drop")])
    await workspace.publishing.outbox().run()

    assert (await workspace.publishing.evidence().look()).settled == 1
    assert workspace.publishing.counts(campaign) == Counts(audience=1, unknown=1)
    assert workspace.publishing.counts(other.id) == Counts(audience=1, sent=1)


# --- what does not ----------------------------------------------------------------------------------------------------


async def test_absence_is_no_proof_and_the_person_is_told_where_was_looked(
    opened: Open, sandbox: RunningSandbox
) -> None:
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 3)
    doubt = workspace.publishing.doubt(campaign)
    assert doubt is not None and doubt.look is None and "Nobody has looked" in doubt.told[1]
    assert doubt.told[1].endswith("Looked for again at the next aicmo run, or by the app.")

    report = await workspace.publishing.evidence().look()

    assert (report.asked, report.settled, report.left) == (3, 0, 3)
    assert workspace.publishing.counts(campaign) == Counts(audience=3, unknown=3)
    doubt = workspace.publishing.doubt(campaign)
    assert doubt is not None and doubt.look is not None and doubt.next_at is not None
    assert doubt.look.looked_in == ("Sent of inbox", "INBOX of inbox")
    assert "Sent of inbox, INBOX of inbox, which proves nothing." in doubt.told[1]


async def test_a_mailbox_that_is_down_changes_nothing_and_is_asked_when_it_is_back(
    opened: Open, sandbox: RunningSandbox
) -> None:
    sandbox.keep_copies()
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 2)
    before = workspace.publishing.deliveries(campaign)
    sandbox.set_faults([Fault("connect", "refuse", server="imap")])

    report = await workspace.publishing.evidence().look()

    assert (report.asked, report.settled, report.left) == (0, 0, 2) and report.why_not.startswith("inbox: ")
    assert workspace.publishing.deliveries(campaign) == before
    doubt = workspace.publishing.doubt(campaign)
    assert doubt is not None and "Could not be looked for" in doubt.told[1]
    sandbox.set_faults([])
    assert (await workspace.publishing.evidence().look()).settled == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"mailboxes": 0}, NOBODY),
        ({"password": "wrong"}, "inbox: "),
        ({"sent_mailbox": "Nowhere"}, "inbox: "),
        ({"hots": "x"}, "hots"),
    ],
)
async def test_what_only_a_person_can_mend_is_said_so(
    opened: Open, sandbox: RunningSandbox, changed: dict[str, Any], why: str
) -> None:
    workspace = await opened(**changed)
    campaign = await sent_with_lost_replies(workspace, sandbox, 1)
    report = await workspace.publishing.evidence().look()
    assert report.needs_a_person and why in report.why_not
    assert workspace.publishing.counts(campaign) == Counts(audience=1, unknown=1)


async def test_a_hostile_message_id_in_the_store_finds_nothing_and_stops_nobody(
    opened: Open, sandbox: RunningSandbox
) -> None:
    sandbox.keep_copies()
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 3)
    hostile = ['<x" NOT "y@x>', "<a@x>\r\nA9 LOGOUT\r\n"]
    ids = [each.id for each in workspace.publishing.deliveries(campaign)]

    def spoil(db: Any) -> None:
        db.executemany("UPDATE delivery SET message_id = ? WHERE id = ?", zip(hostile, ids, strict=False))

    workspace.db.write(spoil)
    report = await workspace.publishing.evidence().look()
    assert (report.settled, report.left, report.why_not) == (1, 2, "")
    assert [each.state for each in workspace.publishing.deliveries(campaign)] == [State.UNKNOWN] * 2 + [State.SENT]


# --- when it is looked ------------------------------------------------------------------------------------------------


def waiting(number: int, minutes_ago: float) -> InDoubt:
    at = NOW - timedelta(minutes=minutes_ago)
    return InDoubt(number, 1, f"<{number}@x>", at, at)


def test_each_is_looked_for_at_once_and_then_at_growing_distances() -> None:
    gaps = [later - earlier for earlier, later in pairwise(AFTER)]
    assert gaps == sorted(gaps)
    each, looks = waiting(1, 0), []
    seen = None
    for minute in range(8 * 24 * 60):
        if due := due_looks([each], seen, NOW + timedelta(minutes=minute)):
            seen = (due[-1][0], due[-1][1].id)
            looks.append(timedelta(minutes=minute))
    assert tuple(looks) == AFTER


def test_looks_that_were_missed_are_made_up_for_by_one() -> None:
    each = waiting(1, 70)
    [(moment, _)] = due_looks([each], None, NOW)
    assert moment == each.at + timedelta(hours=1)
    assert due_looks([each], (moment, 1), NOW) == []


def test_the_longest_due_go_first_and_none_is_left_out_when_there_are_too_many() -> None:
    crowd = [waiting(number, 2) for number in range(1, 6)] + [waiting(9, 20)]
    seen, looked = None, []
    while due := due_looks(crowd, seen, NOW)[:2]:
        seen = (due[-1][0], due[-1][1].id)
        looked += [each.id for _, each in due]
    assert looked == [9, 1, 2, 3, 4, 5]


async def test_what_one_process_has_seen_to_another_does_not_set_back(opened: Open) -> None:
    workspace = await opened()
    for seen in [(NOW, 5), (NOW - timedelta(minutes=1), 9), (NOW, 4)]:
        workspace.db.write(lambda db, seen=seen: unknown.note_seen(db, seen))
    assert workspace.db.read(unknown.seen_to) == (NOW, 5)


async def test_between_two_moments_nobody_is_asked(opened: Open, sandbox: RunningSandbox, clock: Movable) -> None:
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 1)
    asked = []
    for ahead in (0, 0, 30, 61, 62, 301):
        clock.ahead = timedelta(seconds=ahead)
        connections = sandbox.status().imap.connections
        await workspace.publishing.evidence().look()
        asked.append(sandbox.status().imap.connections - connections)
    assert asked == [1, 0, 0, 1, 0, 1]
    clock.ahead = timedelta(days=30)
    await workspace.publishing.evidence().look()
    doubt = workspace.publishing.doubt(campaign)
    assert doubt is not None and doubt.next_at is None and "Not looked for again by itself." in doubt.told[1]
    assert (await workspace.publishing.resolve_by_evidence(campaign)).asked == 1  # a person may always ask


async def test_one_look_is_about_a_bounded_number(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened()
    started_campaign(workspace, MOST_AT_ONCE + 3)
    workspace.db.write(
        lambda db: db.execute("UPDATE delivery SET state = 'unknown', message_id = '<' || id || '@example.com>'")
    )
    search = workspace.publishing.evidence()
    assert [(await search.look()).asked for _ in range(3)] == [MOST_AT_ONCE, 3, 0]
    assert (await workspace.publishing.resolve_by_evidence(1)).asked == MOST_AT_ONCE + 3


# --- who else decides -------------------------------------------------------------------------------------------------


async def test_two_processes_that_look_at_once_settle_each_once(opened: Open, sandbox: RunningSandbox) -> None:
    sandbox.keep_copies()
    workspace, another = await opened(), await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 9, "p[02468]@*")
    reports = await asyncio.gather(
        workspace.publishing.evidence().look(), another.publishing.resolve_by_evidence(campaign)
    )
    assert sum(report.settled for report in reports) == 5
    assert workspace.publishing.counts(campaign) == Counts(audience=9, sent=9)


async def test_evidence_never_overrules_a_person(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 1)
    [found] = workspace.publishing.deliveries(campaign)
    workspace.publishing.resolve(campaign, State.FAILED)
    assert not workspace.db.write(
        lambda db: deliveries.settle_by_evidence(db, found.id, found.message_id, "a copy", NOW)
    )
    assert workspace.publishing.counts(campaign) == Counts(audience=1, failed=1)


async def test_a_resend_that_was_lost_too_is_found_by_the_same_message_id(
    opened: Open, sandbox: RunningSandbox
) -> None:
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 1)
    workspace.publishing.resolve(campaign, State.QUEUED)
    sandbox.keep_copies()
    sandbox.set_faults([Fault("dot", "drop")])
    await workspace.publishing.outbox().run()
    assert (await workspace.publishing.resolve_by_evidence(campaign)).settled == 1
    assert len({mail.message_id for mail in sandbox.received()}) == 1


async def test_nothing_of_a_cancelled_campaign_is_sent_again(opened: Open, sandbox: RunningSandbox) -> None:
    sandbox.keep_copies()
    workspace = await opened()
    campaign = await sent_with_lost_replies(workspace, sandbox, 2)
    workspace.db.write(lambda db: db.execute("UPDATE campaign SET status = 'cancelled'"))
    with pytest.raises(IllegalTransition):
        workspace.publishing.resolve(campaign, State.QUEUED)
    assert workspace.publishing.resolve(campaign, State.SENT, email="p0@acme.example") == 1
    with pytest.raises(NotFound):
        await workspace.publishing.resolve_by_evidence(campaign, email="p0@acme.example")
    report = await workspace.publishing.resolve_by_evidence(campaign, email="P1@acme.example")
    assert replace(report, looked_in=()) == replace(report, looked_in=(), asked=1, settled=1, left=0)


def test_where_nobody_could_be_asked_there_are_no_others() -> None:
    nobody = EvidenceReport(left=3, why_not="no mailbox is configured").told_of_waiting
    assert nobody[0] == "Nobody could be asked: no mailbox is configured."
    some = EvidenceReport(1, 1, 2, ("Sent of inbox",), "its password was refused").told_of_waiting
    assert some[1] == "Nobody could be asked about the others: its password was refused."
