"""Opt-outs by mail, as the command line tells of them: read before anything is sent."""

from __future__ import annotations

import asyncio
import imaplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commandline import CommandLine
from test_evidence_verb import with_mailbox

from aicmo.publishing.inbox import listening
from aicmo.publishing.sending.outbox import Outbox, RunReport
from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox, start_sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """One of its own: a reset leaves the mailbox as it is."""
    with start_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def written_to(aicmo: CommandLine, sending_home: Path) -> CommandLine:
    """Ann and Bob got the first campaign; the second waits to be started."""
    for name in ("ann", "bob"):
        aicmo("contact", "add", f"{name}@one.example")
    (sending_home / "body.md").write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    for name in ("First", "Second"):
        aicmo("campaign", "create", "--name", name, "--content", 1, "--to", "")
    ran = aicmo("campaign", "start", 1, "--wait", "--yes", "--json").document["run"]
    assert (ran["opted_out"], ran["warnings"]) == (0, [])  # no mailbox: nothing is said
    return aicmo


def unsubscribes(home: Path, sandbox: RunningSandbox, name: str) -> None:
    """What their mail program sends for List-Unsubscribe."""
    with closing(sqlite3.connect(home / "data" / "aicmo.db")) as db:
        query = "SELECT message_id FROM delivery WHERE campaign_id = 1 AND address = ?"
        [message_id] = db.execute(query, (f"{name}@one.example",)).fetchone()
    token = message_id[1:].partition("@")[0]
    with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10) as box:
        box.login(USER, PASSWORD)
        box.append("INBOX", "", "", f"From: {name}@one.example\r\nSubject: unsubscribe-{token}\r\n\r\n".encode())


def suppressed(home: Path) -> list[object]:
    with closing(sqlite3.connect(home / "data" / "aicmo.db")) as db:
        return db.execute("SELECT * FROM suppression").fetchall()


def test_a_tick_reads_the_mail_before_it_sends(
    written_to: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    unsubscribes(sending_home, sandbox, "ann")
    written_to("campaign", "start", 2, "--yes")
    ran = written_to("run", "--json").document
    assert (ran["opted_out"], ran["warnings"], ran["counts"]["sent"]) == (1, [], 1)
    assert [mail.rcpt_to for mail in sandbox.received()].count(("ann@one.example",)) == 1
    assert written_to("run", "--json").document["opted_out"] == 0
    unsubscribes(sending_home, sandbox, "bob")
    assert written_to("run").out.splitlines() == ["nothing to do", "1 person opted out by mail"]


def test_a_send_that_waits_reads_the_mail_first(
    written_to: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    unsubscribes(sending_home, sandbox, "ann")
    told = written_to("campaign", "start", 2, "--wait", "--yes").out
    assert "sent 1  suppressed 1" in told and "  1 person opted out by mail\n" in told


@pytest.mark.parametrize("verb", [("campaign", "start", 2, "--wait", "--yes"), ("run",)])
def test_an_opt_out_that_comes_while_mail_goes_out_is_heard_before_the_next_message(
    written_to: CommandLine,
    sending_home: Path,
    sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
    verb: tuple[str | int, ...],
) -> None:
    monkeypatch.setattr(listening, "HEAR_EVERY_S", 0.02)
    monkeypatch.setattr(listening, "FRESH_S", 0.0)
    with_mailbox(sending_home, sandbox)
    if verb == ("run",):
        written_to("campaign", "start", 2, "--yes")
    run = Outbox.run

    async def run_when_ann_has_left(outbox: Outbox, **options: Any) -> RunReport:
        await asyncio.to_thread(unsubscribes, sending_home, sandbox, "ann")
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(suppressed, sending_home):
                await asyncio.sleep(0.01)
        return await run(outbox, **options)

    monkeypatch.setattr(Outbox, "run", run_when_ann_has_left)
    document = written_to(*verb, "--json").document
    ran = document if verb == ("run",) else document["run"]
    assert (ran["opted_out"], ran["warnings"], ran["counts"]) == (1, [], {"sent": 1, "suppressed": 1})


def test_a_mailbox_that_is_down_is_a_warning_and_the_mail_goes(
    written_to: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    sandbox.set_faults([Fault("connect", "refuse", server="imap")])
    written_to("campaign", "start", 2, "--yes")
    ran = written_to("run", "--json").document
    assert (ran["status"], ran["counts"], ran["opted_out"]) == ("done", {"sent": 2}, 0)
    [warning] = ran["warnings"]
    assert warning.startswith("Not all mail could be read for opt-outs: inbox")
    assert f"▲ {warning.partition(':')[0]}" in written_to("run").out


def test_a_dry_run_says_which_mail_would_be_read_first_and_reads_none(
    written_to: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    assert "would be read" not in written_to("run", "--dry-run").out
    with_mailbox(sending_home, sandbox)
    unsubscribes(sending_home, sandbox, "ann")
    written_to("campaign", "start", 2, "--yes")
    told = written_to("run", "--dry-run").out.splitlines()
    assert told[0] == "First the mail in inbox would be read: who opts out there gets nothing more."
    assert told[1].startswith("2 messages are due")
    assert written_to("run", "--dry-run", "--json").document["reading"] == ["inbox"]
    assert written_to("suppression", "list", "--json").document == []
