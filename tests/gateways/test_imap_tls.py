"""Encryption of the mailbox: who is trusted, and that nothing secret leaves before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from imap_server import UNFINISHED, ScriptedMailbox
from loopback import serving
from test_imap import SECRET, provider_for
from test_smtp_tls import Certificate, _certificate

from aicmo.gateways import Attempt, Outcome


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return _certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture(scope="module")
def of_another(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return _certificate(tmp_path_factory.mktemp("tls"), "mail.example.com")


async def check(server: ScriptedMailbox, security: str, certificate: Certificate, **settings: Any) -> Attempt:
    if security == "starttls":
        server.tls = certificate.server
    async with serving(server, tls=certificate.server if security == "tls" else None):
        return await provider_for(server.port, security=security, **settings).check()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_proves_its_name_is_given_the_password(security: str, ours: Certificate) -> None:
    server = ScriptedMailbox()
    attempt = await check(server, security, ours, ca_file=ours.file)
    assert attempt.outcome is Outcome.OK, attempt
    assert any(SECRET in command for command in server.seen)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_large_mail_comes_through_whole(security: str, ours: Certificate) -> None:
    raw = bytes(range(256)) * 12_000
    server = ScriptedMailbox({1: raw, 2: b"small"}, tls=ours.server if security == "starttls" else None)
    async with serving(server, tls=ours.server if security == "tls" else None):
        answer = await provider_for(server.port, security=security, ca_file=ours.file).fetch("INBOX")
    assert answer.value is not None, answer.attempt
    assert [mail.raw for mail in answer.value.mails] == [raw, b"small"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_nobody_vouches_for_is_given_nothing(security: str, ours: Certificate) -> None:
    server = ScriptedMailbox()
    attempt = await check(server, security, ours)
    assert attempt.outcome is Outcome.AUTH
    assert "certificate is not valid" in attempt.detail and "ca_file" in attempt.detail
    assert not any(SECRET in command for command in server.seen)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_trusted_certificate_of_another_host_is_refused(security: str, of_another: Certificate) -> None:
    server = ScriptedMailbox()
    attempt = await check(server, security, of_another, ca_file=of_another.file)
    assert attempt.outcome is Outcome.AUTH
    assert not any(SECRET in command for command in server.seen)


async def test_a_server_without_starttls_is_given_nothing() -> None:
    server = ScriptedMailbox()
    async with serving(server):
        attempt = await provider_for(server.port, security="starttls").check()
    assert (attempt.outcome, attempt.phase) == (Outcome.AUTH, "starttls")
    assert not any(SECRET in command for command in server.seen)


async def test_what_was_said_before_the_encryption_is_not_heard_after_it(ours: Certificate) -> None:
    server = ScriptedMailbox(script={"starttls": "OK go ahead\r\n* CAPABILITY half a li" + UNFINISHED}, tls=ours.server)
    async with serving(server):
        attempt = await provider_for(server.port, security="starttls", ca_file=ours.file).check()
    assert (attempt.outcome, attempt.detail) == (
        Outcome.TRANSIENT,
        "The server spoke on before the encryption began.",
    )
    assert not any(SECRET in command for command in server.seen)


async def test_a_port_that_does_not_speak_tls_is_told_as_that() -> None:
    async with serving(ScriptedMailbox()) as server:
        attempt = await provider_for(server.port, security="tls").check()
    assert attempt.outcome is Outcome.AUTH
    assert "does not speak TLS" in attempt.detail and "143" in attempt.detail


async def test_a_missing_ca_file_is_told_as_that(tmp_path: Path) -> None:
    async with serving(ScriptedMailbox()) as server:
        attempt = await provider_for(server.port, security="tls", ca_file=tmp_path / "none.pem").check()
    assert (attempt.outcome, server.connections) == (Outcome.AUTH, 0)
    assert "none.pem" in attempt.detail
