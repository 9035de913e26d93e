from __future__ import annotations

import imaplib
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from email import message_from_bytes
from pathlib import Path

import pytest

from aicmo.errors import InvalidInput, NotFound, ProviderUnavailable
from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox, read_mail, start_sandbox


def test_the_parent_loads_none_of_the_servers() -> None:
    loaded = "import sys, aicmo.sandbox; print(sorted({'aiosmtpd', 'pymap', 'asyncio'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("how", ["standard input ends", "SIGTERM"])
def test_the_process_says_one_line_and_ends_with_0_when(how: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aicmo.sandbox", "--folder", str(tmp_path / "new")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        ready = json.loads(process.stdout.readline())
        # A connection that stands keeps nothing alive.
        with socket.create_connection((ready["smtp"]["smtp-a"]["host"], ready["smtp"]["smtp-a"]["port"]), timeout=10):
            if how == "SIGTERM":
                process.send_signal(signal.SIGTERM)
            else:
                process.stdin.close()
            assert process.wait(timeout=10) == 0
        assert process.stdout.read() == b""
    assert set(ready["smtp"]) == {"smtp-a", "smtp-b"}
    assert ready["folder"] == str(tmp_path / "new")


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = (
        "import os, sys, pathlib; from aicmo.sandbox import start_sandbox\n"
        "print(start_sandbox(pathlib.Path(sys.argv[1])).smtp['smtp-a'].port, flush=True); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", parent, str(tmp_path)], stdout=subprocess.PIPE, timeout=30)
    port = int(died.stdout)

    deadline = time.monotonic() + 10
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            with suppress(ConnectionResetError):  # Taken in while the port was closing.
                socket.create_connection(("127.0.0.1", port), timeout=10).close()


def test_a_fault_script_that_cannot_be_used_keeps_it_from_starting(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"phase": "tea", "action": "drop"}]')
    command = [
        sys.executable,
        "-m",
        "aicmo.sandbox",
        "--folder",
        str(tmp_path),
        "--faults",
        str(tmp_path / "faults.json"),
    ]

    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    assert (ended.returncode, ended.stdout) == (6, "")
    assert "tea" in ended.stderr and "Traceback" not in ended.stderr


def test_a_sandbox_that_does_not_come_up_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "people.csv").mkdir()

    with pytest.raises(ProviderUnavailable, match="did not start") as error:
        start_sandbox(tmp_path)

    assert "people.csv" in error.value.hint


def test_faults_given_at_the_start_hold_from_the_start(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, faults=[Fault("connect", "refuse", server="smtp-b")]) as sandbox:
        assert {name: server.listening for name, server in sandbox.status().smtp.items()} == {
            "smtp-a": True,
            "smtp-b": False,
        }
        assert sandbox.certificate is None
    sandbox.stop()  # A second time does nothing.
    assert sandbox.received() == []


def test_a_folder_where_no_sandbox_was_has_no_mail_to_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_mail(tmp_path)


def test_a_line_that_is_still_being_written_is_not_there_yet(tmp_path: Path) -> None:
    sent = {"mail_from": "", "rcpt_to": ["x@y.example"], "message_id": "", "size": 0, "offset": 0}
    kept = {"server": "smtp-a", "queue_id": "1", "at": "2026-01-01T00:00:00.000Z", "peer_port": 1}
    line = json.dumps(sent | kept) + "\n"
    (tmp_path / "mail.ndjson").write_text(line + line[:50])

    assert [mail.rcpt_to for mail in read_mail(tmp_path)] == [("x@y.example",)]


@pytest.mark.parametrize("order", [b"", b"{", b"[]", b'{"do": "dance"}', b'{"do": "faults"}', b"[" * 100_000, b"\xff"])
def test_an_order_it_cannot_follow_is_answered_not_obeyed(sandbox: RunningSandbox, order: bytes) -> None:
    where = sandbox._control
    with (
        socket.create_connection((where.host, where.port), timeout=10) as connection,
        connection.makefile("rwb") as lines,
    ):
        lines.write(order + b"\n")
        lines.flush()
        assert json.loads(lines.readline())["ok"] is False
    assert sandbox.status().received == 0


def test_rules_that_make_no_sense_leave_the_script_as_it_was(sandbox: RunningSandbox) -> None:
    with pytest.raises(InvalidInput):
        sandbox._order({"do": "faults", "rules": [{"phase": "tea", "action": "drop"}]})

    assert sandbox.status().faults == ()


def test_the_mailbox_holds_a_reply_a_bounce_and_an_absence_note(sandbox: RunningSandbox) -> None:
    with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10) as mailbox:
        mailbox.login(USER, PASSWORD)
        assert mailbox.select("INBOX", readonly=True) == ("OK", [b"3"])
        _, found = mailbox.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
        reply, bounce, away = [message_from_bytes(part[1]) for part in found if isinstance(part, tuple)]
        mailbox.select("Sent", readonly=True)  # where copies that other tests asked for may lie behind these
        _, found = mailbox.fetch("1:3", "(BODY.PEEK[])")
        sent = [message_from_bytes(part[1]) for part in found if isinstance(part, tuple)]

    assert reply["In-Reply-To"] == sent[0]["Message-ID"]
    assert bounce.get_content_type() == "multipart/report"
    assert away["Auto-Submitted"] == "auto-replied"
    assert len(sent) == 3


def test_a_wrong_password_does_not_open_the_mailbox(sandbox: RunningSandbox) -> None:
    with (
        imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10) as mailbox,
        pytest.raises(imaplib.IMAP4.error),
    ):
        mailbox.login(USER, "wrong")


def test_rubbish_does_not_close_the_mailbox_to_others(sandbox: RunningSandbox) -> None:
    where = (sandbox.imap.host, sandbox.imap.port)
    for rubbish in (b"\x00\xff\r\n" * 20, b"a LOGIN {99999999999}\r\n", b"a" * 200_000, b"a FETCH\r\n"):
        with socket.create_connection(where, timeout=10) as vandal, suppress(ConnectionError):
            vandal.sendall(rubbish)

    with imaplib.IMAP4(*where, timeout=10) as mailbox:
        assert mailbox.login(USER, PASSWORD)[0] == "OK"
