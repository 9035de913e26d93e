"""The calendar: choosing a day, what stands on it, and where a line leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from driving import app_on, reads, steady, text_of, until
from sample import NOW
from textual.pilot import Pilot

from aicmo.clock import rfc3339
from aicmo.publishing.agenda import Entry, Kind
from aicmo.workspace import Workspace
from aicmo_tui.screens.calendar import LOOKS, identity, what
from aicmo_tui.widgets.day_grid import DayGrid


def schedule(workspace: Workspace, days: int, *, campaign_id: int = 3, status: str = "scheduled") -> None:
    """Winter offer, so many days from now."""
    at = rfc3339(NOW + timedelta(days=days))
    workspace.db.write(
        lambda db: db.execute(
            "UPDATE campaign SET status = ?, scheduled_at = ? WHERE id = ?", (status, at, campaign_id)
        )
    )


def chosen(pilot: Pilot[None]) -> date:
    return pilot.app.screen.query_one(DayGrid).chosen


async def test_the_arrows_and_pages_choose_a_day_and_t_comes_back(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "November 2026", "Sunday, 22 November")
        await pilot.press("left", "up")
        await until(pilot, lambda: chosen(pilot) == date(2026, 11, 14))
        await pilot.press("pagedown", "pagedown", "pagedown")
        await reads(pilot, "February 2027", "Sunday, 14 February")
        await pilot.press("pageup", "t")
        await until(pilot, lambda: chosen(pilot) == date(2026, 11, 22))


async def test_the_end_of_a_long_month_turns_to_the_end_of_a_short_one(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "November 2026")
        app.screen.query_one(DayGrid).chosen = date(2027, 1, 31)
        await pilot.press("pagedown")
        await until(pilot, lambda: chosen(pilot) == date(2027, 2, 28))


async def test_a_line_of_the_day_opens_the_campaign(filled: Workspace) -> None:
    schedule(filled, 2)
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "◐ Winter offer")
        await pilot.press("right", "right")
        await reads(pilot, "◐ starts", "4 people")
        await pilot.press("enter", "enter")
        await reads(pilot, "Campaigns · Winter offer")
        await pilot.press("escape")
        await reads(pilot, "AICMO · Calendar", "Tuesday, 24 November")


async def test_who_went_on_by_themselves_comes_back_to_the_campaigns(filled: Workspace) -> None:
    schedule(filled, 0)
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "◐ Winter offer", "◐ starts")
        await pilot.press("enter", "enter")
        await reads(pilot, "Campaigns · ")
        await pilot.press("f2")
        await reads(pilot, "AICMO · Home")
        await pilot.press("f6")
        await reads(pilot, "Campaigns · ")
        await pilot.press("escape")
        await reads(pilot, "AICMO · Campaigns ", "Winter offer", "Autumn news")


async def test_a_list_of_all_days_offers_no_day_to_go_to(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "November 2026", "t today")
        await pilot.press("m", "m")
        await reads(pilot, "The next 60 days")
        await until(pilot, lambda: "t today" not in text_of(app))


async def test_a_click_chooses_a_day(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "November 2026")
        rows = text_of(app).splitlines()
        y = next(number for number, row in enumerate(rows) if "16" in row and "17" in row and "18" in row)
        await pilot.click(offset=(rows[y].index("18"), y))
        await until(pilot, lambda: chosen(pilot) == date(2026, 11, 18))


async def test_what_is_late_stands_on_top_of_every_day(filled: Workspace) -> None:
    schedule(filled, -2, status="paused")
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "1 late", "▲ late", "Winter offer")
        await pilot.press("right")
        await reads(pilot, "Monday, 23 November", "▲ late")


async def test_week_and_list_show_the_same(filled: Workspace) -> None:
    schedule(filled, 9)
    filled.today.plan(filled.crm.get("omar@haddad.example"), "call", "tomorrow")
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f9", "m")
        await reads(pilot, "22", "● Autumn")
        await pilot.press("m")
        await reads(pilot, "The next 60 days", "Winter offer", "call: Omar Haddad")
        await pilot.press("down", "enter")
        await reads(pilot, "omar@haddad.example")


async def test_what_is_scheduled_elsewhere_appears(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "November 2026")
        schedule(filled, 1)
        await reads(pilot, "◐ Winter offer")


async def test_the_file_is_written_where_one_says(filled: Workspace, tmp_path: Path) -> None:
    schedule(filled, 1)
    file = tmp_path / "plans.ics"
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f9")
        await reads(pilot, "November 2026")
        await pilot.press("x")
        await until(pilot, lambda: app.screen.query("PlainInput"))
        app.screen.query_one("PlainInput").value = str(file)
        await pilot.press("enter")
        await until(pilot, file.exists)
    assert "SUMMARY:Winter offer: to 4 people" in file.read_text()


def test_every_kind_has_a_look() -> None:
    assert set(LOOKS) == set(Kind)


@pytest.mark.parametrize("size", [(80, 24), (118, 36)], ids=["80x24", "118x36"])
def test_a_busy_month(size: tuple[int, int], filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    schedule(filled, 2)
    schedule(filled, -2, campaign_id=2, status="paused")
    for number, day in enumerate(("today", "tomorrow", "tuesday", "tuesday", "+9d")):
        person = filled.crm.add(f"due{number}@plan.example", first_name=f"Due {number}")
        filled.today.plan(person, "call", day)

    async def go(pilot: Pilot[None]) -> None:
        await pilot.press("f9")
        await steady(pilot)
        await pilot.press("right", "right")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=size, run_before=go)


@pytest.mark.parametrize(("cause", "told"), [("hours", "goes on"), ("later", "again")])
def test_who_was_put_off_before_anybody_tried_is_not_tried_again(cause: str, told: str) -> None:
    at = datetime(2026, 11, 23, 9, tzinfo=UTC)
    entry = Entry(Kind.RETRY, at.date(), at, "News", 3, 1, cause=cause)
    assert what(entry).plain.endswith(told)


def test_two_lines_of_a_campaign_on_a_day_are_two_rows() -> None:
    at = datetime(2026, 11, 23, 9, tzinfo=UTC)
    tried = Entry(Kind.RETRY, at.date(), at, "News", 3, 1)
    assert identity(tried) != identity(replace(tried, cause="hours"))
