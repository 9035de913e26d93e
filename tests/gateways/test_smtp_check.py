"""``SmtpProvider.check``: would this server serve us now? Asked without sending anything."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import serving
from smtp_server import DROP, HANG, ScriptedServer

from aicmo.errors import AuthNeeded
from aicmo.gateways import Applied, Attempt, Outcome
from aicmo.gateways.providers.smtp import SmtpProvider
from aicmo.gateways.smtp_settings import SmtpSettings


async def checked(server: ScriptedServer, *, secret: Any = None, **settings: Any) -> Attempt:
    async with serving(server):
        values: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "security": "none", "timeout_seconds": 1}
        provider = SmtpProvider("smtp-main", SmtpSettings(**{**values, **settings}), secret=secret)
        try:
            return await provider.check()
        finally:
            await provider.close()


async def test_a_check_says_hello_and_goodbye_and_sends_nothing() -> None:
    server = ScriptedServer()
    attempt = await checked(server)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.OK, Applied.NO, "ehlo")
    assert server.seen == ["EHLO [127.0.0.1]", "QUIT"]


async def test_a_check_logs_in_where_a_user_name_is_set() -> None:
    server = ScriptedServer()
    attempt = await checked(server, username="ada", secret=lambda: "right")
    assert (attempt.outcome, attempt.phase) == (Outcome.OK, "auth")
    assert any(line.startswith("AUTH") for line in server.seen)


async def test_a_refused_password_is_told_and_never_shown() -> None:
    server = ScriptedServer({"auth": "535 5.7.8 not canary"})
    attempt = await checked(server, username="ada", secret=lambda: "canary")
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "auth")
    assert attempt.code == "535 5.7.8" and "canary" not in attempt.detail


async def test_a_password_that_is_not_there_is_a_matter_of_credentials() -> None:
    def nothing() -> str:
        raise AuthNeeded("No password for smtp-main.")

    attempt = await checked(ScriptedServer(), username="ada", secret=nothing)
    assert attempt.outcome is Outcome.AUTH and "No password" in attempt.detail


@pytest.mark.parametrize("answer", [DROP, HANG, "421 4.3.2 closing"])
@pytest.mark.parametrize("phase", ["connect", "ehlo"])
async def test_a_server_that_does_not_answer_is_the_servers_fault(phase: str, answer: str) -> None:
    attempt = await checked(ScriptedServer({phase: answer}), timeout_seconds=0.1)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, phase)
    assert attempt.detail
