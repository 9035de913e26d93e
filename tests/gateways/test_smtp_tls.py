"""Encryption: who is trusted, and that nothing secret leaves before."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from loopback import serving
from smtp_server import HANG, ScriptedServer
from test_smtp import MAIL, RAW, at_once, provider_for

from aicmo.gateways import Applied, Attempt, Outcome

x509 = pytest.importorskip("cryptography.x509", reason="makes the certificates")


class Certificate(NamedTuple):
    file: Path
    server: ssl.SSLContext


def _certificate(folder: Path, name: str) -> Certificate:
    """A self-signed one for ``name``: its own authority."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        alternative: Any = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = folder / f"{name}.key"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return Certificate(pem, context)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return _certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture(scope="module")
def of_another(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return _certificate(tmp_path_factory.mktemp("tls"), "mail.example.com")


async def send(server: ScriptedServer, security: str, certificate: Certificate, **settings: Any) -> Attempt:
    if security == "starttls":
        server.tls = certificate.server
    async with (
        serving(server, tls=certificate.server if security == "tls" else None),
        provider_for(server, security=security, username="ada", secret=lambda: "s3cret", **settings) as provider,
    ):
        return await provider.send(MAIL, before_body=at_once)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_proves_its_name_gets_password_and_mail(security: str, ours: Certificate) -> None:
    server = ScriptedServer()
    attempt = await send(server, security, ours, ca_file=ours.file)
    assert (attempt.outcome, server.delivered) == (Outcome.OK, [RAW])


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_nobody_vouches_for_gets_nothing(security: str, ours: Certificate) -> None:
    server = ScriptedServer()
    attempt = await send(server, security, ours)
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert "certificate is not valid" in attempt.detail and "ca_file" in attempt.detail
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.seen)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_trusted_certificate_of_another_host_is_refused(security: str, of_another: Certificate) -> None:
    server = ScriptedServer()
    attempt = await send(server, security, of_another, ca_file=of_another.file)
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.seen)


async def test_a_port_that_does_not_speak_tls_is_told_as_that(ours: Certificate) -> None:
    server = ScriptedServer()
    async with serving(server), provider_for(server, security="tls", ca_file=ours.file) as provider:
        attempt = await provider.send(MAIL, before_body=at_once)
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert "does not speak TLS" in attempt.detail


async def test_a_missing_ca_file_is_told_as_that(tmp_path: Path) -> None:
    server = ScriptedServer()
    async with serving(server), provider_for(server, security="tls", ca_file=tmp_path / "none.pem") as provider:
        attempt = await provider.send(MAIL, before_body=at_once)
    assert (attempt.outcome, attempt.applied, server.connections) == (Outcome.AUTH, Applied.NO, 0)
    assert "none.pem" in attempt.detail


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_the_dot_is_as_decisive_under_encryption(security: str, ours: Certificate) -> None:
    in_body = ScriptedServer(drop_after_body_bytes=10)
    attempt = await send(in_body, security, ours, ca_file=ours.file)
    # A short body and its dot may be out before the loss is seen: then, and only then, it is unknown.
    assert attempt.applied in (Applied.NO, Applied.UNKNOWN)
    assert not in_body.delivered
    hanging = ScriptedServer({"reply": HANG})
    attempt = await send(hanging, security, ours, ca_file=ours.file, final_reply_seconds=0.1)
    assert (attempt.outcome, attempt.applied) == (Outcome.AMBIGUOUS, Applied.UNKNOWN)
