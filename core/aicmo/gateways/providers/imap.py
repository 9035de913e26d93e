"""Mail that came back, read over IMAP; judging it is not done here.

Each call is a conversation of its own: connect, log in, look, leave. The mailbox is opened for reading only, so
whatever else reads it finds every mail as it was. What is fetched is bounded in number and in size, and one mail that
the server cannot give does not keep the others away.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, AuthNeeded
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.imap_reply import Reply, judge, read_reply
from aicmo.gateways.imap_sent import find_traces
from aicmo.gateways.imap_session import Found, ImapSession, Refused, open_session
from aicmo.gateways.inbound import FetchedMail, MailBatch, SkippedMail, Traces
from aicmo.gateways.local_fault import is_here
from aicmo.gateways.oauth import OAuthSettings, TokenKeeper, goes_with_xoauth2
from aicmo.gateways.sasl import as_echoed
from aicmo.gateways.tls import tls_problem, verifying_context
from aicmo.text import one_line, shown

DEFAULT_PORTS = {"tls": 993, "starttls": 143, "none": 143}
TOGETHER_BYTES, TOGETHER = 8 * 1024 * 1024, 100
"""Mails are fetched together up to this size and number: one wait for many, and little lost when it breaks."""
_PORTS = "Port 993 takes security tls, port 143 takes starttls."


class ImapSettings(BaseModel):
    """A block ``[providers.NAME]`` of kind ``imap``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["imap"] = "imap"
    host: str = Field(min_length=1, max_length=253, pattern=r"^[^\s\x00-\x1f\x7f]+$")
    port: int | None = Field(default=None, ge=1, le=65535)
    """Default: 993 with ``tls``, else 143."""
    security: Literal["tls", "starttls", "none"] = "tls"
    """``none`` only for a server on this machine."""
    username: str = Field(default="", pattern=r"^[^\x00\r\n]*$")
    """Whose mailbox; without it nothing is asked of the server."""
    auth: Literal["password", "xoauth2"] = "password"
    """With ``xoauth2`` an access token is shown: from ``oauth``, else the secret is one, best from ``password_cmd``."""
    oauth: OAuthSettings | None = None
    """How access tokens are got; with it no password is asked for."""
    password_env: str | None = None
    password_cmd: list[str] | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    timeout_seconds: float = Field(default=30, gt=0)
    """For every step; while mail is coming in, for every 64 kB of it."""
    largest_mail_bytes: int = Field(default=25 * 1024 * 1024, gt=0)
    """A larger mail is skipped and reported."""
    sent_mailbox: str = Field(default="", max_length=500)
    """Where copies of sent mail lie; empty: the one the server marks as such, else one with a usual name."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, for a private authority."""

    _oauth_is_shown = field_validator("oauth")(goes_with_xoauth2)


class ImapProvider:
    """One configured mailbox account. It holds nothing open between calls."""

    kind: ClassVar[str] = "imap"
    capabilities: ClassVar[frozenset[str]] = frozenset({"reply_fetching"})
    check_cost: ClassVar[str] = ""
    Settings: ClassVar[type[ImapSettings]] = ImapSettings

    def __init__(
        self,
        name: str,
        settings: ImapSettings,
        *,
        secret: Callable[[], str] | None = None,
        tokens: TokenKeeper | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``secret`` fetches the password or token; it may block and raise ``AuthNeeded``. ``tokens`` has access tokens
        in its place."""
        self.name = name
        self.settings = settings
        self._fetch_secret = secret
        self._tokens = tokens
        self._secrets: set[str] = set()
        """Every secret that was ever used here: each is masked in whatever a server says."""
        self._clock = clock
        self._tls: ssl.SSLContext | None = None

    def fingerprint(self) -> str:
        """See ``Provider``. Of the secret only 16 bits go in: enough to see it change, too few to guess it from."""
        where = self.settings.model_dump_json(include={"host", "port", "security", "username", "auth", "ca_file"})
        if self._tokens is not None:
            secret = self._tokens.fingerprint()
        else:
            secret = hashlib.blake2b(self._secret().encode(), digest_size=2).hexdigest()
        return f"{hashlib.blake2b(where.encode(), digest_size=8).hexdigest()}-{secret}"

    async def check(self) -> Attempt:
        """Log in and say NOOP. Free, and changes nothing."""
        started, way = self._clock.monotonic(), _Way()
        try:
            async with self._session(way) as session:
                way.phase = "noop"
                await session.noop()
        except (Refused, _Unusable, AicmoError, OSError) as error:
            return self._failed(error, way, started)
        return self._attempt(Outcome.OK, way, started)

    async def fetch(
        self,
        mailbox: str,
        after_uid: int = 0,
        uid_validity: int | None = None,
        limit: int = 100,
        *,
        since: datetime | None = None,
    ) -> Answer[MailBatch]:
        """At most ``limit`` mails of ``mailbox`` above ``after_uid``, the oldest first; nothing is marked as read.

        ``uid_validity`` is that of the last batch; ``None`` when there was none. When it no longer holds, the batch
        starts at the first mail and says ``rescan``. A batch that starts there leaves out what came in days before
        ``since``. A connection that breaks after some mails gives those.
        """
        started, way = self._clock.monotonic(), _Way()
        mails: list[FetchedMail] = []
        skipped: list[SkippedMail] = []
        try:
            async with self._session(way) as session:
                way.phase = "examine"
                validity = await session.examine(mailbox)
                rescan = uid_validity is not None and validity != uid_validity
                last_uid = 0 if rescan else after_uid
                way.phase = "search"
                if since is not None and last_uid == 0:
                    found = await session.uids_since(since.date() - timedelta(days=1))  # its days are of its own zone
                else:
                    found = await session.uids_after(last_uid)
                wanted = found[:limit]
                way.phase = "fetch"
                sizes = await session.sizes(wanted) if wanted else {}
                try:
                    for uids in _together(wanted, sizes, self.settings.largest_mail_bytes):
                        await self._read(session, uids, sizes, mails, skipped)
                        last_uid = uids[-1]
                except (Refused, OSError):
                    if not mails and not skipped:
                        raise
        except (Refused, _Unusable, AicmoError, OSError) as error:
            return Answer(self._failed(error, way, started))
        more = bool(found) and last_uid < found[-1]
        batch = MailBatch(mailbox, validity, rescan, tuple(mails), tuple(skipped), last_uid, more)
        return Answer(self._attempt(Outcome.OK, way, started), batch)

    async def find_sent(self, message_ids: Sequence[str], since: datetime) -> Answer[Traces]:
        """Which of our mails, let go at ``since`` or later, have left a trace in this account; see ``Traces``."""
        started, way = self._clock.monotonic(), _Way()
        try:
            async with self._session(way) as session:
                traces = await find_traces(
                    session, message_ids, since, sent_mailbox=self.settings.sent_mailbox, entering=way.enter
                )
        except (Refused, _Unusable, AicmoError, OSError) as error:
            return Answer(self._failed(error, way, started))
        return Answer(self._attempt(Outcome.OK, way, started), traces)

    async def close(self) -> None:
        """See ``Provider``."""

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(
        self,
        session: ImapSession,
        uids: list[int],
        sizes: dict[int, int],
        mails: list[FetchedMail],
        skipped: list[SkippedMail],
    ) -> None:
        """Read ``uids`` and sort them into ``mails`` and ``skipped``; one that is gone is in neither."""
        largest = self.settings.largest_mail_bytes
        small = [uid for uid in uids if sizes.get(uid, 0) <= largest]
        found: dict[int, Found] = {}
        refused: dict[int, str] = {}
        try:
            if small:
                found = await _by_uid(session, small, sizes)
        except Refused as error:
            if error.word == "BYE":
                raise
            for uid in small:  # one of them is at fault, and only asking for each tells which
                try:
                    found |= await _by_uid(session, [uid], sizes)
                except Refused as alone:
                    if alone.word == "BYE":
                        raise
                    refused[uid] = self._reply(alone).text
        for uid in uids:
            size_bytes = sizes.get(uid, 0)
            if size_bytes > largest:
                skipped.append(SkippedMail(uid, size_bytes, f"It has {size_bytes} bytes; at most {largest} are read."))
            elif uid in refused:
                skipped.append(SkippedMail(uid, size_bytes, f"The server cannot give it: {refused[uid]}"))
            elif (mail := found.get(uid)) is not None and mail.raw is not None:
                mails.append(FetchedMail(uid, mail.received_at, mail.raw))
            elif mail is not None:
                skipped.append(SkippedMail(uid, size_bytes, "The server has no content for it."))

    # --- opening ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _session(self, way: _Way) -> AsyncIterator[ImapSession]:
        """A conversation, encrypted and logged in as configured; taken leave of, or cut when it broke.

        An access token can be withdrawn before its time, so one that is refused is renewed and shown anew, once.
        """
        try:
            session = await self._opened(way)
        except _TokenRefused:
            session = await self._opened(way)
        try:
            yield session
        except BaseException:  # in the middle of a reply, also when cancelled: of no more use; raised again
            session.abort()
            raise
        await session.log_out()

    async def _opened(self, way: _Way) -> ImapSession:
        settings = self.settings
        way.phase = "connect"
        if settings.security == "none" and not is_here(settings.host):
            raise _Unusable(
                f"The password is not sent to {settings.host} without encryption; set security to tls or starttls."
            )
        context = None if settings.security == "none" else await self._tls_context()
        secret = await asyncio.to_thread(self._secret) if self._tokens is None else ""
        try:
            session = await open_session(
                settings.host,
                settings.port or DEFAULT_PORTS[settings.security],
                tls=context if settings.security == "tls" else None,
                timeout_s=settings.timeout_seconds,
            )
        except UnicodeError as error:  # a host name no resolver could be asked for
            raise _Unusable(f"{shown(settings.host)} is not a host name.") from error
        try:
            if settings.security == "starttls" and context is not None:
                way.phase = "starttls"
                if "STARTTLS" not in await session.offers():
                    raise _Unusable(f"{settings.host} offers no STARTTLS; nothing is sent without encryption.")
                await session.start_tls(context)
            way.phase = "auth"
            await self._log_in(session, secret)
        except BaseException:  # a line nobody holds is closed, also when cancelled; raised again
            session.abort()
            raise
        return session

    async def _log_in(self, session: ImapSession, secret: str) -> None:
        if not self.settings.username:
            raise _Unusable(f"{self.name} has no username; set it to the mailbox's address.")
        offered = await session.offers()
        if self.settings.auth == "xoauth2":
            if "AUTH=XOAUTH2" not in offered:
                raise _Unusable(f"{self.settings.host} takes no access token (XOAUTH2); set auth to password.")
            await self._show_token(session, secret, at_once="SASL-IR" in offered)
        elif "LOGINDISABLED" in offered:
            raise _Unusable(f"{self.settings.host} takes no password on this connection.")
        else:
            await session.log_in(self.settings.username, secret)

    async def _show_token(self, session: ImapSession, token: str, *, at_once: bool) -> None:
        if self._tokens is not None:
            token = await self._tokens.access_token()
            self._secrets.add(token)
        try:
            await session.log_in_with_token(self.settings.username, token, at_once=at_once)
        except Refused as error:
            if self._tokens is None or judge("auth", self._reply(error)) is not Outcome.AUTH:
                raise
            self._tokens.refused(token)
            raise _TokenRefused(error.word, error.text) from None

    def _secret(self) -> str:
        if self._fetch_secret is None:
            raise AuthNeeded(f"{self.name} has a username but no password.")
        secret = self._fetch_secret()
        if any(character in secret for character in "\x00\r\n"):
            raise AuthNeeded(f"The password of {self.name} has a line break in it.")
        self._secrets.add(secret)
        return secret

    async def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = await asyncio.to_thread(verifying_context, self.settings.ca_file)
            except OSError as error:
                why = error.strerror or error
                raise _Unusable(f"ca_file {self.settings.ca_file} cannot be used: {why}.") from error
        return self._tls

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _failed(self, error: Exception, way: _Way, started: float) -> Attempt:
        if isinstance(error, Refused):
            reply = self._reply(error)
            return self._attempt(judge(way.phase, reply), way, started, reply.codes, reply.text)
        if isinstance(error, _Unusable):
            return self._attempt(Outcome.AUTH, way, started, detail=str(error))
        if isinstance(error, AicmoError):
            outcome = Outcome.TRANSIENT if error.retryable else Outcome.AUTH
            return self._attempt(outcome, way, started, detail=error.message)
        if problem := tls_problem(error, ports=_PORTS):
            return self._attempt(Outcome.AUTH, way, started, detail=f"{self.settings.host}: {problem}")
        detail = str(error) or "The server did not answer in time."
        return self._attempt(Outcome.TRANSIENT, way, started, detail=detail)

    def _attempt(self, outcome: Outcome, way: _Way, started: float, code: str = "", detail: str = "") -> Attempt:
        latency_s = self._clock.monotonic() - started
        detail = one_line(detail, limit=300)
        return Attempt(self.name, outcome, Applied.NO, way.phase, code, detail, latency_s=latency_s)

    def _reply(self, error: Refused) -> Reply:
        return read_reply(error.word, error.text, secrets=as_echoed(self.settings.username, self._secrets))


@dataclass(slots=True)
class _Way:
    """How far a conversation got."""

    phase: str = "connect"

    def enter(self, phase: str) -> None:
        self.phase = phase


class _TokenRefused(Refused):
    """An access token of ours, for good; another one may be had."""


class _Unusable(Exception):
    """Known from our side: with this configuration it cannot work."""


async def _by_uid(session: ImapSession, uids: list[int], sizes: dict[int, int]) -> dict[int, Found]:
    found = await session.mails(uids, sum(sizes.get(uid, 0) for uid in uids))
    return {each.uid: each for each in found}


def _together(uids: list[int], sizes: dict[int, int], largest: int) -> list[list[int]]:
    """``uids`` in order, cut where the next mail would make the part too big to fetch at once."""
    parts: list[list[int]] = []
    size_bytes = TOGETHER_BYTES
    for uid in uids:
        own_bytes = sizes.get(uid, 0) if sizes.get(uid, 0) <= largest else 0
        size_bytes += own_bytes
        if not parts or size_bytes > TOGETHER_BYTES or len(parts[-1]) == TOGETHER:
            parts.append([])
            size_bytes = own_bytes
        parts[-1].append(uid)
    return parts
