from __future__ import annotations

import imaplib
from pathlib import Path

from aicmo.demo import Demo, open_demo
from aicmo.sandbox import PASSWORD, USER


async def send_all(demo: Demo) -> None:
    try:
        await demo.workspace.publishing.outbox(what="test").run(patience_s=3, max_seconds=3)
    finally:
        for provider in demo.workspace.chain("email_sending").providers:
            await provider.close()
        await demo.workspace.registry.close()


async def test_the_demos_audience_reads_the_campaign_and_fills_the_inbox(tmp_path: Path) -> None:
    with open_demo(folder=tmp_path, speed=50) as demo:
        await send_all(demo)
        demo.sandbox.settle()

        acts = demo.sandbox.acts()
        sent_to = {address for mail in demo.sandbox.received() for address in mail.rcpt_to}
        assert {act.recipient for act in acts} <= sent_to
        assert sum(demo.compare()["audience"].values()) == len(acts) > 100

        answers = [act for act in acts if act.answer]
        assert len(answers) >= 10
        with imaplib.IMAP4(demo.sandbox.imap.host, demo.sandbox.imap.port, timeout=30) as mailbox:
            mailbox.login(USER, PASSWORD)
            _, [count] = mailbox.select("INBOX", readonly=True)
        assert int(count or 0) == 3 + len(answers)

        visits = [row for row in demo.sandbox.http_log() if row.server == "site"]
        assert len(visits) == sum(len(act.asked) for act in acts) > 5
        assert {row.path for row in visits} == {"/tour"}
