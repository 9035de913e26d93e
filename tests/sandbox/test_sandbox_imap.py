"""The faults of the mailbox."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import time

import pytest

from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox

PATIENCE_S = 10.0


def connect(sandbox: RunningSandbox, timeout: float = PATIENCE_S) -> imaplib.IMAP4:
    return imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=timeout)


def test_it_can_refuse_and_come_back_on_its_port(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("connect", "refuse", server="imap")])
    with pytest.raises(ConnectionRefusedError):
        connect(sandbox)
    assert not sandbox.status().imap.listening

    sandbox.set_faults([])
    with connect(sandbox) as mailbox:
        assert mailbox.login(USER, PASSWORD)[0] == "OK"
        assert sandbox.status().imap.open == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("connect", "drop", server="imap"), (OSError, imaplib.IMAP4.abort)),
        (Fault("connect", "reply", server="imap", reply="* BYE too many connections"), imaplib.IMAP4.error),
        (Fault("connect", "hang", server="imap"), TimeoutError),
    ],
    ids=lambda value: getattr(value, "action", ""),
)
def test_the_greeting_may_be_missing(sandbox: RunningSandbox, fault: Fault, expected: type[Exception]) -> None:
    sandbox.set_faults([fault])

    with pytest.raises(expected):
        connect(sandbox, 0.2 if fault.action == "hang" else PATIENCE_S)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("auth", "drop", server="imap"), (OSError, imaplib.IMAP4.abort)),
        (Fault("auth", "hang", server="imap"), TimeoutError),
        (Fault("auth", "reply", server="imap", reply="NO [UNAVAILABLE] try later"), imaplib.IMAP4.error),
    ],
    ids=lambda value: getattr(value, "action", ""),
)
def test_a_login_may_fail_and_the_next_one_succeed(
    sandbox: RunningSandbox, fault: Fault, expected: type[Exception]
) -> None:
    sandbox.set_faults([fault])
    mailbox = connect(sandbox)
    mailbox.sock.settimeout(0.2 if fault.action == "hang" else PATIENCE_S)
    with pytest.raises(expected) as error:
        mailbox.login(USER, PASSWORD)
    if fault.action == "reply":
        assert "[UNAVAILABLE] try later" in str(error.value)
    mailbox.shutdown()

    sandbox.set_faults([])
    with connect(sandbox) as mailbox:
        assert mailbox.login(USER, PASSWORD)[0] == "OK"


@pytest.mark.parametrize("phase", ["connect", "auth"])
def test_a_slow_phase_only_takes_longer(sandbox: RunningSandbox, phase: str) -> None:
    sandbox.set_faults([Fault(phase, "slow", server="imap", seconds=0.05)])

    began = time.monotonic()
    with connect(sandbox) as mailbox:
        assert mailbox.login(USER, PASSWORD)[0] == "OK"
    assert time.monotonic() - began >= 0.05


def test_a_connection_that_hung_is_gone_with_its_client(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("connect", "hang", server="imap")])
    client = socket.create_connection((sandbox.imap.host, sandbox.imap.port), timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while sandbox.status().imap.open != 1:
        assert time.monotonic() < deadline
    client.close()
    while sandbox.status().imap.open:
        assert time.monotonic() < deadline


def copies_of(sandbox: RunningSandbox, message_id: str) -> int:
    with connect(sandbox) as mailbox:
        mailbox.login(USER, PASSWORD)
        mailbox.select("Sent", readonly=True)
        return len(mailbox.search(None, "HEADER", "Message-ID", message_id)[1][0].split())


def test_the_mail_servers_keep_a_copy_in_sent_of_what_they_accept_and_only_when_told(sandbox: RunningSandbox) -> None:
    def send(message_id: str, server: str = "smtp-a") -> None:
        with smtplib.SMTP(sandbox.smtp[server].host, sandbox.smtp[server].port, timeout=PATIENCE_S) as client:
            client.sendmail(USER, "zoe@atelier.example", f"Message-ID: <{message_id}>\r\n\r\nhello\r\n")

    send("before@example.com")
    sandbox.keep_copies()
    send("kept@example.com")
    send("too@example.com", "smtp-b")
    sandbox.set_faults([Fault("dot", "drop", times=1)])
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send("lost@example.com")
    sandbox.set_faults([Fault("dot", "reply", reply="451 4.3.0 later")])
    with pytest.raises(smtplib.SMTPDataError):
        send("refused@example.com")
    sandbox.reset()
    send("after@example.com")

    kept = {name: copies_of(sandbox, f"{name}@") for name in ("before", "kept", "too", "lost", "refused", "after")}
    assert kept == {"before": 0, "kept": 1, "too": 1, "lost": 1, "refused": 0, "after": 0}
