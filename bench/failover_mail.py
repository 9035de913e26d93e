"""B6: mail whose answers are lost, or whose line is cut at any byte.

The campaign goes the whole way: ledger, outbox and chain send to the sandbox's two servers, which file copies in Sent
as large providers do, and the search for evidence reads those. What was received decides what was true. Beside it, the
same loss with the adapter alone and the failover anybody would write first.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aicmo.gateways import Applied, HealthRegistry, OutgoingMail, ProviderChain
from aicmo.gateways.providers.smtp import SmtpProvider
from aicmo.gateways.smtp_settings import SmtpSettings
from aicmo.sandbox import Fault, RunningSandbox, start_sandbox
from aicmo.store.deliveries import State
from aicmo.workspace import Workspace
from bench.failover_virtual import Line
from bench.mailing import furnish, new_campaign, open_house

LOST = 0.02
"""Share of the first server's last words that never arrive."""
PATIENCE_S = 120.0


# --- a campaign whose answers are lost --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of a campaign."""

    duplicates: int
    lost: int
    """Recipients who did not get it, and of whom the ledger does not say that it is unknown."""
    parked: int
    """Unknown when everything was sent."""
    resolved: int
    """Of these, by evidence."""
    untrue: int
    """Resolved as sent, and never received."""


def _campaign(messages: int, seed: int) -> Lost:
    with tempfile.TemporaryDirectory(prefix="aicmo-lost-") as temporary:
        folder = Path(temporary)
        with start_sandbox(folder / "sandbox") as sandbox:
            ports = [where.port for where in sandbox.smtp.values()]
            paths = furnish(folder, ports, connections=5, people=messages, mailbox=sandbox.imap.port)
            campaign = new_campaign(paths)
            return asyncio.run(_sent(open_house(paths), sandbox, campaign, random.Random(seed)))


async def _sent(workspace: Workspace, sandbox: RunningSandbox, campaign: int, chance: random.Random) -> Lost:
    async with workspace:
        publishing = workspace.publishing
        publishing.start(campaign, approve=True)
        people = [each.email for each in publishing.deliveries(campaign)]
        unlucky = [email for email in people if chance.random() < LOST]
        first = next(iter(sandbox.smtp))
        sandbox.set_faults([Fault("dot", "drop", server=first, recipient=email) for email in unlucky])
        sandbox.keep_copies()
        await publishing.outbox().run(patience_s=PATIENCE_S)
        parked = {each.id for each in publishing.deliveries(campaign, state=State.UNKNOWN)}
        while (await publishing.evidence().look()).asked:
            pass
        ledger = publishing.deliveries(campaign)
    copies = Counter(mail.message_id for mail in sandbox.received())
    resolved = [each for each in ledger if each.id in parked and each.state is State.SENT]
    return Lost(
        duplicates=sum(count > 1 for count in copies.values()),
        lost=sum(each.message_id not in copies and each.state is not State.UNKNOWN for each in ledger),
        parked=len(parked),
        resolved=len(resolved),
        untrue=sum(each.message_id not in copies for each in resolved),
    )


# --- the adapter alone ------------------------------------------------------------------------------------------------


@dataclass
class MailServer:
    """Takes mail; says nothing more after the final dot of the messages ``loses`` picks, which it has taken."""

    loses: Callable[[str], bool] = lambda _: False
    received: list[str] = field(default_factory=list)
    """Recipients, one per message taken."""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipient = ""
        writer.write(b"220 bench\r\n")
        while (line := await reader.readline()).endswith(b"\n"):
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipient = line.split(b"<")[1].split(b">")[0].decode()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.received.append(recipient)
                if self.loses(recipient):
                    return
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if verb == b"QUIT":
                return


async def _listening(server: MailServer) -> asyncio.Server:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**20)
    server.port = listener.sockets[0].getsockname()[1]
    return listener


def _smtp(name: str, port: int) -> SmtpProvider:
    settings = SmtpSettings(
        kind="smtp", host="127.0.0.1", port=port, security="none", timeout_seconds=2, final_reply_seconds=2
    )
    return SmtpProvider(name, settings)


def _mail(number: int) -> OutgoingMail:
    return OutgoingMail("a@example.com", f"{number}@example.com", b"Subject: x\r\n\r\nhello\r\n")


async def _nothing_to_write() -> None:
    pass


async def _naive_failover(messages: int, seed: int) -> int:
    """Duplicates when whatever was not heard of is simply given to the next server."""
    chance = random.Random(seed)
    unlucky = {f"{number}@example.com" for number in range(messages) if chance.random() < LOST}
    servers = [MailServer(unlucky.__contains__), MailServer()]
    listeners = [await _listening(server) for server in servers]
    providers = [_smtp(f"smtp-{number}", server.port) for number, server in enumerate(servers)]
    left = iter(range(messages))

    async def work() -> None:
        for number in left:
            for provider in providers:
                attempt = await provider.send(_mail(number), before_body=_nothing_to_write)
                if attempt.applied is Applied.YES:
                    break

    await asyncio.gather(*(work() for _ in range(5)))
    for provider in providers:
        await provider.close()
    for listener in listeners:
        listener.close()
    got = [*servers[0].received, *servers[1].received]
    return len(got) - len(set(got))


async def _cut_at(cut: int, *, upstream: bool) -> tuple[Applied, int]:
    """One message through a line that dies after ``cut`` bytes, one way; what is reported, and how often it arrived."""
    servers = [MailServer(), MailServer()]
    listeners = [await _listening(server) for server in servers]

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", servers[0].port)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, most: int | None) -> None:
            carried = 0
            with suppress(ConnectionError):
                while piece := await source.read(65536):
                    piece = piece if most is None else piece[: most - carried]
                    carried += len(piece)
                    sink.write(piece)
                    await sink.drain()
                    if carried == most:
                        return

        both = [
            asyncio.create_task(carry(reader, far_writer, cut if upstream else None)),
            asyncio.create_task(carry(far_reader, writer, None if upstream else cut)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        far_writer.close()  # a close, not an abort: what was let through arrives
        writer.transport.abort()

    proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
    providers = [_smtp("cut", proxy.sockets[0].getsockname()[1]), _smtp("spare", servers[1].port)]
    registry = HealthRegistry()
    chain = ProviderChain("email_sending", providers, registry)
    result = await chain.call(lambda provider: provider.send(_mail(0), before_body=_nothing_to_write), side_effect=True)
    await asyncio.sleep(0.005)
    await registry.close()
    for provider in providers:
        await provider.close()
    for listener in (proxy, *listeners):
        listener.close()
    return result.final.applied, len(servers[0].received) + len(servers[1].received)


async def _cut_sweep(step: int) -> tuple[int, int, int]:
    """Cut points, more than one delivery, and reports that are not true."""
    cuts = twice = untrue = 0
    for upstream in (True, False):
        for cut in range(1, 221, step):
            applied, arrived = await _cut_at(cut, upstream=upstream)
            cuts += 1
            twice += arrived > 1
            untrue += (applied is Applied.NO and arrived > 0) or (applied is Applied.YES and arrived != 1)
    return cuts, twice, untrue


def mail(*, short: bool) -> list[Line]:
    messages = 200 if short else 2000
    told = _campaign(messages, 1)
    naive = asyncio.run(_naive_failover(messages, 1))
    cuts, twice, untrue = asyncio.run(_cut_sweep(20 if short else 1))
    name = f"B6 {messages} mails, 2 % lost"
    naively = f"{naive} (adapter, naive failover)"
    share = told.resolved / told.parked if told.parked else 0.0
    resolved = f"{told.resolved} of {told.parked} = {share:.0%}"
    return [
        Line(
            name, f"received twice; without the rule: {naively}", str(told.duplicates), {}, "<= 0", not told.duplicates
        ),
        Line(name, "lost", str(told.lost), {}, "<= 0", not told.lost),
        Line(name, "parked as unknown", str(told.parked), {}),
        Line(name, "parked, resolved by the copy in Sent", resolved, {}, ">= 95 %", share >= 0.95),
        Line(name, "resolved as sent and never received", str(told.untrue), {}, "<= 0", not told.untrue),
        Line(f"B6 cut at {cuts} bytes", "received twice", str(twice), {}, "<= 0", not twice),
        Line(f"B6 cut at {cuts} bytes", "untrue reports", str(untrue), {}, "<= 0", not untrue),
    ]
