"""Send a campaign through the whole way, beside programs and bare loops that only send.

Ours: claim from the ledger, fill the templates, build the message, write it down before its body, carry it through the
chain and the SMTP adapter, write down what became of it; every step on disk (``synchronous=FULL``). The bare loops send
the same bytes, built beforehand, and remember nothing; ``mailmerge`` fills its own template and keeps one number. The
audience is prepared before the clock runs.

    python -m bench.send [--recipients 10000] [--rtt-ms 50] [--parts]
    python -m bench.send --memory [--people 1000000] [--seconds 60]
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import smtplib
import subprocess
import sys
import tempfile
from pathlib import Path

from aicmo.one_core import on_one_core
from aicmo.paths import Paths
from aicmo.store.deliveries import State
from bench.budget import Row, in_fresh_process, print_rows
from bench.mailing import (
    CONNECTIONS,
    Sent,
    campaign_to,
    clocked,
    clocked_on_a_loop,
    finished_mails,
    furnish,
    new_campaign,
    open_house,
    recipients,
)
from bench.send_parts import part_rows
from bench.sink import start_sink

ROUND_TRIPS = {True: 2, False: 4}
"""What one message takes on an open connection: MAIL, RCPT, DATA and the final dot, each answered before the next; or,
where the server takes pipelining (RFC 2920), the first three together."""
ROUNDS = 3
"""Of ours and the bare loop in turn. The one of middle ratio is told: two runs of the same differ by a tenth."""
PEER_RECIPIENTS = 20_000
"""Enough for a steady figure; prebuilt bytes for a million would not fit."""
MAILMERGE_RECIPIENTS = 500
"""It opens a connection for each."""
DISTANT_RECIPIENTS = 1500
"""Enough that half a second to start in is lost among them."""
_MAILMERGE_TEMPLATE = """\
TO: {{email}}
SUBJECT: {{first_name}}, what {{company}} asked for
FROM: Ada Lovelace <ada@example.com>
CONTENT-TYPE: text/html

<p>Hello {{first_name}},</p>
<p>you asked how people at <b>{{company}}</b> save an hour a day. Three things changed:</p>
<ol><li>Answers come within the hour, weekends included.</li>
<li>The price stays; the trial is now thirty days.</li>
<li>There is a <a href="https://news.example/tour?for={{email}}">tour of two minutes</a>.</li></ol>
<p>Reply to this mail and a person reads it.</p>
"""


# --- the contenders; each runs in a process of its own --------------------------------------------------------------


def ours(paths: Paths) -> Sent:
    """Everything due in the ledger, as ``aicmo run`` sends it."""

    async def work() -> int:
        with on_one_core():
            async with open_house(paths) as workspace:
                report = await workspace.publishing.outbox().run()
        return report.counts[State.SENT]

    return clocked_on_a_loop(work)


def ours_for_a_while(paths: Paths, campaign: int, seconds: float) -> Sent:
    """Freeze the audience and send for so long."""

    async def work() -> int:
        async with open_house(paths) as workspace:
            await asyncio.to_thread(workspace.publishing.start, campaign, approve=True)
            report = await workspace.publishing.outbox().run(max_seconds=seconds)
        return report.counts[State.SENT]

    return clocked_on_a_loop(work)


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

    return clocked_on_a_loop(work)


def bare_smtplib(port: int, count: int) -> Sent:
    """One blocking client."""
    mails = list(finished_mails(count))

    def work() -> int:
        with smtplib.SMTP("127.0.0.1", port) as client:
            for mail in mails:
                client.sendmail(mail.mail_from, [mail.recipient], mail.raw)
        return count

    return clocked(work)


def mailmerge(folder: Path, port: int, count: int) -> Sent:
    """The program of that name, with a table, a template and a server of the same kind. It opens what it sends for
    each message anew, and prints it."""
    folder.mkdir()
    (folder / "template.txt").write_text(_MAILMERGE_TEMPLATE)
    (folder / "server.conf").write_text(f"[smtp_server]\nhost = 127.0.0.1\nport = {port}\n")
    with (folder / "people.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("email", "first_name", "last_name", "company"))
        writer.writeheader()
        writer.writerows(each.values for each in recipients(count))
    command = [str(Path(sys.executable).with_name("mailmerge")), "--no-dry-run", "--no-limit", "--output-format=raw"]
    command += ["--template", "template.txt", "--database", "people.csv", "--config", "server.conf"]

    def work() -> int:
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        return count

    return clocked(work)


# --- the tables -----------------------------------------------------------------------------------------------------


def local_rows(folder: Path, people: int, *, parts: bool) -> tuple[list[Row], list[Row]]:
    """The budget's rows, and where the time goes if asked for."""
    with start_sink(folder / "local.tsv") as sink:
        port, few = sink.ports[0], min(people, PEER_RECIPIENTS)
        rounds = []
        for number in range(ROUNDS):
            before = sink.count()
            sent = in_fresh_process(ours, campaign_to(folder / f"ours-{number}", port, people))
            if sent.messages != people or sink.count() - before != people:
                raise SystemExit(f"{people} to send, {sent.messages} in the ledger, {sink.count() - before} received")
            rounds.append((sent, in_fresh_process(bare_aiosmtplib, port, few)))
        sent, peer = sorted(rounds, key=lambda both: both[0].rate / both[1].rate)[ROUNDS // 2]
        blocking = in_fresh_process(bare_smtplib, port, few)
        merged = mailmerge(folder / "mailmerge", port, min(few, MAILMERGE_RECIPIENTS))
        alone = part_rows(folder, port, few, sent, peer) if parts else []
    rate, ratio = f"{sent.rate:,.0f}/s", sent.rate / peer.rate
    memory, bare_memory = f"{sent.peak_mb:.0f} MB", f"bare aiosmtplib {peer.peak_mb:.0f} MB"
    rows = [
        Row(f"send to {people:,}, every step on disk", rate, budget=">= 1,500/s", reached=sent.rate >= 1500),
        Row("", rate, f"bare aiosmtplib {peer.rate:,.0f}/s", ratio, ">= 0.40x", ratio >= 0.4),
        Row("", rate, f"bare smtplib, 1 connection {blocking.rate:,.0f}/s", sent.rate / blocking.rate),
        Row("", rate, f"mailmerge {merged.rate:,.0f}/s", sent.rate / merged.rate),
        Row("processor time of each", f"{sent.cpu_us:,.0f} us", f"bare aiosmtplib {peer.cpu_us:,.0f} us"),
        Row("memory", memory, bare_memory, budget="<= 150 MB", reached=sent.peak_mb <= 150),
    ]
    return rows, alone


def distant_row(folder: Path, people: int, rtt_s: float, *, pipelining: bool) -> Row:
    """The same over a network that takes ``rtt_s`` there and back."""
    name = "pipelining" if pipelining else "step by step"
    with start_sink(folder / f"{name}.tsv", rtt_s=rtt_s, pipelining=pipelining) as sink:
        sent = in_fresh_process(ours, campaign_to(folder / name, sink.ports[0], people))
    trips = ROUND_TRIPS[pipelining]
    limit = CONNECTIONS / (trips * rtt_s)
    return Row(
        f"{rtt_s * 1000:g} ms of round-trip time, {name} ({people:,})",
        f"{sent.rate:,.1f}/s",
        f"{CONNECTIONS} connections / ({trips} x RTT) = {limit:,.0f}/s",
        sent.rate / limit,
        ">= 0.90x",
        sent.rate >= 0.9 * limit,
    )


def memory_row(folder: Path, people: int, seconds: float) -> Row:
    """All of them frozen, and as many sent as there is time for."""
    (folder / "many").mkdir()
    with start_sink(folder / "many.tsv") as sink:
        paths = furnish(folder / "many", sink.ports, connections=CONNECTIONS, people=people)
        sent = in_fresh_process(ours_for_a_while, paths, new_campaign(paths), seconds)
    what = f"memory with {people:,} frozen, {sent.messages:,} of them sent"
    return Row(what, f"{sent.peak_mb:.0f} MB", budget="<= 150 MB", reached=sent.peak_mb <= 150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recipients", type=int, default=10_000)
    parser.add_argument("--rtt-ms", type=float, default=50.0)
    parser.add_argument("--parts", action="store_true", help="each part of a message's way alone")
    parser.add_argument("--memory", action="store_true", help="only the memory of a large audience")
    parser.add_argument("--people", type=int, default=1_000_000, help="with --memory: how many are frozen")
    parser.add_argument("--seconds", type=float, default=60.0, help="with --memory: how long it sends")
    told = parser.parse_args()
    parts: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="aicmo-bench-") as temporary:
        folder = Path(temporary)
        if told.memory:
            rows = [memory_row(folder, told.people, told.seconds)]
        else:
            rows, parts = local_rows(folder, told.recipients, parts=told.parts)
            few = min(told.recipients, DISTANT_RECIPIENTS)
            rows += [distant_row(folder, few, told.rtt_ms / 1000, pipelining=each) for each in (True, False)]
    print_rows(f"Send a campaign, {CONNECTIONS} connections", rows)
    if parts:
        print_rows("Where the time of a message goes, in processor time", parts)


if __name__ == "__main__":
    main()
