"""What work through a chain would cost at most, told before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from fakes import FakeProvider, ManualClock, attempt

from aicmo.config import Config
from aicmo.gateways import HealthRegistry, Outcome, ProviderChain
from aicmo.gateways.estimate import ChainEstimate, estimate
from aicmo.gateways.limit_store import MemoryLimitStore
from aicmo.gateways.limits import Budgets, Estimate, Reservation
from aicmo.paths import Paths
from aicmo.services import Services


class Batched(FakeProvider):
    batch_size = 10


def price(provider: FakeProvider, records: int) -> Mapping[str, int]:
    return {"a": {"credits": records, "calls": 1}, "b": {"credits": 2 * records, "EUR": 30 * records}}.get(
        provider.name, {}
    )


async def told(records: int, *, left: Mapping[str, int | None] = {}, closed: str = "") -> ChainEstimate:
    clock = ManualClock()
    registry = HealthRegistry(clock=clock)
    budgets = Budgets(MemoryLimitStore(), {"a": {"credits": 30}, "b": {"EUR": 1000}}, clock=clock)
    taken = await budgets.reserve("a", {"credits": 4})
    assert isinstance(taken, Reservation)
    await budgets.settle(taken, None)
    chain = ProviderChain("lead_enrichment", [Batched("a"), FakeProvider("b"), FakeProvider("free")], registry)
    for provider in chain.providers:
        if provider.name == closed:
            await registry.record(provider, attempt(closed, Outcome.AUTH, code="401"), await registry.admit(provider))
    found = await estimate(chain, records, price, budgets, left)
    await registry.close()
    return found


async def test_everybody_is_told_in_order_with_the_most_it_can_cost_and_what_is_left() -> None:
    found = await told(25)
    assert (found.capability, found.records) == ("lead_enrichment", 25)
    assert [(each.provider, each.calls, each.costs) for each in found.providers] == [
        ("a", 3, (Estimate("credits", 25, 4, 30),)),
        ("b", 1, (Estimate("credits", 50, 0, None), Estimate("EUR", 750, 0, 1000))),
        ("free", 1, ()),
    ]
    assert found.fits


async def test_it_says_when_a_budget_or_what_the_provider_has_left_does_not_cover_it() -> None:
    assert [each.fits for each in (await told(27)).providers] == [False, True, True]
    assert [each.fits for each in (await told(34)).providers] == [False, False, True]
    short = await told(25, left={"b": 49})
    assert [each.fits for each in short.providers] == [True, False, True] and not short.fits
    assert short.providers[1].told_left == 49


async def test_one_that_could_not_be_called_now_is_told_so() -> None:
    found = await told(5, closed="a")
    assert not found.providers[0].open and "refuses our password" in found.providers[0].reason
    assert found.providers[1].open and not found.providers[1].reason


async def test_no_records_cost_nothing_and_fewer_are_refused() -> None:
    found = await told(0)
    assert [(each.calls, each.costs) for each in found.providers] == [(0, ())] * 3 and found.fits
    with pytest.raises(ValueError, match="-1 records"):
        await told(-1)


async def test_a_configured_chain_is_estimated_with_its_own_budget(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "sender": {"name": "Ada"},
            "chains": {"lead_enrichment": ["apollo"]},
            "providers": {"apollo": {"kind": "apollo", "api_key": "canary-key-1", "monthly_credits": 500}},
        }
    )
    services = Services(Paths(tmp_path / "config.toml", tmp_path / "data"), config)
    found = await services.estimate("lead_enrichment", 23, lambda provider, batch: {"credits": batch})
    assert [(each.provider, each.calls, each.costs) for each in found.providers] == [
        ("apollo", 3, (Estimate("credits", 23, 0, 500),))
    ]
    await services.aclose()
