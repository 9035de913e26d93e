"""A database that was put back: what ``aicmo run`` says, and how a campaign of it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commandline import CommandLine

from aicmo.sandbox import RunningSandbox


@pytest.fixture
def put_back(aicmo: CommandLine, sending_home: Path, sandbox: RunningSandbox) -> CommandLine:
    """A campaign to two people was sent; then the database from before that was put in its place."""
    for name in ("ann", "bob"):
        aicmo("contact", "add", f"{name}@one.example")
    (sending_home / "body.md").write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "")
    aicmo("campaign", "start", 1, "--yes")
    (database,) = sending_home.rglob("aicmo.db")
    shutil.copy(database, sending_home / "backup")
    aicmo("run")
    assert len(sandbox.received()) == 2
    shutil.copy(sending_home / "backup", database)
    return aicmo


def test_a_dry_run_warns_and_leaves_everything_as_it_is(put_back: CommandLine, sending_home: Path) -> None:
    before = sorted(path.name for path in sending_home.rglob("*"))
    document = put_back("run", "--dry-run", "--json").document
    assert "copied or restored" in document["warnings"][0]
    assert put_back("campaign", "show", 1, "--json").document["status"] == "running"
    assert sorted(path.name for path in sending_home.rglob("*")) == before


def test_a_run_pauses_it_says_so_once_and_ends_well(put_back: CommandLine, sandbox: RunningSandbox) -> None:
    document = put_back("run", "--json").document
    assert document["status"] == "done" and document["counts"] == {}
    assert "aicmo campaign resume ID" in document["warnings"][0]
    assert put_back("run", "--json").document["warnings"] == []
    shown = put_back("campaign", "show", 1, "--json").document
    assert shown["status"] == "paused" and "copied or restored" in shown["pause_reason"]
    assert len(sandbox.received()) == 2


def test_it_goes_on_only_when_a_person_agrees_who_was_told_what_nobody_knows(
    put_back: CommandLine, sandbox: RunningSandbox
) -> None:
    put_back("run")
    refused = put_back("campaign", "resume", 1, code=9)
    assert "Nobody could be asked: no mailbox is configured" in refused.err
    assert "2 go out when it goes on" in refused.err and "stays paused" in refused.err
    document = put_back("campaign", "resume", 1, "--yes", "--json").document
    assert document["status"] == "running"
    assert (document["evidence"]["settled"], document["evidence"]["left"]) == (0, 2)
    put_back("run")
    assert len(sandbox.received()) == 4, "the person took it on themselves"
    assert len({mail.message_id for mail in sandbox.received()}) == 2, "under the same Message-IDs"


def test_one_that_was_paused_before_its_time_goes_back_to_it_and_sends_nothing_before(
    aicmo: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    aicmo("contact", "add", "ann@one.example")
    (sending_home / "body.md").write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "")
    at = aicmo("campaign", "start", 1, "--at", "+5h", "--yes", "--json").document["scheduled_at"]
    assert "not begun; it was to begin" in aicmo("campaign", "pause", 1).out
    assert aicmo("campaign", "resume", 1, "--dry-run", "--json").document["becomes"] == "scheduled"
    resumed = aicmo("campaign", "resume", 1, "--json").document
    assert (resumed["status"], resumed["scheduled_at"]) == ("scheduled", at)
    aicmo("run")
    assert sandbox.received() == []


def test_a_test_says_to_whom_it_went(aicmo: CommandLine, sending_home: Path, sandbox: RunningSandbox) -> None:
    aicmo("contact", "add", "ann@one.example")
    (sending_home / "body.md").write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "")
    mine = aicmo("campaign", "test", 1, "--json").document["to"]
    assert [mail.rcpt_to[0] for mail in sandbox.received()] == [mine]
    assert "sent to bob@two.example: " in aicmo("campaign", "test", 1, "--to", "bob@two.example").out
