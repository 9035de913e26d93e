"""The SMTP adapter against a server that does what a script says."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loopback import serving
from smtp_server import DROP, HANG, ScriptedServer

from aicmo.errors import AuthNeeded, StoreError
from aicmo.gateways import Applied, Attempt, NotNow, Outcome, OutgoingMail
from aicmo.gateways.providers.smtp import SmtpProvider
from aicmo.gateways.smtp_settings import SmtpSettings

RAW = b"Subject: hello\r\n\r\nDear Ada,\r\n"
MAIL = OutgoingMail("news@example.com", "ada@example.net", RAW)


async def at_once() -> None:
    """A ledger that has nothing to write."""


@asynccontextmanager
async def provider_for(server: ScriptedServer, **settings: Any) -> AsyncIterator[SmtpProvider]:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "timeout_seconds": 5,
        "final_reply_seconds": 5,
    }
    secret = settings.pop("secret", None)
    provider = SmtpProvider("smtp-main", SmtpSettings(**{**values, **settings}), secret=secret)
    try:
        yield provider
    finally:
        await provider.close()


async def send_to(
    server: ScriptedServer,
    mail: OutgoingMail = MAIL,
    before_body: Callable[[], Awaitable[None]] = at_once,
    **settings: Any,
) -> Attempt:
    async with serving(server), provider_for(server, **settings) as provider:
        return await provider.send(mail, before_body=before_body)


async def test_a_mail_is_delivered_as_given_and_the_queue_id_is_kept() -> None:
    server = ScriptedServer()
    attempt = await send_to(server)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.OK, Applied.YES, "reply")
    assert (attempt.code, attempt.reference) == ("250 2.0.0", "4ABC12")
    assert server.delivered == [RAW]
    assert server.seen == [
        "EHLO [127.0.0.1]",
        f"MAIL FROM:<news@example.com> SIZE={len(RAW)}",
        "RCPT TO:<ada@example.net>",
        "DATA",
        "<body>",
        "<dot>",
        "QUIT",
    ]


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\n.\r\n..x\r\n", b"a\r\n..\r\n..\r\n...x\r\n"),
        (b"a.\r\nb .\r\n", b"a.\r\nb .\r\n"),
    ],
)
async def test_a_line_that_begins_with_a_dot_arrives_and_ends_nothing(body: bytes, sent: bytes) -> None:
    server = ScriptedServer()
    attempt = await send_to(server, OutgoingMail("a@example.com", "b@example.com", body))
    assert attempt.outcome is Outcome.OK
    assert server.delivered == [sent]


# --- how far it got decides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [DROP, HANG])
@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data"])
async def test_what_breaks_before_the_body_has_not_happened(phase: str, answer: str) -> None:
    server = ScriptedServer({phase: answer})
    attempt = await send_to(server, timeout_seconds=0.1)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, phase)
    assert "<body>" not in server.seen


async def test_a_refused_connection_has_not_happened() -> None:
    async with serving(ScriptedServer()) as server:
        pass
    async with provider_for(server) as provider:
        attempt = await provider.send(MAIL, before_body=at_once)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, "connect")
    assert attempt.detail


async def test_a_connection_lost_in_a_long_body_has_not_happened() -> None:
    server = ScriptedServer(drop_after_body_bytes=10)
    attempt = await send_to(server, OutgoingMail("a@example.com", "b@example.com", b"x" * 70 + b"\r\n" + RAW * 400_000))
    assert (attempt.outcome, attempt.applied, attempt.phase) == (
        Outcome.CONTENT,
        Applied.NO,
        "mail",
    )  # over SIZE: never begun
    server = ScriptedServer(drop_after_body_bytes=10, offers=("8BITMIME",))
    attempt = await send_to(server, OutgoingMail("a@example.com", "b@example.com", RAW * 400_000))
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, "body")
    assert not server.delivered


async def test_a_body_the_server_stops_reading_has_not_happened() -> None:
    server = ScriptedServer(early_answer="250-", offers=("8BITMIME",))  # never a complete answer
    async with serving(server), provider_for(server, timeout_seconds=0.2) as provider:
        attempt = await provider.send(
            OutgoingMail("a@example.com", "b@example.com", RAW * 400_000), before_body=at_once
        )
        server.released.set()
        await server.until(lambda: server.open_now == 0)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, "body")
    assert "<dot>" not in server.seen
    assert server.body_bytes < len(RAW) * 400_000  # what had not left by then never did


async def test_a_refusal_in_the_middle_of_the_body_is_heard_and_the_dot_never_sent() -> None:
    server = ScriptedServer(early_answer="552 5.3.4 Message too big for system", offers=("8BITMIME",))
    attempt = await send_to(server, OutgoingMail("a@example.com", "b@example.com", RAW * 400_000), timeout_seconds=0.2)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.CONTENT, Applied.NO, "body")
    assert (attempt.code, attempt.permanent) == ("552 5.3.4", True)
    assert "<dot>" not in server.seen


@pytest.mark.parametrize("answer", [DROP, HANG, "354 what?", "gibberish", "199 hm"])
async def test_what_breaks_after_the_dot_is_unknown(answer: str) -> None:
    server = ScriptedServer({"reply": answer})
    attempt = await send_to(server, final_reply_seconds=0.1)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AMBIGUOUS, Applied.UNKNOWN, "reply")
    assert server.delivered == [RAW] or not answer.startswith("<")


@pytest.mark.parametrize("answer", ["251 2.1.5 will forward", "250 ok"])
async def test_any_positive_answer_to_the_dot_means_it_happened(answer: str) -> None:
    attempt = await send_to(ScriptedServer({"reply": answer}))
    assert (attempt.outcome, attempt.applied) == (Outcome.OK, Applied.YES)


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "reply"])
async def test_421_means_not_now_and_not_here(phase: str) -> None:
    attempt = await send_to(ScriptedServer({phase: "421 4.3.2 shutting down"}))
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, phase)
    assert attempt.code == "421 4.3.2"


@pytest.mark.parametrize(
    ("phase", "answer", "outcome", "permanent"),
    [
        ("mail", "451 4.3.0 later", Outcome.TRANSIENT, False),
        ("mail", "550 5.4.5 Daily user sending limit exceeded", Outcome.QUOTA, False),
        ("rcpt", "450 4.2.0 Greylisted, try again in 300 seconds", Outcome.RECIPIENT, False),
        ("rcpt", "550 5.1.1 no such user", Outcome.RECIPIENT, True),
        ("rcpt", "554 5.7.1 blocked", Outcome.CONTENT, False),
        ("data", "451 4.3.0 later", Outcome.TRANSIENT, False),
        ("reply", "554 5.7.1 spam", Outcome.CONTENT, False),
        ("reply", "451 4.3.0 later", Outcome.TRANSIENT, False),
    ],
)
async def test_a_refusal_is_told_apart_by_phase_and_the_connection_lives_on(
    phase: str, answer: str, outcome: Outcome, permanent: bool
) -> None:
    server = ScriptedServer({phase: [answer]})
    async with serving(server), provider_for(server) as provider:
        refused = await provider.send(MAIL, before_body=at_once)
        following = await provider.send(MAIL, before_body=at_once)
    assert (refused.outcome, refused.applied, refused.phase) == (outcome, Applied.NO, phase)
    assert refused.permanent is permanent
    assert following.outcome is Outcome.OK
    assert server.connections == 1
    assert server.seen.count("RSET") == 1
    assert server.delivered == [RAW]
    assert (refused.retry_at is not None) == ("300 seconds" in answer)


async def test_a_server_that_accepts_before_the_end_leaves_it_unknown() -> None:
    server = ScriptedServer(early_answer="250 2.0.0 thanks, enough", offers=("8BITMIME",))
    attempt = await send_to(server, OutgoingMail("a@example.com", "b@example.com", RAW * 400_000), timeout_seconds=0.2)
    assert (attempt.outcome, attempt.applied) == (Outcome.AMBIGUOUS, Applied.UNKNOWN)


# --- the ledger's word ------------------------------------------------------------------------------------------------


async def test_no_byte_of_the_body_leaves_before_the_ledger_has_written() -> None:
    server, written, asked = ScriptedServer(), asyncio.Event(), asyncio.Event()

    async def slow_ledger() -> None:
        asked.set()
        await written.wait()
        server.note("<ledger>")

    async with serving(server), provider_for(server) as provider:
        sending = asyncio.create_task(provider.send(MAIL, before_body=slow_ledger))
        await asked.wait()
        await server.saw("DATA")
        for _ in range(100):  # every chance to leave too early
            await asyncio.sleep(0)
        assert "<body>" not in server.seen
        written.set()
        assert (await sending).outcome is Outcome.OK
    assert server.seen.index("<ledger>") < server.seen.index("<body>")


@pytest.mark.parametrize("error", [NotNow("paused"), StoreError("disk full"), OSError("no"), TimeoutError()])
@pytest.mark.parametrize("data_answer", ["354 go on", "451 4.3.0 later", DROP])
async def test_what_the_ledger_raises_comes_through_and_nothing_was_sent(error: Exception, data_answer: str) -> None:
    server = ScriptedServer({"data": [data_answer]})

    async def refusing() -> None:
        raise error

    async with serving(server), provider_for(server) as provider:
        with pytest.raises(type(error)) as raised:
            await provider.send(MAIL, before_body=refusing)
        assert raised.value is error
        assert "<body>" not in server.seen
        assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK
    assert server.delivered == [RAW]


async def test_a_ledger_that_is_cancelled_sends_nothing() -> None:
    server = ScriptedServer()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async with serving(server), provider_for(server) as provider:
        with pytest.raises(asyncio.CancelledError):
            await provider.send(MAIL, before_body=cancelled)
    assert "<body>" not in server.seen


@pytest.mark.parametrize(("phase", "mark"), [("rcpt", "RCPT"), ("data", "DATA"), ("reply", "<dot>")])
async def test_a_cancelled_send_closes_its_connection(phase: str, mark: str) -> None:
    server = ScriptedServer({phase: HANG})
    async with serving(server), provider_for(server) as provider:
        sending = asyncio.create_task(provider.send(MAIL, before_body=at_once))
        await server.saw(mark)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        server.released.set()
        server.script.clear()
        assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK
    assert server.connections == 2


# --- connections ------------------------------------------------------------------------------------------------------


async def test_one_connection_carries_many_mails() -> None:
    server = ScriptedServer()
    async with serving(server), provider_for(server) as provider:
        for _ in range(5):
            assert (await provider.send(MAIL, before_body=at_once)).applied is Applied.YES
    assert (server.connections, len(server.delivered)) == (1, 5)
    assert server.seen[-1] == "QUIT"


async def test_never_more_connections_than_configured() -> None:
    server = ScriptedServer()
    async with serving(server), provider_for(server, connections=3) as provider:
        attempts = await asyncio.gather(*(provider.send(MAIL, before_body=at_once) for _ in range(30)))
    assert {attempt.outcome for attempt in attempts} == {Outcome.OK}
    assert server.most_open <= 3
    assert len(server.delivered) == 30


async def test_a_connection_is_left_after_its_share_of_mails() -> None:
    server = ScriptedServer()
    async with serving(server), provider_for(server, messages_per_connection=2) as provider:
        for _ in range(4):
            await provider.send(MAIL, before_body=at_once)
    assert (server.connections, server.seen.count("QUIT")) == (2, 2)


async def test_a_connection_in_use_when_the_provider_closes_is_closed_after_it() -> None:
    server = ScriptedServer()
    written, asked = asyncio.Event(), asyncio.Event()

    async def slow_ledger() -> None:
        asked.set()
        await written.wait()

    async with serving(server), provider_for(server) as provider:
        sending = asyncio.create_task(provider.send(MAIL, before_body=slow_ledger))
        await asked.wait()
        await provider.close()
        written.set()
        assert (await sending).outcome is Outcome.OK
        await server.until(lambda: server.open_now == 0)
    assert server.seen[-1] == "QUIT"


async def test_a_drained_connection_holds_nothing_back() -> None:
    async with serving(ScriptedServer()) as server, provider_for(server) as provider:
        await provider.send(MAIL, before_body=at_once)
        connection = provider._pool.take()
        assert connection is not None
        assert connection._transport.get_write_buffer_limits() == (0, 0)  # type: ignore[attr-defined]
        await provider._pool.put(connection)


async def test_an_idle_connection_is_closed_with_a_farewell() -> None:
    server = ScriptedServer()
    async with serving(server), provider_for(server, idle_seconds=0.05) as provider:
        await provider.send(MAIL, before_body=at_once)
        await server.until(lambda: server.open_now == 0)
        assert server.seen[-1] == "QUIT"
        assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK


@pytest.mark.parametrize("farewell", [DROP, "421 4.4.2 idle too long"])
async def test_a_connection_that_died_while_idle_is_replaced_once(farewell: str) -> None:
    server = ScriptedServer({"mail": ["250 ok", farewell]})
    async with serving(server), provider_for(server) as provider:
        first = await provider.send(MAIL, before_body=at_once)
        second = await provider.send(MAIL, before_body=at_once)
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK)
    assert (server.connections, len(server.delivered)) == (2, 2)


async def test_a_fresh_connection_that_dies_is_not_replaced_again() -> None:
    server = ScriptedServer({"mail": ["250 ok", DROP, DROP]})
    async with serving(server), provider_for(server) as provider:
        await provider.send(MAIL, before_body=at_once)
        attempt = await provider.send(MAIL, before_body=at_once)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, "mail")
    assert server.connections == 2


# --- what may not be sent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mail",
    [
        OutgoingMail("a@example.com", "b@example.com\r\nRCPT TO:<c@example.com>", RAW),
        OutgoingMail("a@example.com", "b@example.com> NOTIFY=NEVER <c", RAW),
        OutgoingMail("a@example.com\n", "b@example.com", RAW),
        OutgoingMail("a@example.com", "b c@example.com", RAW),
        OutgoingMail("a@example.com", "\ud800@example.com", RAW),
        OutgoingMail("a@example.com", "", RAW),
        OutgoingMail("a@example.com", "nobody", RAW),
        OutgoingMail("a@example.com", "b" * 250 + "@example.com", RAW),
        OutgoingMail("a@example.com", "b@example.com", RAW + b"x\n.\nMAIL FROM:<evil@example.com>\r\n"),
        OutgoingMail("a@example.com", "b@example.com", RAW + b"x\r.\r\n"),
        OutgoingMail("a@example.com", "b@example.com", b"no end of line"),
    ],
)
async def test_an_envelope_or_body_that_could_be_read_otherwise_is_not_sent(mail: OutgoingMail) -> None:
    server = ScriptedServer()
    attempt = await send_to(server, mail)
    assert (attempt.outcome, attempt.applied) == (Outcome.INPUT, Applied.NO)
    assert server.connections == 0
    assert attempt.detail.isprintable()


@pytest.mark.parametrize(
    ("offers", "outcome", "line"),
    [
        (("8BITMIME",), Outcome.RECIPIENT, None),
        (("8BITMIME", "SMTPUTF8"), Outcome.OK, "MAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8"),
    ],
)
async def test_an_address_outside_ascii_needs_a_server_that_takes_it(
    offers: tuple[str, ...], outcome: Outcome, line: str | None
) -> None:
    server = ScriptedServer(offers=offers)
    attempt = await send_to(server, OutgoingMail("a@example.com", "zoë@example.com", "Subject: ë\r\n\r\n".encode()))
    assert (attempt.outcome, attempt.permanent) == (outcome, outcome is Outcome.RECIPIENT)
    assert line is None or line in server.seen
    assert line is None or "RCPT TO:<zoë@example.com>" in server.seen


# --- secrets and encryption -------------------------------------------------------------------------------------------


async def test_the_server_is_told_the_password_and_nobody_else_is() -> None:
    server = ScriptedServer()
    attempt = await send_to(server, username="ada", secret=lambda: "s3cret")
    assert attempt.outcome is Outcome.OK
    said = [line.removeprefix("AUTH PLAIN ") for line in server.seen if line.startswith("AUTH")]
    assert [base64.b64decode(it) for it in said] == [b"\0ada\0s3cret"]
    assert "s3cret" not in repr((attempt, SmtpSettings(host="x", password="s3cret")))  # type: ignore[arg-type]


async def test_a_refused_password_is_tried_once_and_never_echoed() -> None:
    echo = base64.b64encode(b"\0ada\0s3cret").decode()
    server = ScriptedServer({"auth": f"535 5.7.8 s3cret is wrong, you sent {echo}"})
    attempt = await send_to(server, username="ada", secret=lambda: "s3cret")
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "auth")
    assert "s3cret" not in repr(attempt)
    assert echo not in repr(attempt)
    assert sum(line.startswith("AUTH") for line in server.seen) == 1


async def test_connections_that_open_together_ask_for_the_password_once_and_again_when_it_was_refused() -> None:
    asked: list[str] = []

    def secret() -> str:
        asked.append("asked")
        return f"s3cret{len(asked)}"

    server = ScriptedServer({"auth": ["535 5.7.8 s3cret1 is wrong"]})
    async with serving(server), provider_for(server, username="ada", secret=secret, connections=5) as provider:
        refused = await provider.send(MAIL, before_body=at_once)
        await asyncio.gather(*(provider.send(MAIL, before_body=at_once) for _ in range(5)))
    assert (refused.outcome, len(server.delivered), len(asked)) == (Outcome.AUTH, 5, 2)
    assert "s3cret" not in repr(refused)


async def test_a_passing_failure_of_the_login_is_not_a_wrong_password() -> None:
    attempt = await send_to(ScriptedServer({"auth": "454 4.7.0 later"}), username="ada", secret=lambda: "s3cret")
    assert (attempt.outcome, attempt.phase) == (Outcome.TRANSIENT, "auth")


async def test_a_missing_password_is_told_as_the_secret_store_tells_it() -> None:
    def missing() -> str:
        raise AuthNeeded("No password for smtp-main.")

    attempt = await send_to(ScriptedServer(), username="ada", secret=missing)
    assert (attempt.outcome, attempt.applied, attempt.detail) == (
        Outcome.AUTH,
        Applied.NO,
        "No password for smtp-main.",
    )


async def test_a_password_is_not_sent_unencrypted_to_another_machine() -> None:
    asked: list[str] = []

    def secret() -> str:
        asked.append("asked")
        return "s3cret"

    settings = SmtpSettings(host="smtp.example.com", security="none", username="ada")
    provider = SmtpProvider("smtp-main", settings, secret=secret)
    attempt = await provider.send(MAIL, before_body=at_once)
    assert (attempt.outcome, attempt.applied, asked) == (Outcome.AUTH, Applied.NO, [])
    assert "encryption" in attempt.detail


async def test_a_server_without_starttls_gets_nothing() -> None:
    server = ScriptedServer()
    attempt = await send_to(server, security="starttls", username="ada", secret=lambda: "s3cret")
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "starttls")
    assert server.seen == ["EHLO [127.0.0.1]"]


def test_the_fingerprint_changes_with_the_password_and_the_address_and_betrays_neither() -> None:
    def fingerprint(host: str, password: str) -> str:
        return SmtpProvider("x", SmtpSettings(host=host, username="ada"), secret=lambda: password).fingerprint()

    assert fingerprint("a.example", "s3cret") == fingerprint("a.example", "s3cret")
    assert (
        len({fingerprint("a.example", "s3cret"), fingerprint("b.example", "s3cret"), fingerprint("a.example", "other")})
        == 3
    )
    assert len(fingerprint("a.example", "s3cret").partition("-")[2]) == 4
