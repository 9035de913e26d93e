"""Mail by SMTP, one recipient per transaction, every step driven from here so that every failure knows its phase.

What decides everything is the final dot. Until it is handed to the network an unterminated message cannot be delivered
(``Applied.NO``: another server may try); from then on only the server knows (``Applied.UNKNOWN``: nobody may). So the
body is written and flushed without its dot, and the dot goes alone. RFC 5321 4.5.3.2.6 asks for ten minutes of patience
for the answer: giving up sooner is how a mail arrives nine times.

A cancelled ``send`` closes its connection and raises ``CancelledError``; the caller cannot tell whether the dot was
out, so its ledger row stays ``sending``, which the crash rule turns into *unknown*.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import aiosmtplib
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, AuthNeeded
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.local_fault import is_here
from aicmo.gateways.mail import BeforeBody, OutgoingMail
from aicmo.gateways.oauth import OAuthSettings, TokenKeeper, goes_with_xoauth2
from aicmo.gateways.pool import Pool
from aicmo.gateways.sasl import as_echoed
from aicmo.gateways.settings import Limits
from aicmo.gateways.smtp_reply import Reply, asked_to_wait_until, judge, read_reply
from aicmo.gateways.tls import tls_problem, verifying_context
from aicmo.text import shown

DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}
QUIT_PATIENCE_S = 2.0
TOKEN_FRESH_S = 60.0
"""Connections that open within so long share an access token; later ones ask for one that has not run out."""
SECRETS_MASKED = 4
"""So many of the last ones: a server repeats what it was just shown, and a whole day's tokens take long to look for."""
_PORTS = "Port 587 takes security starttls, port 465 takes tls."
_PATH_LIMIT = 254  # RFC 5321 4.5.3.1.3: 256 octets with the angle brackets
_FORBIDDEN_IN_PATH = re.compile("[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")
_QUEUE_ID = re.compile(r"(?:queued as|id=)\s*([\w.@-]+)", re.IGNORECASE)


class SmtpSettings(BaseModel):
    """A block ``[providers.NAME]`` of kind ``smtp``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["smtp"] = "smtp"
    host: str = Field(min_length=1, max_length=253, pattern=r"^[^\s\x00-\x1f\x7f]+$")
    port: int | None = Field(default=None, ge=1, le=65535)
    """Default: 587 with ``starttls``, 465 with ``tls``, 25 with ``none``."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    auth: Literal["password", "xoauth2"] = "password"
    """With ``xoauth2`` an access token is shown: from ``oauth``, else the secret is one, best from ``password_cmd``."""
    oauth: OAuthSettings | None = None
    """How access tokens are got; with it no password is asked for."""
    password_env: str | None = None
    password_cmd: list[str] | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    connections: int = Field(default=5, ge=1, le=50)
    messages_per_connection: int = Field(default=500, ge=1)
    idle_seconds: float = Field(default=60, gt=0)
    timeout_seconds: float = Field(default=30, gt=0)
    """For every step but the last."""
    final_reply_seconds: float = Field(default=600, gt=0)
    """For the answer to the final dot."""
    limits: Limits = Limits()
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, for a private authority."""
    hostname: str = Field(default="[127.0.0.1]", pattern=r"^[\x21-\x7e]+$")
    """Our name in EHLO. The default, an address literal, needs no name lookup and tells nothing of this machine."""

    _oauth_is_shown = field_validator("oauth")(goes_with_xoauth2)


class SmtpProvider:
    """One configured server. ``close`` it once."""

    kind: ClassVar[str] = "smtp"
    capabilities: ClassVar[frozenset[str]] = frozenset({"email_sending"})
    check_cost: ClassVar[str] = ""
    Settings: ClassVar[type[SmtpSettings]] = SmtpSettings

    def __init__(
        self,
        name: str,
        settings: SmtpSettings,
        *,
        secret: Callable[[], str] | None = None,
        tokens: TokenKeeper | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``secret`` fetches the password; it may block and raise ``AuthNeeded``. Only asked with a ``username``, and
        without ``tokens``, which has access tokens in its place."""
        self.name = name
        self.settings = settings
        self._fetch_secret = secret
        self._tokens = tokens
        self._password: str | None = None
        self._password_good_until = float("-inf")
        self._secrets: list[str] = []
        """The last passwords or tokens used here: each is masked in whatever a server says."""
        self._asking = asyncio.Lock()
        self._clock = clock
        self._limits = settings.limits.model_dump(exclude_none=True)
        self._tls: ssl.SSLContext | None = None
        self._pool: Pool[_Connection] = Pool(
            size=settings.connections,
            idle_s=settings.idle_seconds,
            uses=settings.messages_per_connection,
            clock=clock,
        )

    @property
    def connections(self) -> int:
        """How many it opens at once, at most."""
        return self.settings.connections

    @property
    def limits(self) -> Mapping[str, int]:
        """Span of time -> how many messages may leave in it; only the spans that are limited."""
        return self._limits

    def fingerprint(self) -> str:
        """See ``Provider``. Of the password only 16 bits go in: enough to see it change, too few to guess it from."""
        where = self.settings.model_dump_json(include={"host", "port", "security", "username", "auth", "ca_file"})
        if self._tokens is not None:
            password = self._tokens.fingerprint()
        else:
            secret = self._fetch_secret() if self._fetch_secret and self.settings.username else ""
            password = hashlib.blake2b(secret.encode(), digest_size=2).hexdigest()
        return f"{hashlib.blake2b(where.encode(), digest_size=8).hexdigest()}-{password}"

    async def send(self, mail: OutgoingMail, *, before_body: BeforeBody) -> Attempt:
        """Carry ``mail`` to the server; what came of it is in the ``Attempt``.

        ``before_body`` is awaited once, when the server has accepted the recipient; no byte of the body leaves before
        it has returned. What it raises (``NotNow``, or an error of the ledger) leaves here unchanged, and nothing was
        sent.
        """
        started, way = self._clock.monotonic(), _Way()
        try:
            _check(mail)
            async with self._pool.slots:
                reply = await self._carry(mail, before_body, way)
        except _LedgerRaised as raised:
            raise raised.error from None
        except (_Refused, _Unsendable, AicmoError, aiosmtplib.SMTPException, OSError) as error:
            return self._failed(error, way, self._clock.monotonic() - started)
        latency_s = self._clock.monotonic() - started
        queue_id = _QUEUE_ID.search(reply.text)
        return Attempt(
            self.name,
            Outcome.OK,
            Applied.YES,
            way.phase,
            reply.codes,
            reply.text,
            latency_s=latency_s,
            reference=queue_id[1] if queue_id else reply.text,
        )

    async def check(self) -> Attempt:
        """Connect, log in as configured and take leave: whether the server would serve us now. Nothing is sent."""
        started, way = self._clock.monotonic(), _Way()
        try:
            async with self._pool.slots:
                connection = await self._open(way)
        except (_Refused, _Unsendable, AicmoError, aiosmtplib.SMTPException, OSError) as error:
            return self._failed(error, way, self._clock.monotonic() - started)
        latency_s = self._clock.monotonic() - started
        await connection.quit()
        return Attempt(self.name, Outcome.OK, Applied.NO, way.phase, latency_s=latency_s)

    async def close(self) -> None:
        """Take leave of the server on every idle connection."""
        await self._pool.close()

    # --- the way of one message ---------------------------------------------------------------------------------------

    async def _carry(self, mail: OutgoingMail, before_body: BeforeBody, way: _Way) -> Reply:
        connection = self._pool.take()
        pooled = connection is not None
        while True:
            if connection is None:
                connection = await self._open(way)
            try:
                reply = await self._transact(connection, mail, before_body, way)
            except BaseException as error:
                if pooled and way.phase == "mail" and _is_gone(error):
                    # The server had closed it while it was idle. No recipient was named yet: a fresh one begins anew.
                    connection.abort()
                    connection, pooled = None, False
                    continue
                if _leaves_session(error, way) and await connection.reset(self.settings.timeout_seconds):
                    await self._pool.put(connection)
                else:
                    connection.abort()
                raise
            await self._pool.put(connection)
            return reply

    async def _transact(self, connection: _Connection, mail: OutgoingMail, before_body: BeforeBody, way: _Way) -> Reply:
        way.phase = "mail"
        await self._command(connection, b"MAIL", *_mail_arguments(connection, mail))
        way.phase = "rcpt"
        await self._command(connection, b"RCPT", b"TO:<" + mail.recipient.encode() + b">")
        way.phase = "data"
        await self._begin_data(connection, before_body)
        way.phase = "body"
        reply = self._read(*await connection.deliver(_dots_doubled(mail.raw), way, self.settings))
        if way.phase != "reply" or not 200 <= reply.code < 300:
            raise _Refused(reply)
        return reply

    async def _begin_data(self, connection: _Connection, before_body: BeforeBody) -> None:
        """DATA, while the ledger writes: one wait for both. Returns when both are done and good."""
        ledger = asyncio.ensure_future(_awaited(before_body))
        refused: Exception | None = None
        try:
            try:
                await self._command(connection, b"DATA", expect=354)
            except (_Refused, aiosmtplib.SMTPException, OSError) as error:
                refused = error
            await asyncio.wait([ledger])
        except asyncio.CancelledError:
            ledger.cancel()
            raise
        if (raised := ledger.exception()) is not None:
            raise _LedgerRaised(raised)
        if refused is not None:
            raise refused

    async def _command(self, connection: _Connection, *words: bytes, expect: int = 0) -> Reply:
        reply = self._read(*await connection.client.execute_command(*words))
        if not (reply.code == expect if expect else 200 <= reply.code < 300):
            raise _Refused(reply)
        return reply

    def _read(self, code: int, message: str) -> Reply:
        return read_reply(code, message, secrets=as_echoed(self.settings.username, self._secrets))

    # --- opening ------------------------------------------------------------------------------------------------------

    async def _open(self, way: _Way) -> _Connection:
        """A connection that is encrypted and authenticated as configured.

        An access token can be withdrawn before its time, so one that is refused is renewed and shown anew, once.
        """
        try:
            return await self._opened(way)
        except _TokenRefused:
            return await self._opened(way)

    async def _opened(self, way: _Way) -> _Connection:
        settings = self.settings
        way.phase = "connect"
        if settings.username and settings.security == "none" and not is_here(settings.host):
            raise _Unsendable(
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
                    raise _Unsendable(
                        Outcome.AUTH, f"{settings.host} offers no STARTTLS; nothing is sent without encryption."
                    )
                await client.starttls(tls_context=context)
                transport = client.transport
                way.phase = "ehlo"
                await client.ehlo()
            if settings.username:
                way.phase = "auth"
                await self._log_in(client, settings.username)
            return _Connection(client)
        except BaseException as error:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            client.close()
            if isinstance(error, UnicodeError):  # a host name no resolver could be asked for
                raise _Unsendable(Outcome.AUTH, f"{shown(settings.host)} is not a host name.") from error
            raise

    async def _tls_context(self) -> ssl.SSLContext:
        """Verifies chain and host name, against the system's authorities or ``ca_file``."""
        if self._tls is None:
            try:
                context = await asyncio.to_thread(verifying_context, self.settings.ca_file)
            except OSError as error:
                raise _Unsendable(
                    Outcome.AUTH, f"ca_file {self.settings.ca_file} cannot be used: {error.strerror or error}."
                ) from error
            self._tls = context
        return self._tls

    async def _log_in(self, client: aiosmtplib.SMTP, username: str) -> None:
        password = await self._current_password()
        ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        if self.settings.auth == "xoauth2":
            ways = {"xoauth2": client.auth_xoauth2}
        offered = [method for method in ways if method in client.server_auth_methods]
        if not offered:
            raise _Unsendable(
                Outcome.AUTH, f"{self.settings.host} offers no way to log in that fits auth {self.settings.auth}."
            )
        try:
            # One method, one try: further tries with the same password only bring the account nearer to being locked.
            await ways[offered[0]](username, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            reply = self._read(error.code, error.message)
            if self._tokens is not None and judge("auth", reply).outcome is Outcome.AUTH:
                self._tokens.refused(password)
                raise _TokenRefused(reply) from None
            if self._password == password:
                self._password = None  # it may have been changed: it is fetched anew next time
            raise _Refused(reply) from None

    async def _current_password(self) -> str:
        if self._tokens is not None:
            return self._kept_secret(await self._tokens.access_token())
        async with self._asking:  # connections that open together ask the person's password manager once
            if self._password is None or self._clock.monotonic() >= self._password_good_until:
                if self._fetch_secret is None:
                    raise AuthNeeded(f"{self.name} has a username but no password.")
                self._password = await asyncio.to_thread(self._fetch_secret)
                lasts_s = TOKEN_FRESH_S if self.settings.auth == "xoauth2" else float("inf")
                self._password_good_until = self._clock.monotonic() + lasts_s
                self._kept_secret(self._password)
            return self._password

    def _kept_secret(self, secret: str) -> str:
        """``secret``, which is from now on masked in whatever the server says."""
        if secret not in self._secrets:
            self._secrets = [*self._secrets, secret][-SECRETS_MASKED:]
        return secret

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _failed(self, error: Exception, way: _Way, latency_s: float) -> Attempt:
        if isinstance(error, aiosmtplib.SMTPResponseException):
            error = _Refused(self._read(error.code, error.message))
        reply = error.reply if isinstance(error, _Refused) else None
        outcome, applied, permanent, detail = Outcome.TRANSIENT, Applied.NO, False, ""
        if reply is not None and 400 <= reply.code < 600:
            outcome, permanent = judge(way.phase, reply)
        elif way.dot_sent or (reply is not None and way.phase == "body" and 200 <= reply.code < 300):
            # Either no answer, or one that no server should give: a message it calls accepted before it ended.
            outcome, applied = Outcome.AMBIGUOUS, Applied.UNKNOWN
        elif isinstance(error, _Unsendable):
            outcome, permanent, detail = error.outcome, error.permanent, error.detail
        elif isinstance(error, AicmoError):
            outcome, detail = (Outcome.TRANSIENT if error.retryable else Outcome.AUTH), error.message
        elif certificate := tls_problem(error, ports=_PORTS):
            outcome, detail = Outcome.AUTH, f"{self.settings.host}: {certificate}"
        detail = detail or (reply.text if reply else str(error) or "The server did not answer in time.")
        return Attempt(
            self.name,
            outcome,
            applied,
            way.phase,
            reply.codes if reply and reply.code > 0 else "",
            self._read(0, detail).text,
            permanent,
            asked_to_wait_until(reply.text, self._clock.now()) if reply else None,
            latency_s,
        )


@dataclass(slots=True)
class _Way:
    """How far a message got."""

    phase: str = "check"
    dot_sent: bool = False


class _Connection:
    """A session that is ready for MAIL."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        assert client.protocol is not None and isinstance(client.transport, asyncio.WriteTransport)
        self.client = client
        self.uses = 0
        # Kept because the client forgets both when it closes, and closing must not wait for a peer that hangs.
        self._protocol = client.protocol
        self._transport = client.transport
        # A drained transport is then one that holds nothing back: the body is out before the dot is written.
        self._transport.set_write_buffer_limits(high=1, low=0)

    @property
    def alive(self) -> bool:
        return self.client.is_connected

    async def deliver(self, body: bytes, way: _Way, settings: SmtpSettings) -> tuple[int, str]:
        """The body, then the dot; gives the server's answer.

        This is the one place that goes below the client's commands, because its own DATA sends body and dot in one
        piece. ``_drain_helper`` is what ``asyncio.StreamWriter.drain`` waits on; no public name does the same.
        """
        listening = asyncio.ensure_future(self._protocol.read_response())
        try:
            try:
                async with asyncio.timeout(settings.timeout_seconds):
                    self._protocol.write(body)
                    await self._protocol._drain_helper()
            except OSError:
                await asyncio.sleep(0)
                if not _has_answer(listening):
                    raise
            if listening.done():  # an answer before the dot: a refusal, or the end of the connection
                return await listening
            if not self._protocol.is_connected:
                raise aiosmtplib.SMTPServerDisconnected("Connection lost")
            way.phase, way.dot_sent = "reply", True
            self._protocol.write(b".\r\n")
            self.uses += 1
            async with asyncio.timeout(settings.final_reply_seconds):
                return await listening
        finally:
            if not listening.done():
                listening.cancel()
            elif not listening.cancelled():
                listening.exception()

    async def reset(self, timeout_s: float) -> bool:
        """RSET after a refused envelope; whether the session can go on."""
        try:
            return (await self.client.execute_command(b"RSET", timeout=timeout_s)).code == 250
        except (aiosmtplib.SMTPException, OSError):
            return False
        except asyncio.CancelledError:
            self.abort()
            raise

    async def quit(self) -> None:
        try:
            await self.client.execute_command(b"QUIT", timeout=QUIT_PATIENCE_S)
        except (aiosmtplib.SMTPException, OSError):
            pass  # it was going anyway
        finally:
            self.abort()

    def abort(self) -> None:
        self._transport.abort()
        self.client.close()


class _Refused(Exception):
    """The server answered, and not with what the step needs."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.codes)
        self.reply = reply


class _TokenRefused(_Refused):
    """An access token of ours, for good; another one may be had."""


class _Unsendable(Exception):
    """Known from our side: it cannot be sent like this."""

    def __init__(self, outcome: Outcome, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.permanent = permanent


class _LedgerRaised(Exception):
    """Carries what ``before_body`` raised past our own handlers."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


async def _awaited(before_body: BeforeBody) -> None:
    await before_body()


def _check(mail: OutgoingMail) -> None:
    """Refuse what could be read as another command, another recipient or another message."""
    for path, what in ((mail.mail_from, "sender"), (mail.recipient, "recipient")):
        if _FORBIDDEN_IN_PATH.search(path) or len(path.encode()) > _PATH_LIMIT:
            raise _Unsendable(Outcome.INPUT, f"The {what}'s address {shown(path)} cannot be written in an envelope.")
    if not re.fullmatch(r".+@.+", mail.recipient):
        raise _Unsendable(Outcome.INPUT, f"The recipient's address {shown(mail.recipient)} is not one.")
    lines = mail.raw.count(b"\r\n")
    if not mail.raw.endswith(b"\r\n") or mail.raw.count(b"\n") != lines or mail.raw.count(b"\r") != lines:
        # A bare CR or LF may pass for an end of message on the way, and what follows for a second message.
        raise _Unsendable(Outcome.INPUT, "The message has lines that do not end in CRLF.")


def _mail_arguments(connection: _Connection, mail: OutgoingMail) -> list[bytes]:
    """FROM and the parameters that this server understands (RFC 1870, 6152, 6531)."""
    client = connection.client
    words = [b"FROM:<" + mail.mail_from.encode() + b">"]
    if client.supports_extension("size"):
        most = client.esmtp_extensions["size"].strip()
        if most.isdecimal() and 0 < int(most) < len(mail.raw):
            raise _Unsendable(
                Outcome.CONTENT, f"The message has {len(mail.raw)} bytes; the server takes {most}.", permanent=True
            )
        words.append(b"SIZE=%d" % len(mail.raw))
    if client.supports_extension("8bitmime") and not mail.raw.isascii():
        words.append(b"BODY=8BITMIME")
    if not (mail.mail_from + mail.recipient).isascii():
        if not client.supports_extension("smtputf8"):
            outcome = Outcome.INPUT if mail.recipient.isascii() else Outcome.RECIPIENT
            raise _Unsendable(
                outcome, "The server takes no address with letters outside ASCII (SMTPUTF8).", permanent=True
            )
        words.append(b"SMTPUTF8")
    return words


def _dots_doubled(raw: bytes) -> bytes:
    """RFC 5321 4.5.2. ``raw`` has CRLF line ends throughout."""
    if b"\r\n." in raw:
        raw = raw.replace(b"\r\n.", b"\r\n..")
    return b"." + raw if raw.startswith(b".") else raw


def _has_answer(listening: asyncio.Future[aiosmtplib.SMTPResponse]) -> bool:
    return listening.done() and not listening.cancelled() and listening.exception() is None


def _leaves_session(error: BaseException, way: _Way) -> bool:
    """Whether the next message may go over the same connection: the server said no, in good order."""
    if isinstance(error, _Refused):
        return error.reply.code != 421 and way.phase in ("mail", "rcpt", "data", "reply")
    return isinstance(error, _Unsendable)


def _is_gone(error: BaseException) -> bool:
    if isinstance(error, _Refused):
        return error.reply.code == 421
    return isinstance(error, ConnectionError)
