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
import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.mail import BeforeBody, OutgoingMail
from aicmo.gateways.oauth import TokenKeeper
from aicmo.gateways.pool import Pool
from aicmo.gateways.settings import warm_up_caps
from aicmo.gateways.smtp_failure import FAILURES, Refused, Unsendable, Way, failed
from aicmo.gateways.smtp_login import SmtpLogin
from aicmo.gateways.smtp_reply import Reply
from aicmo.gateways.smtp_session import SmtpSession
from aicmo.gateways.smtp_settings import SmtpSettings
from aicmo.text import shown

_PATH_LIMIT = 254  # RFC 5321 4.5.3.1.3: 256 octets with the angle brackets
_AN_ADDRESS = re.compile(r".+@.+")
_FORBIDDEN_IN_PATH = re.compile("[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")
_QUEUE_ID = re.compile(r"(?:queued as|id=)\s*([\w.@-]+)", re.IGNORECASE)


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
        self._clock = clock
        self._limits = settings.limits.model_dump(exclude_none=True)
        self._warm_up = warm_up_caps(settings.warm_up, settings.limits)
        self._login = SmtpLogin(name, settings, secret=secret, tokens=tokens, clock=clock)
        self._read = self._login.read
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
        """See ``Provider``."""
        return self._login.fingerprint()

    async def send(self, mail: OutgoingMail, *, before_body: BeforeBody) -> Attempt:
        """Carry ``mail`` to the server; what came of it is in the ``Attempt``.

        ``before_body`` is awaited once, when the server has accepted the recipient; no byte of the body leaves before
        it has returned. What it raises (``NotNow``, or an error of the ledger) leaves here unchanged, and nothing was
        sent.
        """
        started, way = self._clock.monotonic(), Way()
        try:
            _check(mail)
            async with self._pool.slots:
                reply = await self._carry(mail, before_body, way)
        except _LedgerRaised as raised:
            raise raised.error from None
        except FAILURES as error:
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
        started, way = self._clock.monotonic(), Way()
        try:
            async with self._pool.slots:
                session = await self._login.open(way)
        except FAILURES as error:
            return self._failed(error, way, self._clock.monotonic() - started)
        latency_s = self._clock.monotonic() - started
        await session.quit()
        return Attempt(self.name, Outcome.OK, Applied.NO, way.phase, latency_s=latency_s)

    async def close(self) -> None:
        """Take leave of the server on every idle connection."""
        await self._pool.close()

    # --- the way of one message ---------------------------------------------------------------------------------------

    async def _carry(self, mail: OutgoingMail, before_body: BeforeBody, way: Way) -> Reply:
        session = self._pool.take()
        pooled = session is not None
        while True:
            if session is None:
                session = await self._login.open(way)
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

    async def _transact(self, session: SmtpSession, mail: OutgoingMail, before_body: BeforeBody, way: Way) -> Reply:
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
            raise Refused(reply)
        return reply

    async def _say_at_once(self, session: SmtpSession, envelope: Sequence[bytes], way: Way) -> None:
        """The envelope and DATA in one write. Each answer is heard in its turn, so that the first refusal is told."""
        session.say(b"".join(envelope), answers=len(envelope))
        refusal: Refused | None = None
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
                refusal = refusal or Refused(self._read(code, text))
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
            except (Refused, OSError) as error:
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
            raise Refused(self._read(code, text))

    def _failed(self, error: Exception, way: Way, latency_s: float) -> Attempt:
        now, host = self._clock.now(), self.settings.host
        return failed(error, way, provider=self.name, host=host, read=self._read, now=now, latency_s=latency_s)


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
            raise Unsendable(Outcome.INPUT, f"The {what}'s address {shown(path)} cannot be written in an envelope.")
    if not _AN_ADDRESS.fullmatch(mail.recipient):
        raise Unsendable(Outcome.INPUT, f"The recipient's address {shown(mail.recipient)} is not one.")
    lines = mail.raw.count(b"\r\n")
    if not mail.raw.endswith(b"\r\n") or mail.raw.count(b"\n") != lines or mail.raw.count(b"\r") != lines:
        # A bare CR or LF may pass for an end of message on the way, and what follows for a second message.
        raise Unsendable(Outcome.INPUT, "The message has lines that do not end in CRLF.")


def _mail_command(session: SmtpSession, mail: OutgoingMail) -> bytes:
    """MAIL with the parameters that this server understands (RFC 1870, 6152, 6531)."""
    line = b"MAIL FROM:<" + mail.mail_from.encode() + b">"
    if session.takes_size:
        if 0 < session.most_bytes < len(mail.raw):
            raise Unsendable(
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
            raise Unsendable(
                outcome, "The server takes no address with letters outside ASCII (SMTPUTF8).", permanent=True
            )
        line += b" SMTPUTF8"
    return line + b"\r\n"


def _dots_doubled(raw: bytes) -> bytes:
    """RFC 5321 4.5.2. ``raw`` has CRLF line ends throughout."""
    if b"\r\n." in raw:
        raw = raw.replace(b"\r\n.", b"\r\n..")
    return b"." + raw if raw.startswith(b".") else raw


def _leaves_session(error: BaseException, way: Way) -> bool:
    """Whether the next message may go over the same connection: the server said no, in good order."""
    if isinstance(error, Refused):
        return error.reply.code != 421 and way.phase in ("mail", "rcpt", "data", "reply")
    return isinstance(error, Unsendable)


def _is_gone(error: BaseException) -> bool:
    if isinstance(error, Refused):
        return error.reply.code == 421
    return isinstance(error, ConnectionError)
