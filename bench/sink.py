"""An SMTP server that only counts: as fast as Python allows, in a process of its own, so that what sends is measured.

It writes one line per accepted message to a file before the 250 leaves, so the file is the truth about what was
received, whoever is killed meanwhile. Run as a program it prints its ports as a line of JSON and ends when its standard
input does; ``start_sink`` does both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MESSAGE_ID = re.compile(rb"(?im)^message-id:\s*(<[^>\r\n]*>)")
_PATH = re.compile(rb"<([^>]*)>")
_END = b"\r\n.\r\n"
FAULTS = ("before the body", "amid the body", "refused", "answer lost")
"""Where the first server fails, in turn: it hangs up instead of asking for the body; it hangs up while the body comes;
it has the whole body and says 421; it takes the message and hangs up without a word."""


@dataclass(frozen=True, slots=True)
class Received:
    number: int
    """Counts up over all servers of a sink, from 1, in the order of acceptance."""
    server: int
    recipient: str
    message_id: str
    """With its angle brackets; empty when the message had none."""
    answered: bool
    """Whether the sender was told that it was accepted."""


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink."""

    ports: tuple[int, ...]
    """On 127.0.0.1, one per server."""
    file: Path

    def received(self) -> list[Received]:
        """Every message that was accepted, in order."""
        lines = (line.split("\t") for line in self.file.read_text().splitlines())
        return [
            Received(int(number), int(server), recipient, message_id, answered == "1")
            for number, server, recipient, message_id, answered in lines
        ]

    def count(self) -> int:
        """How many; cheap enough to ask every millisecond."""
        with self.file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1000))
            lines = file.read().splitlines()
        return int(lines[-1].split(b"\t")[0]) if lines else 0


@contextlib.contextmanager
def start_sink(
    file: Path, *, servers: int = 1, rtt_s: float = 0.0, fault_every: int = 0, pipelining: bool = True
) -> Iterator[Sink]:
    """A sink that writes to ``file``; it ends with the block, or with this process.

    Each of its answers waits ``rtt_s``, as if that were the way there and back. ``pipelining``: it offers that
    (RFC 2920), as most servers do. With ``fault_every``, the first server fails at every so many messages, in each of
    the ways of ``FAULTS`` in turn.
    """
    command = [sys.executable, __file__, os.fspath(file), "--servers", str(servers), "--rtt", str(rtt_s)]
    command += ["--fault-every", str(fault_every)] + ([] if pipelining else ["--no-pipelining"])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Sink(tuple(json.loads(process.stdout.readline())["ports"]), file)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Book:
    """The file, and what the servers have in common."""

    def __init__(self, file: str, rtt_s: float, fault_every: int, pipelining: bool) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._accepted = 0
        self._asked = 0
        self._fault_every = fault_every
        self._faults = 0
        self.rtt_s = rtt_s
        self.offers = b"250-sink.example\r\n250-8BITMIME\r\n" + (b"250-PIPELINING\r\n" if pipelining else b"")

    def accept(self, server: int, recipients: list[bytes], message: bytes, answered: bool) -> None:
        """Write it down; the kernel has it when this returns."""
        found = _MESSAGE_ID.search(message)
        for recipient in recipients:
            self._accepted += 1
            line = (self._accepted, server, recipient, found[1] if found else b"", answered)
            os.write(self._file, b"%d\t%d\t%s\t%s\t%d\n" % line)

    def fault(self, server: int) -> str:
        """How the server fails with the message that is asked for now; mostly not."""
        self._asked += server == 0
        if server or not self._fault_every or self._asked % self._fault_every:
            return ""
        self._faults += 1
        return FAULTS[self._faults % len(FAULTS)]


class _Session(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, server: int, book: _Book) -> None:
        self._server = server
        self._book = book
        self._pending = bytearray()
        self._in_body = False
        self._fault = ""
        self._recipients: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._say(b"220 sink.example ESMTP")

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while not self._in_body and (end := self._pending.find(b"\n")) >= 0:
            line = bytes(self._pending[: end + 1])
            del self._pending[: end + 1]
            self._obey(line)
        if self._in_body:
            self._read_body()

    def _obey(self, line: bytes) -> None:
        match line[:4].upper().rstrip():
            case b"RCPT":
                path = _PATH.search(line)
                self._recipients.append(path[1] if path else b"")
                self._say(b"250 2.1.5 ok")
            case b"DATA" if (fault := self._book.fault(self._server)) == "before the body":
                self.transport.abort()
            case b"DATA":
                self._fault = fault
                self._in_body = True
                self._pending[:0] = b"\r\n"  # the end of this line is the start of the end (RFC 5321 4.1.1.4)
                self._say(b"354 end with a dot")
            case b"EHLO":
                self._say(self._book.offers + b"250 SMTPUTF8")
            case b"MAIL" | b"RSET":
                self._recipients = []
                self._say(b"250 2.0.0 ok")
            case b"HELO" | b"NOOP":
                self._say(b"250 2.0.0 ok")
            case b"QUIT":
                self.transport.write(b"221 2.0.0 bye\r\n")
                self.transport.close()
            case _:
                self._say(b"500 5.5.2 unknown")

    def _read_body(self) -> None:
        if self._fault == "amid the body":
            self.transport.abort()
        elif self._pending.endswith(_END):
            if self._fault == "refused":
                self._say(b"421 4.3.2 shutting down")
                return
            self._book.accept(self._server, self._recipients, bytes(self._pending), not self._fault)
            if self._fault:
                self.transport.abort()
                return
            self._pending, self._in_body, self._recipients = bytearray(), False, []
            self._say(b"250 2.0.0 accepted")

    def _say(self, reply: bytes) -> None:
        if self._book.rtt_s:
            asyncio.get_running_loop().call_later(self._book.rtt_s, self.transport.write, reply + b"\r\n")
        else:
            self.transport.write(reply + b"\r\n")


async def _serve(file: str, servers: int, rtt_s: float, fault_every: int, pipelining: bool) -> None:
    loop, ended, book = asyncio.get_running_loop(), asyncio.Event(), _Book(file, rtt_s, fault_every, pipelining)
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nobody writes to it: it is readable when it has ended
    listeners = [
        await loop.create_server(functools.partial(_Session, number, book), "127.0.0.1", 0) for number in range(servers)
    ]
    print(json.dumps({"ports": [each.sockets[0].getsockname()[1] for each in listeners]}), flush=True)
    await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="An SMTP server that only counts.")
    parser.add_argument("file", help="one line per accepted message")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--rtt", type=float, default=0.0, metavar="SECONDS", help="each answer waits so long")
    parser.add_argument("--fault-every", type=int, default=0, metavar="N", help="fail every Nth message")
    parser.add_argument("--no-pipelining", action="store_true", help="a client must wait for each answer")
    told = parser.parse_args()
    asyncio.run(_serve(told.file, told.servers, told.rtt, told.fault_every, not told.no_pipelining))


if __name__ == "__main__":
    main()
