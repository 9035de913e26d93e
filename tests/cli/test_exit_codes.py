"""The exit codes that scripts rely on, each brought about for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import CONFIG, CommandLine, config_text, write_config

from aicmo.publishing.sending.sender_lock import sender_lock
from aicmo.sandbox import Fault, RunningSandbox

PEOPLE = "email,tags\nann@one.example,all\nbob@one.example,all\n"


@pytest.fixture
def ready(aicmo: CommandLine, sending_home: Path) -> CommandLine:
    """Two people and a campaign to both of them, not yet approved."""
    people, body = sending_home / "people.csv", sending_home / "body.md"
    people.write_text(PEOPLE)
    body.write_text("Hello\n")
    aicmo("contact", "import", people)
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", body)
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "tag:all")
    return aicmo


def test_0_done(ready: CommandLine) -> None:
    sent = ready("campaign", "start", 1, "--wait", "--yes", "--json").document
    assert sent["status"] == "finished"
    assert sent["counts"]["sent"] == sent["counts"]["audience"] == 2


def test_0_nothing_to_do(aicmo: CommandLine) -> None:
    assert aicmo("run", "--json").document["status"] == "done"


def test_1_unexpected(aicmo: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicmo.crm.CRMRepository.count", lambda self, query: {}["no such key"])
    assert aicmo("contact", "count", "--json", code=1).error["code"] == "unexpected"


@pytest.mark.parametrize(
    "words",
    [["bogus"], ["contact", "bogus"], ["contact", "show"], ["--bogus"], ["run", "x"], ["campaign", "show", "9" * 20]],
)
def test_2_usage(words: list[str], aicmo: CommandLine) -> None:
    answer = aicmo(*words, code=2)
    assert answer.out == "" and "--help" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["contact", "show", "nobody@one.example"],
        ["campaign", "show", "7"],
        ["campaign", "pause", "7"],
        ["campaign", "deliveries", "7"],
        ["campaign", "preview", "7"],
        ["content", "show", "7"],
        ["content", "preview", "7"],
        ["content", "versions", "7"],
        ["content", "settle", "7"],
        ["campaign", "create", "--name", "N", "--content", "7", "--to", "tag:x"],
        ["content", "create", "--title", "T", "--body", "/no/such/file"],
        ["contact", "import", "no-such-file.csv"],
        ["suppression", "remove", "nobody@one.example"],
    ],
)
def test_3_not_found(words: list[str], aicmo: CommandLine) -> None:
    error = aicmo(*words, "--json", code=3).error
    assert error["code"] == "not_found" and error["message"] and not error["retryable"]


def test_4_the_servers_refuse_the_password(ready: CommandLine, sandbox: RunningSandbox, sending_home: Path) -> None:
    sandbox.set_faults([Fault("auth", "reply", reply="535 5.7.8 no")])
    text = config_text(sandbox).replace("connections", 'username = "ada"\npassword = "wrong"\nconnections')
    write_config(sending_home / "config.toml", text)
    answer = ready("campaign", "start", 1, "--wait", "--yes", "--json", code=4)
    counts = answer.document["counts"]
    assert counts["queued"] + counts["deferred"] == 2
    assert sandbox.received() == []


def test_5_partly_failed(ready: CommandLine, sandbox: RunningSandbox, sending_home: Path) -> None:
    (sending_home / "bad.csv").write_text("email\nnobody\nfine@one.example\n")
    imported = ready("contact", "import", sending_home / "bad.csv", "--json", code=5).document
    assert imported["counts"]["rejected"] == 1 and imported["counts"]["created"] == 1
    sandbox.set_faults([Fault("rcpt", "reply", reply="550 5.1.1 no such user", recipient="bob@*")])
    sent = ready("campaign", "start", 1, "--wait", "--yes", "--json", code=5).document
    assert (sent["counts"]["sent"], sent["counts"]["failed"]) == (1, 1)


@pytest.mark.parametrize(
    "words",
    [
        ["contact", "list", "tag:"],
        ["contact", "list", 'a"b'],
        ["contact", "list", "--sort", "luck"],
        ["contact", "add", "no address"],
        ["contact", "tag", "tag:x"],
        ["campaign", "deliveries", "1", "--state", "lost"],
        ["campaign", "start", "1", "--at", "tomorrow"],
        ["campaign", "start", "1", "--at", "9999-12-31T23:59-14:00"],
        ["content", "create", "--title", "T", "--subject", "{{ broken", "--body", os.devnull],
    ],
)
def test_6_invalid(words: list[str], aicmo: CommandLine) -> None:
    error = aicmo(*words, "--json", code=6).error
    assert error["message"] and not error["retryable"]
    assert {"code", "hint"} < error.keys()


def test_6_a_campaign_that_may_not_start(aicmo: CommandLine, ready: CommandLine, sending_home: Path) -> None:
    write_config(sending_home / "config.toml", config_text().replace("1 Analytical Way, London", ""))
    assert ready("campaign", "check", 1, "--json", code=6).document["status"] == "refused"
    assert "postal" in ready("campaign", "start", 1, "--yes", "--json", code=6).error["message"]
    assert ready("campaign", "show", 1, "--json").document["status"] == "draft"


def test_7_nobody_can_send_now(ready: CommandLine, sending_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicmo_tui.cli.sending.PATIENCE_S", 0.0)
    write_config(sending_home / "config.toml", config_text())
    sent = ready("campaign", "start", 1, "--wait", "--yes", "--json", code=7).document
    assert sent["counts"]["sent"] == 0
    assert sent["counts"]["queued"] + sent["counts"]["deferred"] == 2
    assert sent["run"]["status"] == "waiting"
    assert ready("campaign", "test", 1, "--json", code=7).document["status"] == "failed"


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (Fault("mail", "reply", reply="535 5.7.8 not you"), 4, "failed"),
        (Fault("rcpt", "reply", reply="550 5.1.1 no such user"), 6, "failed"),
        (Fault("dot", "reply", reply="554 5.7.1 spam"), 6, "failed"),
        (Fault("connect", "drop"), 7, "failed"),
        (Fault("dot", "drop"), 8, "unknown"),
    ],
)
def test_a_test_message_tells_by_its_exit_code_what_came_of_it(
    fault: Fault, code: int, status: str, ready: CommandLine, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([fault])
    assert ready("campaign", "test", 1, "--json", code=code).document["status"] == status


def test_8_it_may_or_may_not_have_gone(ready: CommandLine, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("dot", "drop", recipient="bob@*")])
    sent = ready("campaign", "start", 1, "--wait", "--yes", "--json", code=8).document
    assert (sent["counts"]["sent"], sent["counts"]["unknown"]) == (1, 1)
    assert ready("campaign", "resolve", 1, "--as", "sent", "--json").document["counts"]["sent"] == 2


def test_9_nobody_agreed(ready: CommandLine, sandbox: RunningSandbox) -> None:
    ready("suppression", "add", "ann@one.example")
    for words in (
        ("campaign", "start", 1, "--wait"),
        ("contact", "tag", "tag:all", "--add", "x"),
        ("suppression", "remove", "ann@one.example"),
    ):
        error = ready(*words, "--json", code=9).error
        assert error["code"] == "approval_needed" and "--yes" in error["hint"]
    assert ready("campaign", "show", 1, "--json").document["status"] == "draft"
    assert sandbox.received() == []


def test_75_locked_only_where_that_was_asked_for(aicmo: CommandLine, home: Path) -> None:
    aicmo("contact", "count")
    with sender_lock(home / "data" / "sender.lock") as held:
        assert held
        locked = aicmo("run", "--json").document
        assert locked["status"] == "locked" and "sending" in locked["reason"]
        assert aicmo("run", "--fail-if-locked", "--json", code=75).document["status"] == "locked"


def test_130_interrupted(ready: CommandLine, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("rcpt", "hang")])
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from aicmo_tui.cli import main; main()",
            *"campaign start 1 --wait --yes --json".split(),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
    )
    while sandbox.status().smtp["smtp-a"].open < 2:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # a second one cuts off what hangs; two of the same could become one
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert b"Traceback" not in err
    counts = ready("campaign", "show", 1, "--json").document["counts"]
    assert counts["sent"] == 0 and counts["audience"] == 2


@pytest.mark.parametrize(("states", "code"), [((), 3), (("ok",), 0), (("down",), 1), (("down", "down"), 2)])
def test_health_speaks_the_dialect_of_monitoring_plugins(
    states: tuple[str, ...], code: int, ready: CommandLine, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 ok, 1 another than the first serves, 2 nobody does, 3 nothing is known."""
    monkeypatch.setattr("aicmo_tui.cli.sending.PATIENCE_S", 0.0)
    names = ("smtp-a", "smtp-b")
    sandbox.set_faults(
        [
            Fault("mail", "reply", server=name, reply="535 5.7.8 no")
            for name, state in zip(names, states, strict=False)
            if state == "down"
        ]
    )
    if states:
        ready("campaign", "start", 1, "--wait", "--yes", code=None)
    assert (
        ready("health", "--status", "--json", code=code).document["status"]
        == ["ok", "warning", "critical", "unknown"][code]
    )


def test_health_exits_3_whatever_keeps_it_from_knowing(
    aicmo: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aicmo("health", "--bogus", "--json", code=3).error["code"] == "usage"
    write_config(home / "config.toml", "[chains]\nemail_sendin = []\n")
    assert aicmo("health", code=3).out == ""
    assert aicmo("health", "--json", code=3).document["error"]["code"] == "config_invalid"
    write_config(home / "config.toml", CONFIG.partition("[chains]")[0])
    monkeypatch.setattr("aicmo.workspace.Workspace.health", lambda self: 1 / 0)
    assert aicmo("health", "--json", code=3).document["error"]["code"] == "unexpected"


def test_a_retryable_error_says_so(aicmo: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    monkeypatch.setattr("aicmo.store.database.BUSY_TIMEOUT_MS", 1)
    aicmo("contact", "count")
    other = sqlite3.connect(home / "data" / "aicmo.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = aicmo("contact", "add", "x@one.example", "--json", code=75).error
    other.close()
    assert error == {**error, "code": "store_locked", "retryable": True}
    assert json.dumps(error)
