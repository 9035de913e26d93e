"""How campaigns look: under way, paused, scheduled, a sequence, a test. Look at a picture before you accept it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from campaigns import AUTUMN, TOO_MANY_BOUNCES, WINTER, a_comparison, a_sequence, give_causes, miss, pause
from driving import app_on, reads, steady
from sample import NOW
from test_campaign_screen import opened
from test_sequence_screens import steps_of, variants_of
from textual.pilot import Pilot

from aicmo.workspace import Workspace

SIZES = {"80x24": (80, 24), "118x36": (118, 36)}
both_sizes = pytest.mark.parametrize("size", SIZES)
Snap = Callable[..., bool]


@both_sizes
def test_under_way(size: str, filled: Workspace, snap_compare: Snap) -> None:
    give_causes(filled)

    async def go(pilot: Pilot[None]) -> None:
        await opened(pilot, AUTUMN)
        await pilot.press(*["down"] * 5)
        await steady(pilot)
        await pilot.press("enter")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_paused_by_the_program(size: str, filled: Workspace, snap_compare: Snap) -> None:
    give_causes(filled)
    pause(filled, AUTUMN, TOO_MANY_BOUNCES)

    async def go(pilot: Pilot[None]) -> None:
        await opened(pilot, AUTUMN)
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_late(size: str, filled: Workspace, snap_compare: Snap) -> None:
    miss(filled, WINTER)

    async def go(pilot: Pilot[None]) -> None:
        await opened(pilot, WINTER)
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_a_sequence(size: str, filled: Workspace, snap_compare: Snap) -> None:
    campaign = a_sequence(filled)

    async def go(pilot: Pilot[None]) -> None:
        await steps_of(pilot, campaign)
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_taking_out_a_step_says_what_it_means(size: str, filled: Workspace, snap_compare: Snap) -> None:
    campaign = a_sequence(filled)

    async def go(pilot: Pilot[None]) -> None:
        await steps_of(pilot, campaign)
        await pilot.press("down", "d")
        await reads(pilot, "Take out step 2?")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_a_comparison(size: str, filled: Workspace, snap_compare: Snap) -> None:
    campaign = a_comparison(filled)

    async def go(pilot: Pilot[None]) -> None:
        await variants_of(pilot, campaign)
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_settings(size: str, filled: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        await opened(pilot, WINTER)
        await pilot.press("o")
        await reads(pilot, "by whose clock")
        pilot.app.screen.query_one("#line-3").value = "9 to 5"
        await pilot.press("enter")
        await reads(pilot, "✕")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_all_of_them(size: str, filled: Workspace, snap_compare: Snap) -> None:
    pause(filled, AUTUMN, TOO_MANY_BOUNCES)
    filled.publishing.start(WINTER, approve=True, at=NOW + timedelta(days=2))
    a_sequence(filled)

    async def go(pilot: Pilot[None]) -> None:
        await pilot.press("f6")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_home_with_what_comes_next(size: str, filled: Workspace, snap_compare: Snap) -> None:
    other = filled.publishing.create_campaign("Spring", filled.publishing.campaign(WINTER).content_id, "tag:trial")
    filled.publishing.start(other.id, approve=True, at=NOW + timedelta(hours=2))
    miss(filled, WINTER)
    a_sequence(filled)

    async def go(pilot: Pilot[None]) -> None:
        await reads(pilot, "Late: Winter")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)
