"""``kill -9`` at every step of one message: what the ledger says afterwards, and that nobody gets two."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aicmo.paths import Paths
from aicmo.publishing import State
from aicmo.sandbox import Fault, RunningSandbox
from bench.mailing import furnish, new_campaign, open_house

PATIENCE_S = 30.0

SILENT_AT = {
    "connect": (State.QUEUED, 0),
    "ehlo": (State.QUEUED, 0),
    "mail": (State.QUEUED, 0),
    "rcpt": (State.QUEUED, 0),
    "body": (State.UNKNOWN, 0),
    "dot": (State.UNKNOWN, 1),
}
"""The step of SMTP where the server falls silent and the sender is killed -> what the next sender finds, and what was
received. While DATA is answered the ledger is being written (see ``WRITING``); from 354 on the body may be on its way,
and only the server knows."""
WRITING = {
    ("claim", "before"): (State.QUEUED, 0),
    ("claim", "within"): (State.QUEUED, 0),
    ("claim", "after"): (State.QUEUED, 0),
    ("body", "before"): (State.QUEUED, 0),
    ("body", "within"): (State.QUEUED, 0),
    ("body", "after"): (State.UNKNOWN, 0),
    ("outcome", "before"): (State.UNKNOWN, 1),
    ("outcome", "within"): (State.UNKNOWN, 1),
    ("outcome", "after"): (State.SENT, 1),
}
"""Which write of the ledger, and whether the kill comes before it, within its transaction, or after its commit."""
KILLED_WRITING = """
import os, signal, sys
from aicmo.publishing.sending import ledger

what, when = sys.argv.pop(1).split()
write_down, tell = ledger._write_down, ledger._tell


def meant(request):
    return {"claim": request.claims, "body": request.body, "outcome": request.settlement}[what]


def kill(now, *requests):
    if now == when and any(map(meant, requests)):
        os.kill(os.getpid(), signal.SIGKILL)


def writing(db, together, *rest, **named):
    kill("before", *together)
    told = write_down(db, together, *rest, **named)
    kill("within", *together)
    return told


def telling(request):
    kill("after", request)
    tell(request)


ledger._write_down, ledger._tell = writing, telling
from aicmo_tui.cli import main
sys.exit(main())
"""


@pytest.fixture
def house(sandbox: RunningSandbox, tmp_path: Path) -> Paths:
    """A running campaign to one person."""
    paths = furnish(tmp_path, [sandbox.smtp["smtp-a"].port], connections=1, people=1)
    campaign = new_campaign(paths)
    with open_house(paths) as workspace:
        workspace.publishing.start(campaign, approve=True)
    return paths


def options(paths: Paths) -> list[str]:
    return ["--config", str(paths.config_file), "--data-dir", str(paths.data_dir), "run"]


@pytest.mark.parametrize("phase", SILENT_AT)
def test_a_kill_while_the_server_is_silent(phase: str, house: Paths, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault(phase, "hang", times=1)])
    process = subprocess.Popen([str(Path(sys.executable).with_name("aicmo")), *options(house)])
    gives_up_at = time.monotonic() + PATIENCE_S
    while sandbox.status().faults and time.monotonic() < gives_up_at:
        time.sleep(0.01)
    process.kill()
    process.wait()
    asyncio.run(assert_found(house, sandbox, *SILENT_AT[phase]))


@pytest.mark.parametrize(("what", "when"), WRITING, ids=lambda word: word)
def test_a_kill_around_a_write_of_the_ledger(what: str, when: str, house: Paths, sandbox: RunningSandbox) -> None:
    program = [sys.executable, "-c", KILLED_WRITING, f"{what} {when}"]
    killed = subprocess.run([*program, *options(house)], timeout=PATIENCE_S)
    assert killed.returncode == -signal.SIGKILL
    asyncio.run(assert_found(house, sandbox, *WRITING[what, when]))


async def assert_found(paths: Paths, sandbox: RunningSandbox, state: State, received: int) -> None:
    """What the next sender makes of it: what is unknown stays so, and anything else ends as sent, once."""
    assert len(sandbox.received()) == received
    sandbox.set_faults([])
    async with open_house(paths) as workspace:
        report = await workspace.publishing.outbox().run()
        (delivery,) = workspace.publishing.deliveries(1)
        assert report.recovered_unknown == (state is State.UNKNOWN)
        assert delivery.state is (State.UNKNOWN if state is State.UNKNOWN else State.SENT)
        if state is State.UNKNOWN:
            assert delivery.message_id and "stopped while this was on its way" in delivery.reason
    assert len(sandbox.received()) == (received if state is State.UNKNOWN else 1)
