"""The mailbox of the sandbox's sender: an IMAP server over pymap, in memory, without TLS, for one user.

INBOX holds one of each kind of answer a campaign gets (a reply, a bounce, an absence note), Sent the mail they answer.

This module imports pymap (extra ``demo``): only the sandbox's own process imports it.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from proxyprotocol.result import ProxyResultUnknown
from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxSet
from pymap.exceptions import InvalidAuth, ResponseError
from pymap.imap import IMAPServer
from pymap.parsing.message import AppendMessage
from pymap.parsing.response import ResponseNo
from pymap.parsing.specials.flag import Seen
from pymap.user import UserMetadata
from pysasl import SASLAuth
from pysasl.creds.external import ExternalCredentials, ExternalVerificationRequired
from pysasl.hashing import Cleartext

from aicmo.clock import Clock
from aicmo.sandbox import PASSWORD, USER
from aicmo.sandbox.lean_mail import append_lean
from aicmo.sandbox.listening import Server, reset_connection

_SENT = b"""\
From: Ada Lovelace <ada@example.com>
To: {to}
Subject: The engine, and a question
Date: {date}
Message-ID: <{id}@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Would an hour next week suit you?
"""

_REPLY = b"""\
From: Zoe Martin <zoe.martin@atelier.example>
To: Ada Lovelace <ada@example.com>
Subject: Re: The engine, and a question
Date: {date}
Message-ID: <reply-1@atelier.example>
In-Reply-To: <sample-1@example.com>
References: <sample-1@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Tuesday at ten would be lovely. \xc3\x80 mardi!

> Would an hour next week suit you?
"""

# RFC 3464: a report, what the machine says, and the head of the mail it is about.
_BOUNCE = b"""\
From: Mail Delivery System <mailer-daemon@mx.harbour.example>
To: <ada@example.com>
Return-Path: <>
Subject: Undelivered Mail Returned to Sender
Date: {date}
Message-ID: <bounce-1@mx.harbour.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=-b"

--=-b
Content-Type: text/plain; charset=us-ascii

<li.wei@harbour.example>: no such user here

--=-b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.harbour.example

Final-Recipient: rfc822; li.wei@harbour.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user here

--=-b
Content-Type: text/rfc822-headers

From: Ada Lovelace <ada@example.com>
To: li.wei@harbour.example
Subject: The engine, and a question
Message-ID: <sample-2@example.com>

--=-b--
"""

# RFC 3834: how an automatic answer declares itself.
_AWAY = b"""\
From: Omar Haddad <omar.haddad@cedar.example>
To: Ada Lovelace <ada@example.com>
Subject: Out of office: The engine, and a question
Date: {date}
Message-ID: <away-1@cedar.example>
In-Reply-To: <sample-3@example.com>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

I am away until Monday and read no mail.
"""

_ANSWERS = (_REPLY, _BOUNCE, _AWAY)
_ADDRESSED_TO = (b"zoe.martin@atelier.example", b"li.wei@harbour.example", b"omar.haddad@cedar.example")


class ImapServer(Server):
    """The mailbox on its port; ``open_mailbox`` fills it first."""

    _pymap: IMAPServer
    _mailboxes: MailboxSet

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name, clock)
        self.takes_token: Callable[[str, str], bool] = lambda _user, _token: False
        """Whether a user gets in with an access token."""

    async def open_mailbox(self) -> None:
        """Make the mailbox as it is at the start. To be awaited before the port is opened."""
        config = _Config(
            Namespace(passlib_cfg=None, proxy_protocol=None),
            host="127.0.0.1",
            port=0,
            demo_data=False,
            demo_user=USER,
            demo_password=PASSWORD,
            tls_enabled=False,
            invalid_user_sleep=0.0,
            reject_dnsbl=False,
            hash_context=Cleartext(),  # The password is public; to hash it would cost each login a tenth of a second.
        )
        login = _Login(config, self)
        await login.demo_user_identity.set(UserMetadata(config, USER, password=PASSWORD))
        self._mailboxes = await _mailboxes(self.clock)
        config.set_cache[USER] = (self._mailboxes, FilterSet())
        config.apply_context()
        self._pymap = IMAPServer(login, config)

    async def put_in_inbox(self, mail: bytes, at: datetime) -> None:
        """Let a mail arrive; whoever has INBOX selected hears of it."""
        await append_lean(await self._mailboxes.get_mailbox("INBOX"), mail, at)

    async def file_sent(self, mail: bytes) -> None:
        """Put a copy of ``mail`` into Sent, read already, as large providers do with what they are given to send."""
        sent = await self._mailboxes.get_mailbox("Sent")
        await sent.append(AppendMessage(mail, self.clock.now(), frozenset({Seen})))

    def protocol(self) -> asyncio.BaseProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._serve)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: int = writer.get_extra_info("peername")[1]
        self.connections += 1
        self.peers.add(peer)
        _streams.set((reader, writer))
        try:
            if reply := await self.suffer("connect"):
                writer.write(reply.encode() + b"\r\n")
            else:
                await self._pymap(reader, writer, SocketInfo.get(writer, ProxyResultUnknown(None)))
        except ConnectionError:
            pass  # The client is gone, which is its right at any time.
        finally:
            self.peers.discard(peer)
            writer.close()

    async def suffer(self, phase: str) -> str:
        """Let happen what the script says; returns the reply to give in place of the usual one, or nothing.

        Raises ``ConnectionError`` when the connection is to end.
        """
        fault = self.pick(phase)
        if fault is None:
            return ""
        reader, writer = _streams.get()
        if fault.action == "slow":
            await self.clock.sleep(fault.seconds)
        elif fault.action != "reply":
            if fault.action == "drop":
                reset_connection(writer.transport)
            while await reader.read(65536):
                pass  # Until the client leaves.
            raise ConnectionResetError
        return fault.reply


# Of the connection that the running task serves.
_streams: ContextVar[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = ContextVar("streams")


class _Login(Login):
    def __init__(self, config: Config, server: ImapServer) -> None:
        super().__init__(config)
        self._server = server

    async def authenticate(self, credentials: Any) -> Any:
        if reply := await self._server.suffer("auth"):
            raise _Refused(reply.removeprefix("NO ").encode())
        if isinstance(credentials, ExternalCredentials):
            try:
                credentials.verify(None)
            except ExternalVerificationRequired as shown:
                if self._server.takes_token(credentials.authzid, shown.token or ""):
                    return self.demo_user_identity
                raise InvalidAuth() from None
        return await super().authenticate(credentials)


class _Refused(ResponseError):
    def get_response(self, tag: bytes) -> ResponseNo:
        return ResponseNo(tag, self.args[0])


async def _mailboxes(clock: Clock) -> MailboxSet:
    mailboxes = MailboxSet()
    await mailboxes.add_mailbox("Sent")
    inbox, sent = await mailboxes.get_mailbox("INBOX"), await mailboxes.get_mailbox("Sent")
    yesterday = clock.now() - timedelta(days=1)
    for number, (to, answer) in enumerate(zip(_ADDRESSED_TO, _ANSWERS, strict=True), 1):
        written = yesterday + timedelta(minutes=number)
        mail = _SENT.replace(b"{to}", to).replace(b"{id}", b"sample-%d" % number)
        await sent.append(AppendMessage(_dated(mail, written), written, frozenset({Seen})))
        await inbox.append(AppendMessage(_dated(answer, written + timedelta(hours=1)), written + timedelta(hours=1)))
    return mailboxes


def _dated(mail: bytes, moment: Any) -> bytes:
    from email.utils import format_datetime

    return mail.replace(b"{date}", format_datetime(moment).encode()).replace(b"\n", b"\r\n")


class _Config(Config):
    @property
    def tls_auth(self) -> SASLAuth:
        return SASLAuth.named([b"PLAIN", b"LOGIN", b"XOAUTH2"])

    @property
    def greeting(self) -> bytes:
        return b"AICMO sandbox ready"  # The original asks the resolver for this machine's name at every connection.
