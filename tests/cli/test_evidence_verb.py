"""Messages that may or may not have gone: how the command line tells of them, and settles them by what was found."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from commandline import CommandLine, config_text, write_config

from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox

INBOX = """
[providers.inbox]
kind = "imap"
host = "127.0.0.1"
port = {port}
security = "none"
username = "{user}"
password = "{password}"
"""


def with_mailbox(home: Path, sandbox: RunningSandbox, password: str = PASSWORD) -> None:
    chained = config_text(sandbox).replace("[chains]", '[chains]\nreply_fetching = ["inbox"]')
    mailbox = INBOX.format(port=sandbox.imap.port, user=USER, password=password)
    write_config(home / "config.toml", chained + mailbox)


@pytest.fixture
def lost(aicmo: CommandLine, sending_home: Path, sandbox: RunningSandbox) -> CommandLine:
    """Two people got their message, and the server's last word about both was lost. No mailbox is configured yet."""
    sandbox.keep_copies()
    sandbox.set_faults([Fault("dot", "drop")])
    for name in ("ann", "bob"):
        aicmo("contact", "add", f"{name}@one.example")
    (sending_home / "body.md").write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "")
    assert aicmo("campaign", "start", 1, "--wait", "--yes", "--json", code=8).document["counts"]["unknown"] == 2
    sandbox.set_faults([])
    return aicmo


def test_a_send_that_waits_resolves_what_its_server_never_confirmed(
    aicmo: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    sandbox.keep_copies()
    sandbox.set_faults([Fault("dot", "drop", recipient="ann@*")])
    aicmo("contact", "add", "ann@one.example")
    aicmo("contact", "add", "bob@one.example")
    (sending_home / "body.md").write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "")
    sent = aicmo("campaign", "start", 1, "--wait", "--yes", "--json").document
    assert (sent["counts"]["sent"], sent["counts"]["unknown"]) == (2, 0)
    assert sent["run"]["counts"] == {"sent": 1, "unknown": 1}
    assert sent["run"]["evidence"] == {
        "asked": 1,
        "settled": 1,
        "left": 0,
        "looked_in": ["Sent of inbox"],
        "why_not": None,
    }


def test_a_tick_resolves_them_when_it_is_time(lost: CommandLine, sending_home: Path, sandbox: RunningSandbox) -> None:
    assert lost("run", "--json").document["evidence"]["why_not"].startswith("no mailbox is configured")
    with_mailbox(sending_home, sandbox)
    assert lost("run", "--dry-run", "--json").document["looking"] == 2
    assert lost("run").out == "nothing to do; 2 unknown went, as Sent of inbox shows\n"
    assert lost("campaign", "show", 1, "--json").document["counts"]["sent"] == 2
    assert lost("run", "--dry-run", "--json").document["looking"] == 0


def test_a_tick_ends_well_though_the_mailbox_is_down(
    lost: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    sandbox.set_faults([Fault("connect", "refuse", server="imap")])
    ran = lost("run", "--json").document
    assert ran["status"] == "done" and ran["evidence"]["left"] == 2
    assert ran["evidence"]["why_not"].startswith("inbox is left alone")  # the look for opt-outs found it down
    assert lost("campaign", "show", 1, "--json").document["counts"]["unknown"] == 2
    assert lost("campaign", "resolve", 1, "--evidence", "--json", code=7).document["resolved"] == 0


def test_resolving_by_evidence_tells_by_its_exit_code_what_came_of_it(
    lost: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    assert "no mailbox is configured" in lost("campaign", "resolve", 1, "--evidence", code=4).out
    with_mailbox(sending_home, sandbox, password="wrong")
    lost("campaign", "resolve", 1, "--evidence", code=4)
    lost("health", "--reset", "inbox", "--yes")
    with_mailbox(sending_home, sandbox)

    told = lost("campaign", "resolve", 1, "--evidence", "--email", "ANN@one.example", "--json").document
    assert (told["schema"], told["resolved"]) == ("aicmo.campaign.resolve/1", 1)
    assert (told["counts"]["sent"], told["counts"]["unknown"]) == (1, 1)
    lost("campaign", "resolve", 1, "--evidence", "--email", "ann@one.example", code=3)
    lost("campaign", "resolve", 1, "--as", "resend")
    sandbox.keep_copies(False)
    sandbox.set_faults([Fault("dot", "drop", recipient="bob@*")])
    ran = lost("run", "--json").document
    assert (ran["counts"]["unknown"], ran["evidence"]["settled"]) == (1, 1)  # the copy of the first is a copy of it
    assert lost("campaign", "resolve", 1, "--evidence", "--json").document["resolved"] == 0  # nothing to do
    lost("campaign", "resolve", 9, "--evidence", code=3)


def test_what_is_not_found_stays_unknown_and_needs_a_person(
    lost: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    with closing(sqlite3.connect(sending_home / "data" / "aicmo.db")) as db:
        db.execute("UPDATE delivery SET message_id = '<never@example.com>' WHERE address LIKE 'bob%'")
        db.commit()
    told = lost("campaign", "resolve", 1, "--evidence", code=8).out
    assert told.startswith("1 of 2 unknown found in Sent of inbox, INBOX of inbox: they went.\n")
    doubt = lost("campaign", "show", 1, "--json").document["doubt"]
    assert (doubt["count"], doubt["looked_in"], doubt["why_not"]) == (1, ["Sent of inbox", "INBOX of inbox"], None)
    shown = lost("campaign", "show", 1).out
    assert "they may or may not have gone" in shown and "which proves nothing" in shown
    assert "aicmo campaign resolve 1 --as sent|failed|resend" in shown
    lost("campaign", "resolve", 1, "--as", "failed")
    assert lost("campaign", "show", 1, "--json").document["doubt"] is None


def test_a_rehearsed_look_says_what_it_would_settle(
    lost: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    told = lost("campaign", "resolve", 1, "--evidence", "--dry-run", "--json").document
    assert (told["status"], told["resolved"], told["counts"]["unknown"]) == ("dry_run", 2, 2)
    shown = lost("campaign", "show", 1, "--json").document
    assert shown["counts"]["unknown"] == 2 and shown["doubt"]["looked_in"] == []


@pytest.mark.parametrize("words", [[], ["--as", "sent", "--evidence"]])
def test_a_word_or_evidence_is_asked_for_and_not_both(words: list[str], lost: CommandLine) -> None:
    assert "--as, or --evidence" in lost("campaign", "resolve", 1, *words, code=2).err


def test_two_processes_that_look_at_once_settle_each_once(
    lost: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    with_mailbox(sending_home, sandbox)
    words = ["campaign", "resolve", "1", "--evidence", "--json"]
    code = "import sys; from aicmo_tui.cli.verb import run_command; sys.exit(run_command(sys.argv[1:]))"
    both = [subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(each.communicate(timeout=60)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum(each["resolved"] for each in told) == 2
    assert lost("campaign", "show", 1, "--json").document["counts"]["sent"] == 2
