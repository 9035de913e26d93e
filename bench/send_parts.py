"""Where the time of a message goes: each part of its way alone, and the bare loop beside them.

Rendering fills the templates; MIME is what else there is to building, but for the signature, which few need; the ledger
is every write of a message with nothing to carry in between; the adapter carries finished messages with no ledger. Each
runs in a fresh process.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from aicmo.clock import SYSTEM_CLOCK
from aicmo.paths import Paths
from aicmo.publishing.email.dkim import Signer
from aicmo.publishing.sending.ledger import Ledger, Settlement
from aicmo.publishing.sending.outbox import WORKERS_PER_CONNECTION
from aicmo.store.claiming import Verdict
from aicmo.store.deliveries import State
from bench.budget import Row, in_fresh_process
from bench.mailing import (
    CONNECTIONS,
    Sent,
    builder,
    campaign_to,
    clocked,
    clocked_on_a_loop,
    finished_mails,
    open_house,
    recipients,
)


def rendering_alone(count: int) -> Sent:
    fill, people = builder().fill, list(recipients(count))
    return clocked(lambda: sum(bool(fill(each)) for each in people))


def building_alone(count: int) -> Sent:
    build, people, now = builder().build, list(recipients(count)), SYSTEM_CLOCK.now()
    return clocked(lambda: sum(bool(build(each, now)) for each in people))


def signing_alone(count: int) -> Sent:
    """With an RSA key of 2048 bits, as most have; what only a campaign with ``[dkim]`` pays."""
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    signer, now = Signer("example.com", "bench", lambda: key), SYSTEM_CLOCK.now()
    signer.load()
    heads_and_bodies = [mail.raw.split(b"\r\n\r\n", 1) for mail in finished_mails(count)]
    return clocked(lambda: sum(bool(signer.sign(head + b"\r\n", body, now)) for head, body in heads_and_bodies))


def ledger_alone(paths: Paths) -> Sent:
    told = Verdict(State.SENT, "sink-0", "250", "ok", "1")

    async def work() -> int:
        carried = 0
        async with open_house(paths) as workspace:
            ledger = Ledger(workspace.db, SYSTEM_CLOCK)

            async def worker() -> None:
                nonlocal carried
                settled = None
                while claimed := await ledger.settle_and_claim(settled, claim=True):
                    await ledger.let_go(claimed, f"<{claimed.id}@example.com>", "sink-0", {})
                    settled = Settlement(claimed, told)
                    carried += 1

            await asyncio.gather(*(worker() for _ in range(CONNECTIONS * WORKERS_PER_CONNECTION)))
        return carried

    return clocked_on_a_loop(work)


def adapter_alone(paths: Paths, count: int) -> Sent:
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

    return clocked_on_a_loop(work)


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


def part_rows(folder: Path, port: int, count: int, whole: Sent, bare: Sent) -> list[Row]:
    """A line for each part: what it takes of the processor, of the whole way's share, and of the clock."""
    paths = campaign_to(folder / "parts", port, count)
    rendering = in_fresh_process(rendering_alone, count)
    building = in_fresh_process(building_alone, count)
    mime_us = building.cpu_us - rendering.cpu_us
    signing = in_fresh_process(signing_alone, count)
    adapter = in_fresh_process(adapter_alone, paths, count)
    ledger = in_fresh_process(ledger_alone, paths)

    def line(name: str, cpu_us: float, each_us: float) -> Row:
        return Row(name, f"{cpu_us:,.0f} us", f"{each_us:,.0f} us by the clock", cpu_us / whole.cpu_us)

    return [
        line("the whole way", whole.cpu_us, whole.each_us),
        line("rendering", rendering.cpu_us, rendering.each_us),
        line("MIME", mime_us, building.each_us - rendering.each_us),
        line("signing, only with [dkim]", signing.cpu_us, signing.each_us),
        line("ledger, two writes", ledger.cpu_us, ledger.each_us),
        line("SMTP adapter", adapter.cpu_us, adapter.each_us),
        line("bare aiosmtplib", bare.cpu_us, bare.each_us),
        Row("one fsync (several messages share it)", "", f"{fsync_us(folder):,.0f} us by the clock"),
    ]
