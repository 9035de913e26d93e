"""What a run says it brought about: everybody whom it moved, once, where it left them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aicmo.publishing import State
from aicmo.publishing.sending.ledger import Tally
from aicmo.sandbox import RunningSandbox
from aicmo.store import suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace

from .conftest import started_campaign
from .hand_clock import HandClock, config_with, open_there, run_once


def in_the_ledger(workspace: Workspace) -> Counter[str]:
    rows = workspace.db.read(lambda db: db.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())
    return Counter(dict(rows))


async def test_whom_a_claim_suppressed_put_off_or_cancelled_is_in_the_counts(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    sending = {"frequency": {"most": 1, "days": 7}, "domains": {"gmail.com": {"hour": 2}}}
    workspace = open_there(tmp_path, config_with(sandbox, "smtp-a", sending=sending), HandClock())
    started_campaign(workspace, ["often@acme.example"])
    assert (await run_once(workspace)).counts == {"sent": 1}
    gmail = [f"g{number}@gmail.com" for number in range(5)]
    started_campaign(workspace, ["deleted@acme.example", "left@acme.example", *gmail])
    workspace.crm.delete("deleted@acme.example")
    workspace.db.write(
        lambda db: suppressions.add(db, "left@acme.example", SuppressionReason.MANUAL, "", workspace.clock.now())
    )
    report = await run_once(workspace)
    assert report.counts == {"sent": 2, "suppressed": 2, "deferred": 3, "cancelled": 1}
    assert in_the_ledger(workspace) == Counter(report.counts) + Counter({"sent": 1})
    workspace.close()


async def test_whoever_is_put_off_and_served_by_the_same_run_counts_once(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    clock = HandClock()
    config = config_with(sandbox, "smtp-a", sending={"domains": {"gmail.com": {"second": 2}}})
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, [f"g{number}@gmail.com" for number in range(7)])

    class Later(HandClock):
        """Time goes by whenever somebody waits."""

        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            self.forward(seconds=min(seconds, 1))

    clock.__class__ = Later
    report = await workspace.publishing.outbox().run(patience_s=60)
    assert report.counts == {"sent": 7}
    await workspace.aclose()


@pytest.mark.parametrize(
    ("moved", "counts"),
    [
        ([(State.DEFERRED, [1, 2, 3]), (State.CLAIMED, [2]), (State.SENT, [2])], {"deferred": 2, "sent": 1}),
        ([(State.DEFERRED, [1]), (State.DEFERRED, [1]), (State.SUPPRESSED, [1])], {"suppressed": 1}),
        ([(State.DEFERRED, [1]), (State.CLAIMED, [1]), (State.QUEUED, [1])], {}),
        ([(State.CLAIMED, [1]), (State.QUEUED, [1]), (State.CLAIMED, [1]), (State.FAILED, [1])], {"failed": 1}),
    ],
    ids=str,
)
def test_each_counts_where_it_was_left(moved: list[tuple[State, list[int]]], counts: dict[str, int]) -> None:
    tally = Tally()
    tally.note(moved)
    assert +tally.counts == counts
