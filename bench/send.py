"""Send a campaign through the whole way, beside a bare loop that only sends.

Ours: claim from the ledger, fill the templates, build the message, write it down before its body, carry it through the
chain and the SMTP adapter, write down what became of it; every step on disk (``synchronous=FULL``). The peers send the
same bytes, built beforehand, and remember nothing. The audience is prepared before the clock runs.

    python -m bench.send [--recipients 5000] [--rtt-ms 50]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import smtplib
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aicmo.clock import SYSTEM_CLOCK
from aicmo.gateways import OutgoingMail
from aicmo.paths import Paths
from aicmo.publishing.email.message import MessageBuilder, Recipient, SenderIdentity
from aicmo.store import deliveries
from aicmo.store.deliveries import Claimed, State, Verdict
from bench.budget import Row, in_fresh_process, peak_rss_mb, print_rows
from bench.import_csv import FIRST
from bench.mailing import DRAFT, furnish, new_campaign, open_house
from bench.sink import start_sink

CONNECTIONS = 10
ROUND_TRIPS = 4
"""MAIL, RCPT, DATA and the final dot, each answered before the next: what one message takes on an open connection."""
PEER_RECIPIENTS = 20_000
"""Enough for a steady figure; prebuilt bytes for a million would not fit."""


@dataclass(frozen=True, slots=True)
class Sent:
    messages: int
    seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def each_us(self) -> float:
        return self.seconds / self.messages * 1e6


def timed(work: Callable[[], Awaitable[int]]) -> Sent:
    """Run a coroutine that gives how many messages it carried."""

    async def run() -> Sent:
        began = time.perf_counter()
        messages = await work()
        return Sent(messages, time.perf_counter() - began, peak_rss_mb())

    return asyncio.run(run())


# --- the contenders; each runs in a process of its own --------------------------------------------------------------


def ours(paths: Paths) -> Sent:
    """Everything due in the ledger, as ``aicmo run`` sends it."""

    async def work() -> int:
        async with open_house(paths) as workspace:
            report = await workspace.publishing.outbox().run()
        return report.counts[State.SENT]

    return timed(work)


def bare_aiosmtplib(port: int, count: int) -> Sent:
    """Ten clients, one iterator of finished messages."""
    import aiosmtplib

    mails = list(finished_mails(count))

    async def work() -> int:
        left = iter(mails)

        async def carry() -> None:
            async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
                for mail in left:
                    await client.sendmail(mail.mail_from, [mail.recipient], mail.raw)

        await asyncio.gather(*(carry() for _ in range(CONNECTIONS)))
        return count

    return timed(work)


def bare_smtplib(port: int, count: int) -> Sent:
    """One blocking client."""
    mails = list(finished_mails(count))
    began = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as client:
        for mail in mails:
            client.sendmail(mail.mail_from, [mail.recipient], mail.raw)
    return Sent(count, time.perf_counter() - began, peak_rss_mb())


# --- where our time goes --------------------------------------------------------------------------------------------


def building_alone(count: int) -> Sent:
    began = time.perf_counter()
    for _ in finished_mails(count):
        pass
    return Sent(count, time.perf_counter() - began, peak_rss_mb())


def ledger_alone(paths: Paths) -> Sent:
    """What the outbox writes for each message, with nothing to carry in between."""
    told = Verdict(State.SENT, "sink", "250", "ok", "1")

    async def work() -> int:
        carried = 0
        with open_house(paths) as workspace:
            campaign = workspace.publishing.campaigns()[0].id

            def settle_and_claim(db: sqlite3.Connection, before: Claimed | None) -> Claimed | None:
                if before is not None:
                    deliveries.settle(db, before, told, SYSTEM_CLOCK.now())
                return deliveries.claim(db, campaign, SYSTEM_CLOCK.now())

            def let_go(db: sqlite3.Connection, claimed: Claimed) -> None:
                deliveries.let_go(db, claimed, f"<{claimed.id}@example.com>", "sink", {}, SYSTEM_CLOCK.now())

            async def worker() -> None:
                nonlocal carried
                claimed = None
                while claimed := await workspace.db.awrite(partial(settle_and_claim, before=claimed)):
                    await workspace.db.awrite(partial(let_go, claimed=claimed))
                    carried += 1

            await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
        return carried

    return timed(work)


def adapter_alone(paths: Paths, count: int) -> Sent:
    """Our SMTP adapter with finished messages and no ledger."""
    mails = list(finished_mails(count))

    async def nothing_to_write() -> None:
        pass

    async def work() -> int:
        left = iter(mails)
        async with open_house(paths) as workspace:
            provider = workspace.chain("email_sending").providers[0]

            async def carry() -> None:
                for mail in left:
                    await provider.send(mail, before_body=nothing_to_write)

            await asyncio.gather(*(carry() for _ in range(CONNECTIONS)))
        return count

    return timed(work)


def finished_mails(count: int) -> Iterator[OutgoingMail]:
    """The campaign's messages, to people like those of the audience."""
    builder = MessageBuilder(
        DRAFT, SenderIdentity("Ada Lovelace", "ada@example.com", "1 Analytical Way, London"), "News"
    )
    now = SYSTEM_CLOCK.now()
    for number in range(count):
        email = f"p{number}.name{number % 5000}@corp{number % 500}.example"
        name, company = FIRST[number % len(FIRST)], f"Corp {number % 500} Ltd"
        values = {"email": email, "first_name": name, "last_name": f"Name{number % 5000}", "company": company}
        message = builder.build(Recipient(email, values, token=f"0.{number}.bench"), now)
        yield OutgoingMail("ada@example.com", email, message.raw)


def fsync_us(folder: Path) -> float:
    """The median time of one small write to disk, in microseconds: what the machine itself allows."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)[50] * 1e6


# --- the tables -----------------------------------------------------------------------------------------------------


def campaign_to(folder: Path, port: int, people: int) -> Paths:
    """A started campaign, all of it still to send."""
    folder.mkdir()
    paths = furnish(folder, [port], connections=CONNECTIONS, people=people)
    campaign = new_campaign(paths)
    with open_house(paths) as workspace:
        workspace.publishing.start(campaign, approve=True)
    return paths


def local_rows(folder: Path, recipients: int) -> tuple[list[Row], list[Row]]:
    """The budget's rows, and where the time goes."""
    with start_sink(folder / "local.tsv") as sink:
        port, few = sink.ports[0], min(recipients, PEER_RECIPIENTS)
        paths = campaign_to(folder / "ours", port, recipients)
        sent = in_fresh_process(ours, paths)
        if sent.messages != recipients or sink.count() != recipients:
            raise SystemExit(f"{recipients} to send, {sent.messages} in the ledger, {sink.count()} received")
        peer = in_fresh_process(bare_aiosmtplib, port, few)
        blocking = in_fresh_process(bare_smtplib, port, few)
        adapter = in_fresh_process(adapter_alone, paths, few)
        building = in_fresh_process(building_alone, few)
        ledger = in_fresh_process(ledger_alone, campaign_to(folder / "ledger", port, few))
    what = f"send to {recipients:,}, every step on disk"
    rate, ratio = f"{sent.rate:,.0f}/s", sent.rate / peer.rate
    rows = [
        Row(what, rate, budget=">= 1,500/s", reached=sent.rate >= 1500),
        Row("", rate, f"bare aiosmtplib {peer.rate:,.0f}/s", ratio, ">= 0.40x", ratio >= 0.4),
        Row("", rate, f"bare smtplib, 1 connection {blocking.rate:,.0f}/s", sent.rate / blocking.rate),
        Row(
            "memory",
            f"{sent.peak_mb:.0f} MB",
            f"bare aiosmtplib {peer.peak_mb:.0f} MB",
            sent.peak_mb / peer.peak_mb,
            "<= 150 MB",
            sent.peak_mb <= 150,
        ),
    ]
    parts = [
        Row(name, f"{part.each_us:,.0f} us", ratio=part.each_us / sent.each_us)
        for name, part in (
            ("the whole way", sent),
            ("building alone", building),
            ("ledger alone", ledger),
            ("SMTP adapter alone", adapter),
        )
    ]
    parts.append(Row("bare aiosmtplib", f"{peer.each_us:,.0f} us", ratio=peer.each_us / sent.each_us))
    parts.append(Row("one fsync (several messages share it)", f"{fsync_us(folder):,.0f} us"))
    return rows, parts


def distant_row(folder: Path, recipients: int, rtt_s: float) -> Row:
    """The same over a network that takes ``rtt_s`` there and back."""
    with start_sink(folder / "distant.tsv", rtt_s=rtt_s) as sink:
        sent = in_fresh_process(ours, campaign_to(folder / "distant", sink.ports[0], recipients))
    limit = CONNECTIONS / (ROUND_TRIPS * rtt_s)
    return Row(
        f"the same, {rtt_s * 1000:g} ms of round-trip time ({recipients:,})",
        f"{sent.rate:,.1f}/s",
        f"{CONNECTIONS} connections / ({ROUND_TRIPS} x RTT) = {limit:,.0f}/s",
        sent.rate / limit,
        ">= 0.90x",
        sent.rate >= 0.9 * limit,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipients", type=int, default=5000)
    parser.add_argument("--rtt-ms", type=float, default=50.0)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aicmo-bench-") as temporary:
        folder = Path(temporary)
        rows, parts = local_rows(folder, told.recipients)
        rows.append(distant_row(folder, min(told.recipients, 500), told.rtt_ms / 1000))
    print_rows(f"Send a campaign, {CONNECTIONS} connections", rows)
    print_rows("Where the time of a message goes", parts)


if __name__ == "__main__":
    main()
