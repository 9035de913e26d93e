from __future__ import annotations

import smtplib
import socket
import ssl
import time

import pytest

from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox

TO = "zoe@atelier.example"
MESSAGE = b"Message-ID: <1@example.com>\r\nSubject: hello\r\n\r\n" + b"A line of the body.\r\n" * 20
DATA = b"DATA\r\n"

# What a client says in each phase; connect says nothing.
SAID = {
    "connect": b"",
    "ehlo": b"EHLO client.example\r\n",
    "auth": b"AUTH PLAIN AGFkYUBleGFtcGxlLmNvbQBzYW5kYm94\r\n",
    "mail": b"MAIL FROM:<ada@example.com>\r\n",
    "rcpt": b"RCPT TO:<%s>\r\n" % TO.encode(),
    "data": DATA,
    "dot": MESSAGE + b".\r\n",
}
LOST, SILENT, REFUSED = "lost", "silent", "refused"
PATIENCE_S = 10.0


def converse(port: int, *, hurried_at: str = "", said: dict[str, bytes] = SAID) -> tuple[str, str]:
    """Say everything, and return the last phase with its answer: a reply, LOST, SILENT or REFUSED.

    It stops at the first answer that is no success. Nothing is silent before ``PATIENCE_S``, except in the phase
    ``hurried_at``.
    """
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    except ConnectionRefusedError:
        return "connect", REFUSED
    except ConnectionResetError:  # the cut may come before the handshake is told to the client
        return "connect", LOST
    answer = ""
    with connection, connection.makefile("rb") as replies:
        for phase, words in said.items():
            connection.settimeout(0.2 if phase == hurried_at else PATIENCE_S)
            try:
                connection.sendall(words)
                while (line := replies.readline())[3:4] == b"-":
                    pass
            except TimeoutError:
                return phase, SILENT
            except ConnectionError:
                return phase, LOST
            answer = line.decode().strip() or LOST
            if answer[0] not in "23":
                return phase, answer
    return phase, answer


BUSY = "451 4.7.1 try later"
GONE = "421 4.3.2 shutting down"

# (what happens; the phase the client gets to, its answer there; whether the message is recorded as delivered)
TABLE: list[tuple[Fault, str, str, bool]] = [
    (Fault("connect", "refuse"), "connect", REFUSED, False),
    (Fault("connect", "drop"), "connect", LOST, False),
    (Fault("connect", "reply", reply=GONE), "connect", GONE, False),
    (Fault("connect", "hang"), "connect", SILENT, False),
    (Fault("dot", "drop"), "dot", LOST, True),
    (Fault("dot", "hang"), "dot", SILENT, True),
    (Fault("dot", "reply", reply=BUSY), "dot", BUSY, False),
    (Fault("dot", "reply", reply="554 5.7.1 spam"), "dot", "554 5.7.1 spam", False),
    (Fault("dot", "reply", reply="250 fine"), "dot", "250 fine", True),
    # The client's words are gone before the server can cut them, so it learns of the cut at the dot.
    (Fault("body", "drop"), "dot", LOST, False),
    (Fault("body", "drop", body_bytes=0), "dot", LOST, False),
    (Fault("body", "drop", body_bytes=10**6), "dot", LOST, False),
    (Fault("body", "hang"), "dot", SILENT, False),
    (Fault("body", "reply", reply=GONE, body_bytes=10**6), "dot", GONE, False),
]
for _phase in ("ehlo", "auth", "mail", "rcpt", "data"):
    TABLE += [
        (Fault(_phase, "drop"), _phase, LOST, False),
        (Fault(_phase, "reply", reply=BUSY), _phase, BUSY, False),
        (Fault(_phase, "reply", reply=GONE), _phase, GONE, False),
        (Fault(_phase, "hang"), _phase, SILENT, False),
    ]


@pytest.mark.parametrize(
    ("fault", "phase", "answer", "recorded"),
    TABLE,
    ids=[f"{f.phase}-{f.action}-{f.reply[:3]}-{f.body_bytes}" for f, *_ in TABLE],
)
def test_a_fault_looks_as_the_table_says(
    sandbox: RunningSandbox, fault: Fault, phase: str, answer: str, recorded: bool
) -> None:
    sandbox.set_faults([fault])

    got = converse(sandbox.smtp["smtp-a"].port, hurried_at=phase if fault.action == "hang" else "")

    assert got == (phase, answer)
    assert len(sandbox.received()) == recorded


@pytest.mark.parametrize("phase", ["connect", "ehlo", "auth", "mail", "rcpt", "data", "body", "dot"])
def test_a_slow_phase_only_takes_longer(sandbox: RunningSandbox, phase: str) -> None:
    sandbox.set_faults([Fault(phase, "slow", seconds=0.05)])

    began = time.monotonic()
    _, answer = converse(sandbox.smtp["smtp-a"].port)

    assert answer.startswith("250 2.0.0 queued as ")
    assert time.monotonic() - began >= 0.05
    assert [mail.raw for mail in sandbox.received()] == [MESSAGE]


@pytest.mark.parametrize("cut", range(len(MESSAGE) - 8, len(MESSAGE) + 4))
def test_a_body_read_in_two_pieces_is_whole_wherever_it_is_cut(sandbox: RunningSandbox, cut: int) -> None:
    sandbox.set_faults([Fault("body", "slow", body_bytes=cut)])

    converse(sandbox.smtp["smtp-a"].port)

    assert [mail.raw for mail in sandbox.received()] == [MESSAGE]


def test_without_a_fault_the_message_is_recorded_with_what_the_reply_said(sandbox: RunningSandbox) -> None:
    _, answer = converse(sandbox.smtp["smtp-b"].port)

    [mail] = sandbox.received()
    assert answer == f"250 2.0.0 queued as {mail.queue_id}"
    assert (mail.server, mail.mail_from, mail.rcpt_to) == ("smtp-b", "ada@example.com", (TO,))
    assert (mail.message_id, mail.size, mail.raw) == ("<1@example.com>", len(MESSAGE), MESSAGE)


def test_a_fault_on_one_recipient_leaves_the_others(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("rcpt", "reply", reply="550 5.1.1 nobody", recipient="bad*")])

    with smtplib.SMTP("127.0.0.1", sandbox.smtp["smtp-a"].port, timeout=PATIENCE_S) as client:
        refused = client.sendmail(USER, ["good@x.example", "bad@x.example"], MESSAGE)

    assert refused == {"bad@x.example": (550, b"5.1.1 nobody")}
    assert [mail.rcpt_to for mail in sandbox.received()] == [("good@x.example",)]


def test_a_fault_with_times_ends_by_itself(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("mail", "drop", server="smtp-a", times=2)])

    ends = [converse(sandbox.smtp["smtp-a"].port)[0] for _ in range(3)]

    assert ends == ["mail", "mail", "dot"]
    assert sandbox.status().faults == ()


def test_one_server_can_refuse_while_the_other_serves(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("connect", "refuse", server="smtp-a")])

    assert converse(sandbox.smtp["smtp-a"].port) == ("connect", REFUSED)
    assert converse(sandbox.smtp["smtp-b"].port)[0] == "dot"


def test_a_server_that_refused_for_a_while_comes_back_on_its_port(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("connect", "refuse", until_s=0.2)])
    assert converse(sandbox.smtp["smtp-a"].port) == ("connect", REFUSED)

    deadline = time.monotonic() + PATIENCE_S
    while converse(sandbox.smtp["smtp-a"].port)[0] == "connect":
        assert time.monotonic() < deadline

    assert sandbox.received()


def test_a_connection_carries_many_messages(sandbox: RunningSandbox) -> None:
    with smtplib.SMTP("127.0.0.1", sandbox.smtp["smtp-a"].port, timeout=PATIENCE_S) as client:
        for number in range(5):
            client.sendmail(USER, f"p{number}@x.example", MESSAGE)

    assert [mail.rcpt_to for mail in sandbox.received()] == [(f"p{number}@x.example",) for number in range(5)]
    assert len({mail.peer_port for mail in sandbox.received()}) == 1


@pytest.mark.parametrize(
    "message",
    [b"", b"\r\n", b".\r\n", b"..\r\n", b"a\r\n.b\r\n..\r\n", b"a\n.\nb\r\n", b"no end." * 30_000 + b"\r\n"],
    ids=lambda message: repr(message[:12]),
)
def test_a_body_arrives_byte_for_byte(sandbox: RunningSandbox, message: bytes) -> None:
    stuffed = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in message.split(b"\r\n")[:-1])

    converse(sandbox.smtp["smtp-a"].port, said={**SAID, "dot": stuffed + b".\r\n"})

    assert [mail.raw for mail in sandbox.received()] == [message]


def test_what_follows_the_dot_at_once_is_the_next_command(sandbox: RunningSandbox) -> None:
    said = {**SAID, "dot": MESSAGE + b".\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"}
    said |= {"mail again": b"", "rcpt again": b"", "data again": b"", "dot again": b"x\r\n.\r\n"}

    converse(sandbox.smtp["smtp-a"].port, said=said)

    assert [(mail.mail_from, mail.raw) for mail in sandbox.received()] == [("ada@example.com", MESSAGE), ("", b"x\r\n")]


def test_an_unfinished_body_is_never_recorded(sandbox: RunningSandbox) -> None:
    converse(sandbox.smtp["smtp-a"].port, said={**SAID, "dot": MESSAGE}, hurried_at="dot")
    converse(sandbox.smtp["smtp-a"].port)

    assert len(sandbox.received()) == 1


@pytest.mark.parametrize(
    "rubbish",
    [b"\x00" * 5000 + b"\r\n", b"\xff\xfe\r\n", b"A" * 300_000, b"\r\n" * 50, b"MAIL FROM:<<<\r\nRCPT TO:\r\nDATA\r\n"]
    + [b"EHLO x\r\nMAIL FROM:" + junk + b"\r\n" for junk in (b"<", b"<@>", b'"', b"<a@b", b"(", b"<a b@c>", b"<a@[>")],
    ids=lambda rubbish: repr(rubbish[:32]),
)
def test_rubbish_harms_nobody_else(sandbox: RunningSandbox, rubbish: bytes) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.smtp["smtp-a"].port), timeout=PATIENCE_S) as vandal:
        vandal.sendall(rubbish)
        assert converse(sandbox.smtp["smtp-a"].port)[1].startswith("250 ")


def test_a_wrong_password_is_refused_and_none_is_needed(sandbox: RunningSandbox) -> None:
    with smtplib.SMTP("127.0.0.1", sandbox.smtp["smtp-a"].port, timeout=PATIENCE_S) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(USER, "wrong")
        client.login(USER, PASSWORD)
    with smtplib.SMTP("127.0.0.1", sandbox.smtp["smtp-a"].port, timeout=PATIENCE_S) as client:
        client.sendmail(USER, TO, MESSAGE)


@pytest.mark.parametrize(("phase", "recorded"), [("data", 0), ("dot", 1)])
def test_starttls_is_verifiable_and_has_the_same_faults(sandbox: RunningSandbox, phase: str, recorded: int) -> None:
    sandbox.set_faults([Fault(phase, "drop")])
    trusted = ssl.create_default_context(cafile=str(sandbox.certificate))

    client = smtplib.SMTP("localhost", sandbox.smtp["smtp-a"].port, timeout=PATIENCE_S)
    client.starttls(context=trusted)
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        client.sendmail(USER, TO, MESSAGE)
    client.close()

    assert len(sandbox.received()) == recorded
