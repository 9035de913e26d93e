"""The sandbox's own process: everything that listens, and the end of it all when the parent lets go.

Standard output carries one line, the addresses; standard input carries nothing, and its end is the order to stop. A
parent that is killed closes it too, so a sandbox never outlives who started it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, InvalidInput, ProviderUnavailable
from aicmo.sandbox import KEYS
from aicmo.sandbox.audience import AudienceRates
from aicmo.sandbox.audience.crowd import Crowd
from aicmo.sandbox.faults import HTTP_SERVERS, SMTP_SERVERS, Fault, FaultScript, parse_faults
from aicmo.sandbox.http import HttpServer
from aicmo.sandbox.http_log import HttpLog
from aicmo.sandbox.imap import ImapServer
from aicmo.sandbox.listening import Server
from aicmo.sandbox.mail import MailLog
from aicmo.sandbox.people import write_csv
from aicmo.sandbox.smtp import SmtpServer
from aicmo.text import shown

_MAX_ORDER = 1024 * 1024


class World:
    """The servers, the script they obey, and the logs they write."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: ssl.SSLContext | None = None,
        seed: int = 1,
        audience: AudienceRates | None = None,
        audience_scale: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.mail = MailLog(folder, clock=clock, added=self._mail_came)
        self.requests = HttpLog(folder)
        self._clock = clock
        self.keeps_copies = False
        """Whether the mail servers file a copy of what they accept in the mailbox's Sent."""
        self.smtp = {name: SmtpServer(name, self.mail, tls, clock, file_copy=self._file_copy) for name in SMTP_SERVERS}
        self.http = {name: HttpServer(name, seed, self.requests, clock) for name in HTTP_SERVERS}
        self.imap = ImapServer("imap", clock)
        self.imap.takes_token = self.http["oauth"].takes_token
        for server in self.smtp.values():
            server.takes_token = self.http["oauth"].takes_token
        self._script = FaultScript(clock=clock)
        self._opening = asyncio.Lock()  # Opening a port waits; two scripts must not open it twice.
        self._next_change: asyncio.Task[None] | None = None
        self.crowd: Crowd | None = None
        """The simulated audience; None when nobody reads the mail."""
        if audience is not None:
            put_in_inbox = self.imap.put_in_inbox
            self.crowd = Crowd(
                folder, audience, seed=seed, scale=audience_scale, put_in_inbox=put_in_inbox, clock=clock
            )

    async def open(self, faults: Iterable[Fault]) -> None:
        """Fill the mailbox, open the ports that the script lets open, and let the audience in."""
        await self.imap.open_mailbox()
        await self.set_faults(faults)
        if self.crowd is not None:
            self.crowd.start()

    def _mail_came(self) -> None:
        if self.crowd is not None:
            self.crowd.mail_came()

    def _servers(self) -> Iterator[Server]:
        yield from self.smtp.values()
        yield from self.http.values()
        yield self.imap

    async def set_faults(self, faults: Iterable[Fault]) -> None:
        """Put a script in force in place of the last; when this returns, the ports are as it wants them."""
        self._script = script = FaultScript(faults, clock=self._clock)
        for server in self._servers():
            server.script = script
        if self._next_change is not None:
            self._next_change.cancel()
        await self._obey(script)
        self._next_change = asyncio.create_task(self._keep_obeying(script))

    async def _keep_obeying(self, script: FaultScript) -> None:
        while (wait_s := script.next_change_s()) is not None:
            await self._clock.sleep(wait_s)
            await self._obey(script)

    async def _obey(self, script: FaultScript) -> None:
        async with self._opening:
            for server in self._servers():
                await server.listen(not script.refuses(server.name))

    async def _file_copy(self, mail: bytes) -> None:
        if self.keeps_copies:
            await self.imap.file_sent(mail)

    def set_account(self, name: str, settings: dict[str, Any]) -> None:
        """Change what the user of a provider has there. Raises ``InvalidInput``."""
        if name not in self.http:
            raise InvalidInput(f"{shown(name)} has no account.", hint=f"Known: {', '.join(HTTP_SERVERS)}.")
        self.http[name].set_account(settings)

    async def reset(self) -> None:
        """No faults, no mail, no copies from now on, no requests, and every provider's data as it was at the start."""
        self.keeps_copies = False
        await self.set_faults(())
        self.mail.clear()
        if self.crowd is not None:
            await self.crowd.forget()
        self.requests.clear()
        for server in self.http.values():
            server.reset()

    def addresses(self) -> dict[str, Any]:
        return {
            "smtp": {name: _address(server) for name, server in self.smtp.items()},
            "http": {name: _address(server) | {"path": server.path} for name, server in self.http.items()},
            "imap": _address(self.imap),
        }

    def status(self) -> dict[str, Any]:
        return {
            "received": self.mail.count,
            "smtp": {name: _status(server) for name, server in self.smtp.items()},
            "http": {name: _status(server) for name, server in self.http.items()},
            "imap": _status(self.imap),
            "faults": self._script.remaining(),
            "audience": self.crowd and {"waiting": self.crowd.waiting, "done": self.crowd.done},
        }

    def close(self) -> None:
        if self._next_change is not None:
            self._next_change.cancel()
        for server in self._servers():
            server.close()
        if self.crowd is not None:
            self.crowd.close()
        self.mail.close()
        self.requests.close()


async def control(world: World, line: bytes) -> dict[str, Any]:
    """Do what one line of the control socket asks, and answer it: ``ok``, and ``error`` when it is false."""
    try:
        order = json.loads(line)
        match order:
            case {"do": "faults", "rules": rules}:
                await world.set_faults(parse_faults(rules))
            case {"do": "reset"}:
                await world.reset()
            case {"do": "account", "server": str(name), "settings": dict(settings)}:
                world.set_account(name, settings)
            case {"do": "copies", "kept": bool(kept)}:
                world.keeps_copies = kept
            case {"do": "settle"}:
                if world.crowd is not None:
                    await world.crowd.settled()
            case {"do": "status"}:
                return {"ok": True, **world.status()}
            case _:
                raise InvalidInput(
                    "An order is faults (with rules), account (server, settings), copies (kept), reset, settle or "
                    "status."
                )
    except (AicmoError, ValueError, RecursionError) as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True}


def run(
    folder: Path,
    *,
    faults: Iterable[Fault] = (),
    starttls: bool = False,
    seed: int = 1,
    audience: AudienceRates | None = None,
    audience_scale: float = 0.0,
) -> None:
    """Be a sandbox in ``folder`` until standard input ends, or SIGTERM or SIGINT comes."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's; its warnings are about what clients do.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    people = folder / "people.csv"
    write_csv(people, seed=seed)
    certificate = _make_certificate(folder) if starttls else None
    ready = {
        "folder": str(folder),
        "people": str(people),
        "certificate": str(certificate) if certificate else None,
        "keys": KEYS,
    }
    tls = _tls_context(certificate) if certificate else None
    make_world = partial(World, folder, tls=tls, seed=seed, audience=audience, audience_scale=audience_scale)
    asyncio.run(_serve(make_world, faults, ready))


async def _serve(make_world: Callable[[], World], faults: Iterable[Fault], ready: dict[str, Any]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for order_to_stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(order_to_stop, stop.set)
    threading.Thread(target=_wait_for_end_of_input, args=(loop, stop), name="stdin", daemon=True).start()

    with closing(make_world()) as world:
        await world.open(faults)
        orders = await asyncio.start_server(partial(_take_orders, world), "127.0.0.1", 0, limit=_MAX_ORDER)
        with closing(orders):
            host, port = orders.sockets[0].getsockname()
            print(json.dumps(world.addresses() | {"control": {"host": host, "port": port}} | ready), flush=True)
            await stop.wait()


async def _take_orders(world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(json.dumps(await control(world, line)).encode() + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError):
        pass  # The client is gone, or its line is too long to be an order.
    finally:
        writer.close()


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not sys.stdin: its lock, held by this thread when the interpreter ends, would be a fatal error.
    while os.read(0, 65536):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


def _address(server: Server) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port}


def _status(server: Server) -> dict[str, Any]:
    return {"listening": server.listening, "connections": server.connections, "open": len(server.peers)}


def _make_certificate(folder: Path) -> Path:
    """A self-signed certificate and its key in one file, which is also what a client has to trust."""
    path = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "30"]
    try:
        made = subprocess.run(
            [*command, "-keyout", "-", "-out", "-"],
            capture_output=True,
            check=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProviderUnavailable(
            "No certificate could be made.", hint="--starttls needs the openssl command."
        ) from error
    path.touch(mode=0o600)
    path.write_bytes(made.stdout)
    return path


def _tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
