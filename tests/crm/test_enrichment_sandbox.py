"""The real adapters against the sandbox, killed and cut off: the short form of ``bench.enrich``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aicmo.config import load_config
from aicmo.crm import EnrichmentPipeline
from aicmo.sandbox import Fault, RunningSandbox, start_sandbox
from aicmo.workspace import open_workspace
from bench.enrich import furnish, kills


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def test_no_credit_is_spent_twice_however_often_it_is_killed(tmp_path: Path, sandbox: RunningSandbox) -> None:
    ledger = kills(tmp_path, sandbox, people=600, times=2, seed=5)
    assert ledger.ok, ledger
    assert ledger.answered == 600
    assert ledger.dropcontact_credits > 0


async def test_what_apollo_found_stands_when_dropcontact_is_gone(tmp_path: Path, sandbox: RunningSandbox) -> None:
    paths = furnish(tmp_path, sandbox, 100, per_second=1000)
    sandbox.set_faults([Fault("connect", "refuse", server="dropcontact")])
    async with open_workspace(paths, load_config(paths.config_file)) as house:
        pipeline = EnrichmentPipeline(house.db, house.crm, house.chain, house.services.estimate, patience_s=0)
        result = await pipeline.run("")
        apollo, dropcontact = result.providers
        assert (result.status, apollo.found, result.counts["found"]) == ("partial", 80, 80)
        assert dropcontact.failed + dropcontact.not_asked == result.counts["failed"] + result.counts["remaining"] == 20
        assert house.crm.count("stage:enriched") == 80
