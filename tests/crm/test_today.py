"""What to do today: one next action each, and who was silent for too long."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from clocks import MovedClock
from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.days import WEEKDAYS, parse_day
from aicmo.crm.history import History
from aicmo.crm.icalendar import MAX_OCTETS, CalendarDay, calendar
from aicmo.crm.timeline import Timeline
from aicmo.crm.today import Today
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database, suppressions
from aicmo.store.events import Event
from aicmo.store.suppressions import SuppressionReason
from aicmo.text import plain

SUNDAY = date(2026, 11, 22)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def crm(db: Database, clock: MovedClock) -> CRMRepository:
    return CRMRepository(db, clock)


@pytest.fixture
def today(db: Database, clock: MovedClock) -> Today:
    return Today(db, clock, zone=UTC)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", 22),
        ("Tomorrow", 23),
        ("monday", 23),
        ("tue", 24),
        ("sunday", 29),
        ("+3d", 25),
        ("3d", 25),
        ("1w", 29),
        ("2026-11-30", 30),
    ],
)
def test_days_as_they_are_said(text: str, day: int) -> None:
    assert parse_day(text, SUNDAY) == date(2026, 11, day)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "9999w", "3", "-3d", "24.11.2026"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no day"):
        parse_day(text, SUNDAY)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.sampled_from(WEEKDAYS))
def test_a_weekday_is_the_next_one(today: date, name: str) -> None:
    day = parse_day(name, today)
    assert day.weekday() == WEEKDAYS.index(name) and 1 <= (day - today).days <= 7


def test_a_plan_is_due_overdue_put_off_and_done(
    crm: CRMRepository, today: Today, clock: MovedClock, db: Database
) -> None:
    ada = crm.add("ada@example.com", first_name="Ada")
    today.plan(ada, "write", "+5d")
    assert today.plan(ada, "call", "tomorrow").due == date(2026, 11, 23)
    assert today.look().due == ()
    clock.at += timedelta(days=1)
    assert [(each.text, each.name, each.due) for each in today.look().due] == [("call", "Ada", date(2026, 11, 23))]
    clock.at += timedelta(days=2)
    assert [each.text for each in today.look().overdue] == ["call"]
    assert today.snooze(ada, "2d").due == date(2026, 11, 27)
    assert today.done(ada).text == "call"
    assert today.next_action(ada.id) is None
    notes = Timeline(db, clock).page(ada.id, kinds=["note"]).items
    assert [each.text for each in notes] == ["Done: call"]
    for verb in (today.done, lambda who: today.snooze(who, "1d")):
        with pytest.raises(NotFound):
            verb(ada)
    for text in ("", "x" * 501):
        with pytest.raises(InvalidInput):
            today.plan(ada, text, "today")


def test_planning_and_doing_are_steps_of_undo(crm: CRMRepository, today: Today, db: Database) -> None:
    ada = crm.add("ada@example.com")
    first = today.plan(ada, "write", "monday")
    today.plan(ada, "call", "tuesday")
    today.done(ada)
    history = History(db)
    history.undo()
    assert Timeline(db).page(ada.id, kinds=["note"]).items == ()
    history.undo()
    assert today.next_action(ada.id) == first
    history.undo()
    assert today.next_action(ada.id) is None


def test_a_day_begins_where_the_person_is(db: Database) -> None:
    late = MovedClock(datetime(2026, 11, 22, 23, 30, tzinfo=UTC))
    east = Today(db, late, zone=timezone(timedelta(hours=2)))
    assert (east.date(), Today(db, late, zone=UTC).date()) == (date(2026, 11, 23), SUNDAY)


def test_silence_is_told_of_those_who_are_in_touch(
    crm: CRMRepository, today: Today, clock: MovedClock, db: Database
) -> None:
    people = {
        name: crm.add(f"{name}@example.com", stage="new" if name == "cold" else "engaged")
        for name in ("silent", "cold", "planned", "heard", "scanned", "optedout", "longest")
    }
    Timeline(db, clock).note(people["silent"].id, "called")
    clock.at += timedelta(days=31)
    now = clock.at
    crm.record_event(Event(people["heard"].id, "call", now))
    crm.record_event(Event(people["scanned"].id, "opened", now, human=False))
    crm.record_event(Event(people["silent"].id, "message", now - timedelta(days=30, seconds=1)))
    today.plan(people["planned"], "call", "+9d")
    db.write(lambda c: suppressions.add(c, "optedout@example.com", SuppressionReason.UNSUBSCRIBED, "x", now))
    quiet = today.look().quiet
    assert [each.email.partition("@")[0] for each in quiet] == ["scanned", "longest", "silent"]
    assert [each.email for each in today.look(quiet_limit=1).quiet] == ["scanned@example.com"]
    assert today.look(no_touch_days=32).quiet == ()


def test_the_calendar_has_every_plan_and_replaces_itself(crm: CRMRepository, today: Today) -> None:
    ada = crm.add("ada@example.com", first_name="Ada; Lovelace, A", phone="1")
    today.plan(ada, "call", "tuesday")
    before = today.calendar()
    today.snooze(ada, "1d")
    after = today.calendar()
    assert "DTSTART;VALUE=DATE:20261124\r\nDTEND;VALUE=DATE:20261125\r\n" in before
    assert "SUMMARY:call: Ada\\; Lovelace\\, A\r\nDESCRIPTION:ada@example.com\\n1\r\n" in before
    uids = [[line for line in text.split("\r\n") if line.startswith("UID")] for text in (before, after)]
    assert uids[0] == uids[1] and len(uids[0]) == 1 and "20261125" in after


@given(st.text(max_size=200) | st.text("\\n;,ä", max_size=99))
def test_a_line_is_folded_so_that_it_comes_back_whole(text: str) -> None:
    file = calendar([CalendarDay("u", SUNDAY, text)], datetime(2026, 1, 1, tzinfo=UTC))
    lines = file.encode().split(b"\r\n")
    assert lines[-1] == b"" and all(len(line) <= MAX_OCTETS for line in lines)
    unfolded = file.replace("\r\n ", "").split("\r\n")
    (summary,) = [line.removeprefix("SUMMARY:") for line in unfolded if line.startswith("SUMMARY:")]
    assert re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], summary) == plain(text)


def test_how_many_wait_is_who_is_due_or_overdue(crm: CRMRepository, today: Today, clock: MovedClock) -> None:
    assert today.waiting() == 0
    today.plan(crm.add("ann@acme.example"), "call", "today")
    today.plan(crm.add("bob@acme.example"), "call", "tomorrow")
    assert today.waiting() == 1
    clock.at += timedelta(days=1)
    assert today.waiting() == 2
