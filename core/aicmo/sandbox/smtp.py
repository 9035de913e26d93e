"""The SMTP servers: well behaved by themselves, and wrong exactly where the fault script says so.

``aiosmtpd`` speaks the protocol. Added are the faults, and a body that is read in large pieces rather than by lines.
Only a body that reached its final dot is ever recorded.

This module imports aiosmtpd (extra ``demo``): only the sandbox's own process imports it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from aicmo.clock import Clock
from aicmo.sandbox import PASSWORD, USER
from aicmo.sandbox.faults import Fault
from aicmo.sandbox.listening import Server, reset_connection
from aicmo.sandbox.mail import MailLog

_MAX_BYTES = 32 * 1024 * 1024
_IDLE_S = 24 * 3600.0  # Longer than anything hangs: a server of the sandbox never gives up first.
_READ_ALL = 1024 * 1024  # More than the reader ever holds, so that nothing stays behind in it.
_END = b"\r\n.\r\n"
# What almost every command carries; the rest goes through aiosmtpd's parser, which takes 50 us.
_PLAIN_ADDRESS = re.compile(r"<([A-Za-z0-9_.+=/-]+@[A-Za-z0-9.-]+)>")


class SmtpServer(Server):
    """A mail server that records what it accepts in ``mail``, and gives it to ``file_copy`` before it says so."""

    def __init__(
        self,
        name: str,
        mail: MailLog,
        tls: ssl.SSLContext | None,
        clock: Clock,
        *,
        file_copy: Callable[[bytes], Awaitable[None]],
    ) -> None:
        super().__init__(name, clock)
        self.mail = mail
        self.file_copy = file_copy
        self.tls = tls
        self.takes_token: Callable[[str, str], bool] = lambda _user, _token: False
        """Whether a user gets in with an access token."""

    def protocol(self) -> asyncio.BaseProtocol:
        return _Connection(self)


class _Connection(SMTP):
    # Optional to aiosmtpd; within a command all three are there.
    session: Any
    envelope: Any
    transport: Any
    line_length_limit = 64 * 1024  # Of the reader's buffer. Commands keep their own limit of 512.

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._peer_port = 0
        super().__init__(
            self,
            data_size_limit=_MAX_BYTES,
            hostname=f"{server.name}.sandbox.example",
            ident="ESMTP AICMO sandbox",
            tls_context=server.tls,
            timeout=_IDLE_S,
            auth_require_tls=False,
            auth_callback=lambda _, login, password: (login, password) == (USER.encode(), PASSWORD.encode()),
            loop=asyncio.get_running_loop(),
        )

    # -- phases ------------------------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        self._peer_port = self.session.peer[1]
        self._server.connections += 1
        self._server.peers.add(self._peer_port)
        try:
            reply = await self._suffer("connect")
            if reply:
                await self._say_and_close(reply)
            else:
                await super()._handle_client()
        except ConnectionError:
            pass  # The client is gone, which is its right at any time.
        finally:
            self._server.peers.discard(self._peer_port)
            self._writer.close()

    async def smtp_EHLO(self, hostname: str) -> None:
        await self._unless_faulty("ehlo", super().smtp_EHLO, hostname)

    async def smtp_HELO(self, hostname: str) -> None:
        await self._unless_faulty("ehlo", super().smtp_HELO, hostname)

    async def smtp_AUTH(self, arg: str) -> None:
        await self._unless_faulty("auth", super().smtp_AUTH, arg)

    async def auth_XOAUTH2(self, _server: Any, args: list[str]) -> AuthResult:
        """As Google does it: what is wrong is told as a challenge, and the refusal follows on an empty line."""
        shown = re.fullmatch(r"user=(.*)\x01auth=Bearer (.*)\x01\x01", base64.b64decode(args[-1]).decode())
        if shown and self._server.takes_token(shown[1], shown[2]):
            return AuthResult(success=True, auth_data=shown[1])
        await self.challenge_auth('{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}')
        await self.push("535 5.7.8 Username and Password not accepted")
        return AuthResult(success=False, handled=True)

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> Any:
        if reply := await self._suffer("mail"):
            return reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 ok"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> Any:
        if reply := await self._suffer("rcpt", address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def smtp_DATA(self, arg: str) -> None:
        if await self.check_helo_needed():
            return
        recipients = self.envelope.rcpt_tos
        if not recipients or arg:
            await self.push("503 5.5.1 need RCPT first" if not arg else "501 5.5.4 DATA takes no argument")
            return
        if reply := await self._suffer("data", *recipients):
            await self.push(reply)
            return
        await self.push("354 end data with <CR><LF>.<CR><LF>")
        body = await self._read_body(self._server.pick("body", *recipients))
        if body is None:
            return
        reply = await self._deliver(body)
        self.envelope = Envelope()
        await self.push(reply)

    async def _read_body(self, fault: Fault | None) -> bytes | None:
        """The body without the dots of transparency and the final one; None when it was refused already."""
        body = bytearray(b"\r\n")  # The end of the DATA line counts as the start of the body's end (RFC 5321 4.1.1.4).
        if fault:
            wanted = len(body) + fault.body_bytes
            while len(body) < wanted and _END not in body:
                body += await self._reader.read(wanted - len(body))
            if reply := await self._happen(fault):
                await self._say_and_close(reply)
                return None
        too_big = False
        searched = 0
        while (end := body.find(_END, searched)) < 0:
            if len(body) > _MAX_BYTES:
                too_big = True
                del body[: -len(_END)]
            searched = max(0, len(body) - len(_END))
            body += await self._reader.read(_READ_ALL)
        if len(body) > end + len(_END):
            self._reader.feed_data(bytes(body[end + len(_END) :]))  # A client that did not wait: its next command.
        if too_big:
            self.envelope = Envelope()
            await self.push("552 5.3.4 message too big")
            return None
        return bytes(body[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]

    async def _deliver(self, body: bytes) -> str:
        fault = self._server.pick("dot", *self.envelope.rcpt_tos)
        if fault and fault.action == "reply" and not fault.reply.startswith("2"):
            return fault.reply
        sender = self.envelope.mail_from.strip("<>")
        queue_id = self._server.mail.add(self._server.name, sender, self.envelope.rcpt_tos, self._peer_port, body)
        await self._server.file_copy(body)
        reply = await self._happen(fault) if fault else ""
        return reply or f"250 2.0.0 queued as {queue_id}"

    # -- faults ------------------------------------------------------------------------------------------------

    async def _suffer(self, phase: str, *recipients: str) -> str:
        """Let happen what the script says; returns the reply to give in place of the usual one, or nothing."""
        fault = self._server.pick(phase, *recipients)
        return await self._happen(fault) if fault else ""

    async def _happen(self, fault: Fault) -> str:
        if fault.action == "slow":
            await self._server.clock.sleep(fault.seconds)
        elif fault.action != "reply":
            if fault.action == "drop":
                reset_connection(self.transport)
            await asyncio.get_running_loop().create_future()  # Until connection_lost() cancels this task.
        return fault.reply

    async def _unless_faulty(self, phase: str, command: Any, arg: str) -> None:
        if reply := await self._suffer(phase):
            await self.push(reply)
        else:
            await command(arg)

    async def push(self, status: Any) -> None:
        await super().push(status)
        if status[:3] in ("421", b"421"):
            self.transport.close()

    async def handle_exception(self, error: Exception) -> str:
        logging.getLogger(__name__).error("%s: a command failed", self._server.name, exc_info=error)
        return "451 4.3.0 local error" if isinstance(error, OSError) else "500 5.5.2 cannot be understood"

    async def _say_and_close(self, reply: str) -> None:
        await self.push(reply)
        self.transport.close()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        plain = _PLAIN_ADDRESS.match(arg)
        return (plain[1], arg[plain.end() :]) if plain else super()._getaddr(arg)
