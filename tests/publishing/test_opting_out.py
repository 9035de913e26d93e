"""Opting out by mail, end to end: mail out by SMTP, an opt-out back in a real mailbox, nothing more to that person."""

from __future__ import annotations

import imaplib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from aicmo.paths import Paths
from aicmo.publishing import Counts
from aicmo.publishing.email.tokens import delivery_token
from aicmo.publishing.inbox import optouts
from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox, start_sandbox
from aicmo.sandbox.audience import AudienceRates
from aicmo.store import events, meta, opt_outs, suppressions
from aicmo.workspace import Workspace, open_workspace

from .conftest import config_for, started_campaign, with_mailbox
from .hand_clock import Movable

EVERYBODY_LEAVES = AudienceRates(
    hard_bounce=0, soft_bounce=0, open=1, click=0, unsubscribe=1, unsubscribe_in_words=0, complaint=0, reply=0,
    auto_reply=0, proxy_open=0, scan=0,
)  # fmt: skip


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """One of its own: a reset leaves the mailbox as it is."""
    with start_sandbox(tmp_path / "sandbox") as running:
        yield running


Open = Callable[..., Awaitable[Workspace]]


@pytest.fixture
def clock() -> Movable:
    return Movable()


@pytest.fixture
async def opened(tmp_path: Path, clock: Movable) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_it(sandbox: RunningSandbox, *, mailboxes: int = 1, **changed: Any) -> Workspace:
            sending = config_for(sandbox, "smtp-a")
            config = with_mailbox(sending, sandbox, mailboxes=mailboxes, **changed)
            paths = Paths(tmp_path / "config.toml", tmp_path / "data")
            return await stack.enter_async_context(open_workspace(paths, config, clock=clock))

        yield open_it


def mailbox(sandbox: RunningSandbox) -> imaplib.IMAP4:
    connection = imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10)
    connection.login(USER, PASSWORD)
    return connection


def arrives(sandbox: RunningSandbox, *lines: str) -> None:
    with mailbox(sandbox) as box:
        box.append("INBOX", "", "", "\r\n".join((*lines, "")).encode())


def as_it_lies(sandbox: RunningSandbox) -> list[Any]:
    """Every mail's UID and flags."""
    with mailbox(sandbox) as box:
        box.select("INBOX", readonly=True)
        return box.fetch("1:*", "(UID FLAGS RFC822.SIZE)")[1]


def token(workspace: Workspace, delivery: int, campaign: int = 1) -> str:
    return delivery_token(workspace.db.read(meta.identity), campaign, delivery)


def suppressed(workspace: Workspace) -> dict[str, str]:
    return {each.email: each.source for each in workspace.db.read(suppressions.listed)}


async def sent(workspace: Workspace, people: int = 3) -> None:
    started_campaign(workspace, people)
    await workspace.publishing.outbox().run()


async def test_whoever_unsubscribes_gets_nothing_more_though_deleted_and_imported_again(
    opened: Open, tmp_path: Path
) -> None:
    with start_sandbox(tmp_path / "crowd", audience=EVERYBODY_LEAVES) as crowd:
        workspace = await opened(crowd)
        await sent(workspace, 4)
        crowd.settle()
        before = as_it_lies(crowd)

        report = await workspace.publishing.opt_outs().look()

        assert (report.read, report.opted_out, report.why_not) == (len(before), 4, "")
        assert as_it_lies(crowd) == before
        somebody = workspace.crm.get("p2@acme.example").id
        [event] = workspace.db.read(lambda db: events.of(db, somebody))
        assert (event.kind, event.human, event.campaign_id, event.delivery_id) == ("unsubscribed", True, 1, 3)
        again = await workspace.publishing.opt_outs().look()
        assert (again.read, again.opted_out) == (0, 0)

        workspace.crm.delete("p2@acme.example")
        workspace.crm.import_file(BytesIO(b"email\np2@acme.example\n"))
        second = workspace.publishing.create_campaign("Second", 1, "")
        workspace.crm.add("new@acme.example")
        workspace.publishing.start(second.id, approve=True)
        await workspace.publishing.outbox().run()
        assert workspace.publishing.counts(second.id) == Counts(audience=5, sent=1, suppressed=4)


async def test_a_queued_message_is_stopped_by_an_opt_out_that_came_meanwhile(
    opened: Open, sandbox: RunningSandbox
) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    second = workspace.publishing.create_campaign("Second", 1, "")
    workspace.publishing.start(second.id, approve=True)
    arrives(sandbox, "From: p0@acme.example", f"In-Reply-To: <{token(workspace, 1)}@example.com>", "", "Stop, please")
    assert (await workspace.publishing.opt_outs().look()).opted_out == 1
    await workspace.publishing.outbox().run()
    assert workspace.publishing.counts(second.id) == Counts(audience=3, sent=2, suppressed=1)


async def test_the_token_says_who_and_plain_words_need_a_message_of_ours(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    arrives(sandbox, "From: private@home.example", f"Subject: unsubscribe-{token(workspace, 1)}", "", "")
    arrives(sandbox, "From: P1@acme.example", "Subject: unsubscribe", "", "")
    arrives(sandbox, "From: stranger@far.example", "Subject: unsubscribe", "", "stop")
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 3)[:-1]}z", "", "")
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 99)}", "", "")
    assert (await workspace.publishing.opt_outs().look()).opted_out == 2
    told = suppressed(workspace)
    assert told.keys() == {"p0@acme.example", "p1@acme.example"}
    assert all(source.startswith("a mail of 20") for source in told.values())


async def test_who_was_deleted_or_has_another_address_now_is_suppressed_and_who_was_erased_is_nobody(
    opened: Open, sandbox: RunningSandbox
) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    for number in (1, 2, 3):
        arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, number)}", "", "")
    workspace.crm.delete("p0@acme.example")
    moved = workspace.crm.get("p1@acme.example")
    workspace.crm.edit(moved, {"email": "p1@new.example"})
    workspace.rights.erase(["p2@acme.example"])
    assert (await workspace.publishing.opt_outs().look()).opted_out == 2
    among = workspace.db.read(
        lambda db: suppressions.among(db, ["p0@acme.example", "p1@acme.example", "p1@new.example"])
    )
    assert among == {"p0@acme.example", "p1@acme.example", "p1@new.example"}
    assert len(workspace.db.read(suppressions.listed)) == 4  # with the one of whom was erased


async def test_a_renumbered_mailbox_is_read_anew_and_overrules_nobody(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    arrives(
        sandbox, "From: p0@acme.example", "Message-ID: <a@x>", f"Subject: unsubscribe-{token(workspace, 1)}", "", ""
    )
    await workspace.publishing.opt_outs().look()
    workspace.db.write(lambda db: suppressions.remove(db, "p0@acme.example"))  # on their own word
    workspace.db.write(lambda db: opt_outs.note_read(db, "inbox", opt_outs.Cursor(7, 10_000)))
    report = await workspace.publishing.opt_outs().look()
    assert (report.read, report.opted_out) == (len(as_it_lies(sandbox)), 0) and suppressed(workspace) == {}


async def test_the_first_look_goes_thirty_days_back_and_later_ones_go_on(
    opened: Open, sandbox: RunningSandbox, clock: Movable
) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 1)}", "", "")
    clock.ahead = timedelta(days=40)
    assert (await workspace.publishing.opt_outs().look()).read == 0
    clock.ahead = timedelta(days=20)
    assert (await workspace.publishing.opt_outs().look()).opted_out == 1


async def test_all_that_is_there_is_read_in_parts(
    opened: Open, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optouts, "MOST_AT_ONCE", 2)
    workspace = await opened(sandbox)
    await sent(workspace)
    for _ in range(4):
        arrives(sandbox, "From: x@far.example", "Subject: \xff=?utf-8?b?a?=", "Content-Type: multipart/x", "", "--")
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 1)}", "", "")
    report = await workspace.publishing.opt_outs().look()
    assert (report.read, report.opted_out) == (len(as_it_lies(sandbox)), 1) and report.read > 5


async def test_what_is_read_and_how_far_are_stored_together(
    opened: Open, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 1)}", "", "")
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(opt_outs, "note_read", lambda *_: 1 // 0)
        await workspace.publishing.opt_outs().look()
    assert suppressed(workspace) == {}
    assert (await workspace.publishing.opt_outs().look()).opted_out == 1


async def test_a_mailbox_that_is_down_is_told_and_read_when_it_is_back(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 1)}", "", "")
    sandbox.set_faults([Fault("connect", "refuse", server="imap")])
    report = await workspace.publishing.opt_outs().look()
    assert (report.read, report.opted_out) == (0, 0) and report.why_not.startswith("inbox")
    sandbox.set_faults([])
    await workspace.registry.reset("inbox")
    assert (await workspace.publishing.opt_outs().look()).opted_out == 1


async def test_without_a_mailbox_nothing_is_said(opened: Open, sandbox: RunningSandbox) -> None:
    workspace = await opened(sandbox, mailboxes=0)
    assert await workspace.publishing.opt_outs().look() == optouts.OptOutReport()
    wrong = await opened(sandbox, hots="x")
    assert "hots" in (await wrong.publishing.opt_outs().look()).why_not


async def test_a_mail_that_breaks_its_reading_holds_up_no_other(
    opened: Open, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await opened(sandbox)
    await sent(workspace)
    arrives(sandbox, "From: x@far.example", "Subject: poison", "", "")
    arrives(sandbox, "From: x@far.example", f"Subject: unsubscribe-{token(workspace, 1)}", "", "")
    read = optouts.opt_out_in

    def reading(raw: bytes, *more: Any) -> optouts.OptOut | None:
        if b"poison" in raw:
            raise RecursionError
        return read(raw, *more)

    monkeypatch.setattr(optouts, "opt_out_in", reading)
    assert (await workspace.publishing.opt_outs().look()).opted_out == 1
