"""Asking providers from the contacts screen: the price first, the run beside whatever else is done, the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from driving import app_on, reads, text_of, until
from textual.widgets import Button

from aicmo.gateways import Applied, Attempt, Outcome, ProviderChain
from aicmo.gateways.attempt import Answer
from aicmo.gateways.estimate import estimate
from aicmo.gateways.leads import Enrichment, FieldValue, Lead
from aicmo.gateways.limit_store import MemoryLimitStore
from aicmo.gateways.limits import Budgets
from aicmo.store import lookups
from aicmo.workspace import Workspace
from aicmo_tui.screens.enriching import Asking


class Slow:
    """Knows a city of everybody, and answers when it is let."""

    name = "apollo"
    batch_size = 10
    monthly: Mapping[str, int] = {}

    def __init__(self, workspace: Workspace) -> None:
        self.may_answer, self.asked, self._clock = asyncio.Event(), 0, workspace.clock

    def fingerprint(self) -> str:
        return "key"

    async def enrich(self, people: Sequence[Lead]) -> Answer[tuple[Enrichment | None, ...]]:
        self.asked += len(people)
        await self.may_answer.wait()
        city = FieldValue("Lyon", self.name, self._clock.now(), Decimal(1))
        return Answer(
            Attempt(self.name, Outcome.OK, Applied.YES),
            tuple(Enrichment({"city": city}, credits=Decimal(1)) for _ in people),
        )


@pytest.fixture
def slow(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> Slow:
    provider = Slow(filled)

    def chain(capability: str) -> ProviderChain[Any]:
        serving = [provider] if capability == "lead_enrichment" else []
        return ProviderChain(capability, serving, filled.registry, clock=filled.clock)

    async def estimated(capability: str, people: int, cost: Any) -> Any:
        return await estimate(chain(capability), people, cost, Budgets(MemoryLimitStore(), {}), {})

    monkeypatch.setattr(filled, "chain", chain)
    monkeypatch.setattr(filled.services, "estimate", estimated)
    return provider


async def test_the_price_is_told_before_anybody_is_asked(filled: Workspace, slow: Slow) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press("r")
        await reads(pilot, "40 people", "40 credits at most", "no provider is configured")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert slow.asked == 0 and not app.enriching.under_way


async def test_the_run_goes_on_beside_and_tells_what_came_of_it(filled: Workspace, slow: Slow) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press("space", "r")
        await reads(pilot, "Ask providers about 1 person selected?")
        await pilot.press("right", "enter")
        await reads(pilot, "escape lets it go on beside")
        await pilot.press("escape", "f1")
        await until(pilot, lambda: slow.asked == 1)
        slow.may_answer.set()
        await reads(pilot, "1 found", "1 credits")
        assert filled.crm.count("field.city:Lyon") == 1


async def test_who_waits_for_the_end_is_told_it_and_is_back_in_the_list(filled: Workspace, slow: Slow) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press("space", "r")
        await reads(pilot, "Ask providers about 1 person selected?")
        await pilot.press("right", "enter")
        await reads(pilot, "escape lets it go on beside")
        slow.may_answer.set()
        await reads(pilot, "1 found", "1 credits")
        await until(pilot, lambda: not any(isinstance(screen, Asking) for screen in app.screen_stack))
        assert "1 found" in text_of(app)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_leaving_the_app_stops_between_batches_and_keeps_what_was_paid_for(filled: Workspace, slow: Slow) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press("r")
        await reads(pilot, "40 people")
        await pilot.press("right", "enter")
        await until(pilot, lambda: slow.asked)
        await pilot.press("escape", "ctrl+q")
        slow.may_answer.set()
        await until(pilot, lambda: not app.is_running or not app.enriching.under_way)
    assert filled.crm.count("field.city:Lyon") == slow.asked, text_of(app)


async def test_who_may_have_been_paid_for_is_told_and_asked_about_again_only_on_a_word(
    filled: Workspace, slow: Slow
) -> None:
    everybody = filled.crm.select("")
    now = filled.clock.now()
    filled.db.write(lambda db: lookups.ask(db, "lead_enrichment", "apollo", "cut off", everybody[:3], now))
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        for answer, told, asked_by_then in (("Leave them out", "3 still in doubt", 37), ("Ask again", "3 found", 40)):
            await pilot.press("f4")
            await reads(pilot, "Jane Doe")
            await pilot.press("r")
            await reads(pilot, "3 people more in doubt: they may have been paid for already")
            await pilot.press("right", "enter")
            await reads(pilot, "3 people may have been paid for already. Ask about them again?", answer)
            await pilot.click(next(each for each in app.screen.query(Button) if each.label.plain == answer))
            slow.may_answer.set()
            await reads(pilot, told)
            assert slow.asked == asked_by_then
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
