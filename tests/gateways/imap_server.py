"""A mailbox whose server does what a script says: the outside world of the IMAP adapter's tests.

The script answers by verb (``greeting``, ``login``, ``examine``, ``search``, ``sizes``, ``fetch``, ...): a string is
the tagged answer (``NO [INUSE] busy``), ``DROP`` closes the connection, ``HANG`` says nothing; a list is used up one a
time.
Without a script it serves ``mails`` (UID -> message), as RFC 3501 says.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

DROP = "<drop>"
HANG = "<hang>"
UNFINISHED = "<unfinished>"
"""At the end of an answer: its last line has no end."""
Answer = str | bytes | list[str]


@dataclass
class ScriptedMailbox:
    mails: dict[int, bytes] = field(default_factory=dict)
    script: dict[str, Answer] = field(default_factory=dict)
    uid_validity: int = 7
    offers: str = "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2"
    tls: ssl.SSLContext | None = None
    unreadable: set[int] = field(default_factory=set)
    """UIDs that make a FETCH of them fail as a whole."""
    sizes_said: dict[int, int] = field(default_factory=dict)
    """UID -> what RFC822.SIZE says, where it lies."""
    port: int = 0
    seen: list[str] = field(default_factory=list)
    """Commands, without their tags."""
    connections: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._utter(self._next("greeting", "* OK scripted ready"), writer, "")
        while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
            tag, _, command = line.partition(" ")
            self.seen.append(command)
            verb = command.lower().removeprefix("uid ").split(" ", 1)[0]
            if verb == "fetch" and "BODY.PEEK[]" not in command:
                verb = "sizes"
            given = self._next(verb, "")
            if given:
                await self._utter(given, writer, tag)
                if verb == "authenticate" and isinstance(given, str) and given.startswith("+"):
                    self.seen.append((await reader.readline()).decode().removesuffix("\r\n"))
                    writer.write(f"{tag} {'OK welcome' if self.seen[-1] else 'NO refused'}\r\n".encode())
                continue
            getattr(self, f"_{verb}", self._ok)(command, writer)
            if verb == "starttls" and self.tls:
                writer.write(f"{tag} OK go ahead\r\n".encode())
                await writer.start_tls(self.tls)
            elif verb == "fetch" and self.unreadable & set(_uids(command)):
                writer.write(f"{tag} NO [SERVERBUG] message is damaged\r\n".encode())
            else:
                writer.write(f"{tag} OK done\r\n".encode())
            await writer.drain()
            if verb == "logout":
                return

    def _ok(self, command: str, writer: asyncio.StreamWriter) -> None:
        pass

    def _capability(self, command: str, writer: asyncio.StreamWriter) -> None:
        more = " STARTTLS" if self.tls and not writer.get_extra_info("sslcontext") else ""
        writer.write(f"* CAPABILITY {self.offers}{more}\r\n".encode())

    def _examine(self, command: str, writer: asyncio.StreamWriter) -> None:
        writer.write(f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY {self.uid_validity}] valid\r\n".encode())

    def _search(self, command: str, writer: asyncio.StreamWriter) -> None:
        after = int(command.rsplit(" ", 1)[1].split(":")[0])
        uids = [uid for uid in self.mails if uid >= after] or list(self.mails)[-1:]  # N:* always names the last
        writer.write(("* SEARCH " + " ".join(map(str, uids)) + "\r\n").encode())

    def _sizes(self, command: str, writer: asyncio.StreamWriter) -> None:
        for uid in _uids(command):
            size = self.sizes_said.get(uid, len(self.mails[uid]))
            writer.write(f"* {uid} FETCH (UID {uid} RFC822.SIZE {size})\r\n".encode())

    def _fetch(self, command: str, writer: asyncio.StreamWriter) -> None:
        for uid in _uids(command):
            raw = self.mails[uid]
            writer.write(b'* %d FETCH (INTERNALDATE "17-Jul-1996 02:44:25 -0700" BODY[] {%d}\r\n' % (uid, len(raw)))
            writer.write(raw + b" UID %d)\r\n" % uid)

    def _logout(self, command: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* BYE until next time\r\n")

    def _next(self, verb: str, default: str) -> str | bytes:
        answer = self.script.get(verb, default)
        if isinstance(answer, list):
            return answer.pop(0) if answer else default
        return answer

    async def _utter(self, answer: str | bytes, writer: asyncio.StreamWriter, tag: str) -> None:
        if answer == DROP:
            raise ConnectionResetError
        if answer == HANG:
            await self.released.wait()
            raise ConnectionResetError
        if isinstance(answer, bytes):
            writer.write(answer)
        elif answer.startswith(("*", "+")):
            writer.write(answer.encode() + b"\r\n")
        else:
            writer.write(f"{tag} {answer}\r\n".removesuffix(f"{UNFINISHED}\r\n").encode())
        await writer.drain()
        if "hangs up" in str(answer) or str(answer).startswith("* BYE"):
            raise ConnectionResetError


def _uids(command: str) -> list[int]:
    return [int(uid) for uid in command.split(" ")[2].split(",")]
