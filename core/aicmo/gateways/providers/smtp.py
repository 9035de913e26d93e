"""Mail by SMTP, one recipient per transaction, every step driven from here so that every failure knows its phase.

What decides everything is the final dot. Until it is handed to the network an unterminated message cannot be delivered
(``Applied.NO``: another server may try); from then on only the server knows (``Applied.UNKNOWN``: nobody may). So the
body is written and flushed without its dot, and the dot goes alone. RFC 5321 4.5.3.2.6 asks for ten minutes of patience
for the answer: giving up sooner is how a mail arrives nine times. Where the server offers it (RFC 2920), the envelope
and DATA go out in one write; nothing ever goes out before the answer to DATA that belongs after it.

A cancelled ``send`` closes its connection and raises ``CancelledError``; the caller cannot tell whether the dot was
out, so its ledger row stays ``sending``, which the crash rule turns into *unknown*.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import aiosmtplib
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, AuthNeeded
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.local_fault import is_here
from aicmo.gateways.mail import BeforeBody, OutgoingMail
from aicmo.gateways.oauth import OAuthSettings, TokenKeeper, goes_with_xoauth2
from aicmo.gateways.pool import Pool
from aicmo.gateways.sasl import as_echoed
from aicmo.gateways.settings import Limits, WarmUp, WarmUpTable, warm_up_caps
from aicmo.gateways.smtp_reply import Reply, asked_to_wait_until, judge, read_reply
from aicmo.gateways.smtp_session import SmtpSession
from aicmo.gateways.tls import tls_problem, verifying_context
from aicmo.text import shown

DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}
TOKEN_FRESH_S = 60.0
"""Connections that open within so long share an access token; later ones ask for one that has not run out."""
SECRETS_MASKED = 4
"""So many of the last ones: a server repeats what it was just shown, and a whole day's tokens take long to look for."""
_PORTS = "Port 587 takes security starttls, port 465 takes tls."
_PATH_LIMIT = 254  # RFC 5321 4.5.3.1.3: 256 octets with the angle brackets
_AN_ADDRESS = re.compile(r".+@.+")
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
    warm_up: WarmUp | WarmUpTable | None = None
    """For a new account: so many a day at first, more on each day of sending."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, for a private authority."""
    hostname: str = Field(default="[127.0.0.1]", pattern=r"^[\x21-\x7e]+$")
    """Our name in EHLO. The default, an address literal, needs no name lookup and tells nothing of this machine."""

    _oauth_is_shown = field_validator("oauth")(goes_with_xoauth2)

    @model_validator(mode="after")
    def _warm_up_ends(self) -> SmtpSettings:
        warm_up_caps(self.warm_up, self.limits)
        return self


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
        self._warm_up = warm_up_caps(settings.warm_up, settings.limits)
        self._tls: ssl.SSLContext | None = None
        self._pool: Pool[SmtpSession] = Pool(
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

    @property
    def warm_up(self) -> tuple[int, ...]:
        """Messages a day while the account is new: on its first day of sending, its second ...; empty for none."""
        return self._warm_up

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
                session = await self._open(way)
        except (_Refused, _Unsendable, AicmoError, aiosmtplib.SMTPException, OSError) as error:
            return self._failed(error, way, self._clock.monotonic() - started)
        latency_s = self._clock.monotonic() - started
        await session.quit()
        return Attempt(self.name, Outcome.OK, Applied.NO, way.phase, latency_s=latency_s)

    async def close(self) -> None:
        """Take leave of the server on every idle connection."""
        await self._pool.close()

    # --- the way of one message ---------------------------------------------------------------------------------------

    async def _carry(self, mail: OutgoingMail, before_body: BeforeBody, way: _Way) -> Reply:
        session = self._pool.take()
        pooled = session is not None
        while True:
            if session is None:
                session = await self._open(way)
            try:
                reply = await self._transact(session, mail, before_body, way)
            except BaseException as error:  # cancelled as well: the connection is reset or closed; raised again
                if pooled and way.phase == "mail" and _is_gone(error):
                    # The server had closed it while it was idle. Nothing of it was taken: a fresh one begins anew.
                    session.abort()
                    session, pooled = None, False
                    continue
                if _leaves_session(error, way) and await self._reset(session):
                    await self._pool.put(session)
                else:
                    session.abort()
                raise
            await self._pool.put(session)
            return reply

    async def _reset(self, session: SmtpSession) -> bool:
        """RSET after a refused envelope; whether the session can go on."""
        if not session.alive:
            return False
        try:
            session.say(b"RSET\r\n")
            return (await session.answer(self.settings.timeout_seconds))[0] == 250
        except OSError:
            return False
        except asyncio.CancelledError:
            session.abort()
            raise

    async def _transact(self, session: SmtpSession, mail: OutgoingMail, before_body: BeforeBody, way: _Way) -> Reply:
        way.phase = "mail"
        envelope = (_mail_command(session, mail), b"RCPT TO:<" + mail.recipient.encode() + b">\r\n", b"DATA\r\n")
        if session.pipelines:
            await self._say_at_once(session, envelope, way)
            try:
                await before_body()
            except Exception as error:  # the caller's own, told apart from the server's
                raise _LedgerRaised(error) from None
        else:
            await self._command(session, envelope[0])
            way.phase = "rcpt"
            await self._command(session, envelope[1])
            way.phase = "data"
            await self._begin_data(session, before_body)
        way.phase = "body"

        def before_dot() -> None:
            way.phase, way.dot_sent = "reply", True

        patience = self.settings
        code, text = await session.deliver(
            _dots_doubled(mail.raw), before_dot, body_s=patience.timeout_seconds, answer_s=patience.final_reply_seconds
        )
        reply = self._read(code, text)
        if not way.dot_sent or not 200 <= code < 300:
            raise _Refused(reply)
        return reply

    async def _say_at_once(self, session: SmtpSession, envelope: Sequence[bytes], way: _Way) -> None:
        """The envelope and DATA in one write. Each answer is heard in its turn, so that the first refusal is told."""
        session.say(b"".join(envelope), answers=len(envelope))
        refusal: _Refused | None = None
        for phase in ("mail", "rcpt", "data"):
            if refusal is None:
                way.phase = phase
            try:
                code, text = await session.answer(self.settings.timeout_seconds)
            except OSError:
                if refusal is None:
                    raise
                break
            if code == 354 and phase == "data":
                if refusal is not None:
                    session.abort()  # it waits for a message to nobody; one that never ends is never delivered
            elif phase == "data" or not 200 <= code < 300:
                refusal = refusal or _Refused(self._read(code, text))
                if code == 421:
                    break  # the server leaves
        if refusal is not None:
            raise refusal

    async def _begin_data(self, session: SmtpSession, before_body: BeforeBody) -> None:
        """DATA, while the ledger writes: one wait for both. Returns when both are done and good."""
        ledger = asyncio.ensure_future(_awaited(before_body))
        refused: Exception | None = None
        try:
            try:
                await self._command(session, b"DATA\r\n", expect=354)
            except (_Refused, OSError) as error:
                refused = error
            await asyncio.wait([ledger])
        except asyncio.CancelledError:
            ledger.cancel()
            raise
        if (raised := ledger.exception()) is not None:
            raise _LedgerRaised(raised)
        if refused is not None:
            raise refused

    async def _command(self, session: SmtpSession, line: bytes, *, expect: int = 0) -> None:
        session.say(line)
        code, text = await session.answer(self.settings.timeout_seconds)
        if not (code == expect if expect else 200 <= code < 300):
            raise _Refused(self._read(code, text))

    def _read(self, code: int, message: str) -> Reply:
        return read_reply(code, message, secrets=as_echoed(self.settings.username, self._secrets))

    # --- opening ------------------------------------------------------------------------------------------------------

    async def _open(self, way: _Way) -> SmtpSession:
        """A session that is encrypted and authenticated as configured.

        An access token can be withdrawn before its time, so one that is refused is renewed and shown anew, once.
        """
        try:
            return await self._opened(way)
        except _TokenRefused:
            return await self._opened(way)

    async def _opened(self, way: _Way) -> SmtpSession:
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
            assert isinstance(client.transport, asyncio.Transport)
            return SmtpSession(client.transport, client.esmtp_extensions)
        except BaseException as error:  # a line nobody holds is closed, also when cancelled; raised again
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
    if not _AN_ADDRESS.fullmatch(mail.recipient):
        raise _Unsendable(Outcome.INPUT, f"The recipient's address {shown(mail.recipient)} is not one.")
    lines = mail.raw.count(b"\r\n")
    if not mail.raw.endswith(b"\r\n") or mail.raw.count(b"\n") != lines or mail.raw.count(b"\r") != lines:
        # A bare CR or LF may pass for an end of message on the way, and what follows for a second message.
        raise _Unsendable(Outcome.INPUT, "The message has lines that do not end in CRLF.")


def _mail_command(session: SmtpSession, mail: OutgoingMail) -> bytes:
    """MAIL with the parameters that this server understands (RFC 1870, 6152, 6531)."""
    line = b"MAIL FROM:<" + mail.mail_from.encode() + b">"
    if session.takes_size:
        if 0 < session.most_bytes < len(mail.raw):
            raise _Unsendable(
                Outcome.CONTENT,
                f"The message has {len(mail.raw)} bytes; the server takes {session.most_bytes}.",
                permanent=True,
            )
        line += b" SIZE=%d" % len(mail.raw)
    if session.takes_8bit and not mail.raw.isascii():
        line += b" BODY=8BITMIME"
    if not (mail.mail_from + mail.recipient).isascii():
        if not session.takes_utf8:
            outcome = Outcome.INPUT if mail.recipient.isascii() else Outcome.RECIPIENT
            raise _Unsendable(
                outcome, "The server takes no address with letters outside ASCII (SMTPUTF8).", permanent=True
            )
        line += b" SMTPUTF8"
    return line + b"\r\n"


def _dots_doubled(raw: bytes) -> bytes:
    """RFC 5321 4.5.2. ``raw`` has CRLF line ends throughout."""
    if b"\r\n." in raw:
        raw = raw.replace(b"\r\n.", b"\r\n..")
    return b"." + raw if raw.startswith(b".") else raw


def _leaves_session(error: BaseException, way: _Way) -> bool:
    """Whether the next message may go over the same connection: the server said no, in good order."""
    if isinstance(error, _Refused):
        return error.reply.code != 421 and way.phase in ("mail", "rcpt", "data", "reply")
    return isinstance(error, _Unsendable)


def _is_gone(error: BaseException) -> bool:
    if isinstance(error, _Refused):
        return error.reply.code == 421
    return isinstance(error, ConnectionError)
