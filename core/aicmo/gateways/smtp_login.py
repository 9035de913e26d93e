"""The way to a session with one mail server: connect, encrypt, log in.

It alone holds the account's secrets, so it also reads what the server says, with each of them masked. Nothing is
encrypted by halves: without the security that is configured nothing is said, and no password leaves this machine in
the clear.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable

import aiosmtplib

from aicmo.clock import Clock
from aicmo.errors import AuthNeeded
from aicmo.gateways.attempt import Outcome
from aicmo.gateways.local_fault import is_here
from aicmo.gateways.oauth import TokenKeeper
from aicmo.gateways.sasl import as_echoed
from aicmo.gateways.smtp_failure import Refused, Unsendable, Way
from aicmo.gateways.smtp_reply import Reply, judge, read_reply
from aicmo.gateways.smtp_session import SmtpSession
from aicmo.gateways.smtp_settings import DEFAULT_PORTS, SmtpSettings
from aicmo.gateways.tls import verifying_context
from aicmo.text import shown

TOKEN_FRESH_S = 60.0
"""Connections that open within so long share an access token; later ones ask for one that has not run out."""
SECRETS_MASKED = 4
"""So many of the last ones: a server repeats what it was just shown, and a whole day's tokens take long to look for."""


class SmtpLogin:
    """One account on one server."""

    def __init__(
        self,
        name: str,
        settings: SmtpSettings,
        *,
        secret: Callable[[], str] | None,
        tokens: TokenKeeper | None,
        clock: Clock,
    ) -> None:
        """As for ``SmtpProvider``."""
        self._name = name
        self._settings = settings
        self._fetch_secret = secret
        self._tokens = tokens
        self._password: str | None = None
        self._password_good_until = float("-inf")
        self._secrets: list[str] = []
        """The last passwords or tokens used here: each is masked in whatever a server says."""
        self._asking = asyncio.Lock()
        self._clock = clock
        self._tls: ssl.SSLContext | None = None

    async def open(self, way: Way) -> SmtpSession:
        """A session that is encrypted and authenticated as configured; raises one of ``FAILURES``.

        An access token can be withdrawn before its time, so one that is refused is renewed and shown anew, once.
        """
        try:
            return await self._opened(way)
        except _TokenRefused:
            return await self._opened(way)

    def fingerprint(self) -> str:
        """See ``Provider``. Of the password only 16 bits go in: enough to see it change, too few to guess it from."""
        where = self._settings.model_dump_json(include={"host", "port", "security", "username", "auth", "ca_file"})
        if self._tokens is not None:
            password = self._tokens.fingerprint()
        else:
            secret = self._fetch_secret() if self._fetch_secret and self._settings.username else ""
            password = hashlib.blake2b(secret.encode(), digest_size=2).hexdigest()
        return f"{hashlib.blake2b(where.encode(), digest_size=8).hexdigest()}-{password}"

    def read(self, code: int, message: str) -> Reply:
        """A server's answer, safe to show."""
        return read_reply(code, message, secrets=as_echoed(self._settings.username, self._secrets))

    async def _opened(self, way: Way) -> SmtpSession:
        settings = self._settings
        way.phase = "connect"
        if settings.username and settings.security == "none" and not is_here(settings.host):
            raise Unsendable(
                Outcome.AUTH,
                f"The password is not sent to {settings.host} without encryption; set security to starttls or tls.",
            )
        context = None if settings.security == "none" else await self._tls_context()
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port or DEFAULT_PORTS[settings.security],
            timeout=settings.timeout_seconds,
            use_tls=settings.security == "tls",
            start_tls=False,
            tls_context=context,
            local_hostname=settings.hostname,
        )
        transport: asyncio.BaseTransport | None = None
        try:
            await client.connect()
            transport = client.transport
            way.phase = "ehlo"
            await client.ehlo()
            if settings.security == "starttls":
                way.phase = "starttls"
                if not client.supports_extension("starttls"):
                    raise Unsendable(
                        Outcome.AUTH, f"{settings.host} offers no STARTTLS; nothing is sent without encryption."
                    )
                await client.starttls(tls_context=context)
                transport = client.transport
                way.phase = "ehlo"
                await client.ehlo()
            if settings.username:
                way.phase = "auth"
                await self._log_in(client, settings.username)
            assert isinstance(client.transport, asyncio.Transport)
            return SmtpSession(client.transport, client.esmtp_extensions)
        except BaseException as error:  # a line nobody holds is closed, also when cancelled; raised again
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            client.close()
            if isinstance(error, UnicodeError):  # a host name no resolver could be asked for
                raise Unsendable(Outcome.AUTH, f"{shown(settings.host)} is not a host name.") from error
            raise

    async def _tls_context(self) -> ssl.SSLContext:
        """Verifies chain and host name, against the system's authorities or ``ca_file``."""
        if self._tls is None:
            try:
                context = await asyncio.to_thread(verifying_context, self._settings.ca_file)
            except OSError as error:
                raise Unsendable(
                    Outcome.AUTH, f"ca_file {self._settings.ca_file} cannot be used: {error.strerror or error}."
                ) from error
            self._tls = context
        return self._tls

    async def _log_in(self, client: aiosmtplib.SMTP, username: str) -> None:
        password = await self._current_password()
        ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        if self._settings.auth == "xoauth2":
            ways = {"xoauth2": client.auth_xoauth2}
        offered = [method for method in ways if method in client.server_auth_methods]
        if not offered:
            raise Unsendable(
                Outcome.AUTH, f"{self._settings.host} offers no way to log in that fits auth {self._settings.auth}."
            )
        try:
            # One method, one try: further tries with the same password only bring the account nearer to being locked.
            await ways[offered[0]](username, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            reply = self.read(error.code, error.message)
            if self._tokens is not None and judge("auth", reply).outcome is Outcome.AUTH:
                self._tokens.refused(password)
                raise _TokenRefused(reply) from None
            if self._password == password:
                self._password = None  # it may have been changed: it is fetched anew next time
            raise Refused(reply) from None

    async def _current_password(self) -> str:
        if self._tokens is not None:
            return self._kept_secret(await self._tokens.access_token())
        async with self._asking:  # connections that open together ask the person's password manager once
            if self._password is None or self._clock.monotonic() >= self._password_good_until:
                if self._fetch_secret is None:
                    raise AuthNeeded(f"{self._name} has a username but no password.")
                self._password = await asyncio.to_thread(self._fetch_secret)
                lasts_s = TOKEN_FRESH_S if self._settings.auth == "xoauth2" else float("inf")
                self._password_good_until = self._clock.monotonic() + lasts_s
                self._kept_secret(self._password)
            return self._password

    def _kept_secret(self, secret: str) -> str:
        """``secret``, which is from now on masked in whatever the server says."""
        if secret not in self._secrets:
            self._secrets = [*self._secrets, secret][-SECRETS_MASKED:]
        return secret


class _TokenRefused(Refused):
    """An access token of ours, for good; another one may be had."""
