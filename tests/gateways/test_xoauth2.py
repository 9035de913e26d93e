"""SMTP with an access token in place of a password."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from fakes import ManualClock
from loopback import serving
from smtp_server import ScriptedServer
from test_smtp import MAIL, at_once, send_to

from aicmo.gateways import Applied, Outcome
from aicmo.gateways.providers.smtp import SmtpProvider
from aicmo.gateways.sasl import as_echoed
from aicmo.gateways.smtp_login import TOKEN_FRESH_S
from aicmo.gateways.smtp_settings import SmtpSettings

OFFERS = ("SIZE 1000000", "AUTH PLAIN LOGIN XOAUTH2")


def token_settings(server: ScriptedServer, **more: Any) -> SmtpSettings:
    return SmtpSettings(
        host="127.0.0.1", port=server.port, security="none", username="ada", auth="xoauth2", timeout_seconds=5, **more
    )


async def test_the_token_is_shown_as_the_protocol_wants_it() -> None:
    server = ScriptedServer(offers=OFFERS)
    attempt = await send_to(server, username="ada", auth="xoauth2", secret=lambda: "t0ken")
    assert attempt.outcome is Outcome.OK
    (said,) = [line.removeprefix("AUTH XOAUTH2 ") for line in server.seen if line.startswith("AUTH")]
    assert base64.b64decode(said) == b"user=ada\1auth=Bearer t0ken\1\1"


async def test_a_password_is_never_sent_as_a_token_nor_a_token_as_a_password() -> None:
    server = ScriptedServer(offers=("AUTH PLAIN LOGIN",))
    attempt = await send_to(server, username="ada", auth="xoauth2", secret=lambda: "t0ken")
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert "fits auth xoauth2" in attempt.detail
    server = ScriptedServer(offers=("AUTH XOAUTH2",))
    attempt = await send_to(server, username="ada", secret=lambda: "s3cret")
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert not any(line.startswith("AUTH") for line in server.seen)


async def test_a_refused_token_is_tried_once_explained_and_never_echoed() -> None:
    why = base64.b64encode(b'{"status":"401"}').decode()
    echo = base64.b64encode(b"user=ada\1auth=Bearer t0ken\1\1").decode()
    server = ScriptedServer({"auth": [f"334 {why}", f"535 5.7.8 t0ken is no good, you sent {echo}"]}, offers=OFFERS)
    attempt = await send_to(server, username="ada", auth="xoauth2", secret=lambda: "t0ken")
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "auth")
    assert "t0ken" not in repr(attempt) and echo not in repr(attempt)
    assert sum(line.startswith("AUTH") for line in server.seen) == 1


async def test_a_token_is_asked_for_again_before_it_can_have_run_out() -> None:
    clock, asked = ManualClock(), []

    def token() -> str:
        asked.append("asked")
        return f"t0ken{len(asked)}"

    async with serving(ScriptedServer(offers=OFFERS)) as server:
        provider = SmtpProvider("g", token_settings(server, connections=5), secret=token, clock=clock)
        await asyncio.gather(*(provider.send(MAIL, before_body=at_once) for _ in range(5)))
        assert len(asked) == 1
        await provider.close()
        clock.advance(TOKEN_FRESH_S)
        assert (await provider.check()).outcome is Outcome.OK
        await provider.close()
    assert len(asked) == 2
    assert base64.b64decode(server.seen[-2].split(" ")[-1]) == b"user=ada\1auth=Bearer t0ken2\1\1"


@pytest.mark.parametrize("form", as_echoed("ada", ["t0ken"]))
def test_every_form_of_a_secret_holds_it(form: str) -> None:
    assert b"t0ken" in (form.encode() if form == "t0ken" else base64.b64decode(form))
