"""Hours for sending: whose they are, and that a night in which clocks are changed opens and closes once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.errors import InvalidInput
from aicmo.hours import our_zone, parse_hours, zone_label, zone_of

TOKYO, NEW_YORK, BERLIN = (ZoneInfo(name) for name in ("Asia/Tokyo", "America/New_York", "Europe/Berlin"))
OFFICE = parse_hours("09:00-17:00", "mon-fri")
assert OFFICE is not None


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OPENINGS = [
    # hours, days, zone, now (UTC), when it opens (UTC); None: open
    ("09:00-17:00", "mon-fri", TOKYO, "2026-11-23 00:00", None),
    ("09:00-17:00", "mon-fri", TOKYO, "2026-11-22 23:59", "2026-11-23 00:00"),
    ("09:00-17:00", "mon-fri", TOKYO, "2026-11-23 08:00", "2026-11-24 00:00"),
    ("09:00-17:00", "mon-fri", TOKYO, "2026-11-27 08:00", "2026-11-30 00:00"),
    ("", "sat,sun", UTC, "2026-11-23 12:00", "2026-11-28 00:00"),
    ("", "sat-mon", UTC, "2026-11-23 12:00", None),
    ("00:00-24:00", "", BERLIN, "2026-11-23 22:59", None),
    ("12:00-13:00", "wed", UTC, "2026-11-25 13:00", "2026-12-02 12:00"),
    # the clocks of New York jump from 02:00 to 03:00 on 2026-03-08, and back from 02:00 to 01:00 on 2026-11-01
    ("02:30-05:00", "", NEW_YORK, "2026-03-08 06:50", "2026-03-08 07:00"),
    ("02:30-05:00", "", NEW_YORK, "2026-03-08 07:00", None),
    ("09:00-17:00", "", NEW_YORK, "2026-03-07 22:00", "2026-03-08 13:00"),
    ("01:30-03:00", "", NEW_YORK, "2026-11-01 05:00", "2026-11-01 05:30"),
    ("01:30-03:00", "", NEW_YORK, "2026-11-01 06:10", None),
    ("00:00-01:30", "", NEW_YORK, "2026-11-01 06:10", "2026-11-02 05:00"),
    ("02:10-02:50", "", NEW_YORK, "2026-03-08 06:00", "2026-03-09 06:10"),
    # Samoa had no 30 December 2011
    ("09:00-17:00", "", ZoneInfo("Pacific/Apia"), "2011-12-30 09:00", "2011-12-30 19:00"),
]


@pytest.mark.parametrize(("hours", "days", "zone", "now", "opens"), OPENINGS)
def test_when_it_opens(hours: str, days: str, zone: ZoneInfo, now: str, opens: str | None) -> None:
    window = parse_hours(hours, days)
    assert window is not None
    assert window.opening(zone, utc(now)) == (utc(opens) if opens else None)


@given(
    st.sampled_from([TOKYO, NEW_YORK, BERLIN, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Sao_Paulo")]),
    st.datetimes(datetime(2016, 1, 1), datetime(2030, 1, 1)),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.frozensets(st.integers(0, 6), min_size=1),
)
def test_an_opening_is_ahead_within_a_fortnight_and_open(
    zone: ZoneInfo, naive: datetime, opens: int, length: int, days: frozenset[int]
) -> None:
    from aicmo.hours import Hours

    window, now = Hours(opens, min(opens + length, 1440), days), naive.replace(tzinfo=UTC)
    at = window.opening(zone, now)
    if at is not None:
        assert now < at <= now + timedelta(days=15)
        assert window.opening(zone, at) is None
        assert window.opening(zone, at - timedelta(seconds=1)) == at


@pytest.mark.parametrize(
    ("hours", "days"),
    [
        ("9-17", ""),
        ("17:00-09:00", ""),
        ("09:00-25:00", ""),
        ("09:60-10:00", ""),
        ("", "mon-x"),
        ("", "holidays"),
        ("morning", ""),
    ],
)
def test_what_are_no_hours_is_said_in_a_sentence(hours: str, days: str) -> None:
    with pytest.raises(InvalidInput, match=r"\.$"):
        parse_hours(hours, days)


def test_no_hours_and_no_days_is_always() -> None:
    assert parse_hours("", "") is None


def test_a_person_is_where_they_say_else_where_their_country_is_else_where_we_are() -> None:
    assert zone_of({"timezone": "Asia/Tokyo", "country": "Germany"}, BERLIN) == TOKYO
    assert zone_of({"country": "Japan"}, BERLIN) == zone_of({"country": "jp"}, BERLIN) == TOKYO
    assert zone_of({"country": "US"}, BERLIN) is BERLIN, "a country of many zones says nothing"
    assert zone_of({"country": "Atlantis"}, BERLIN) is BERLIN
    assert zone_of({}, BERLIN) is BERLIN
    for nonsense in ("Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime", "\0", "x" * 5000):
        assert zone_of({"timezone": nonsense}, BERLIN) is BERLIN


def test_our_own_zone_is_the_one_named_or_this_computers() -> None:
    assert our_zone("Europe/Berlin") == BERLIN
    assert datetime(2026, 7, 1, tzinfo=our_zone()).utcoffset() is not None
    with pytest.raises(InvalidInput):
        our_zone("Europe/Nowhere")


def test_our_own_zone_is_what_tz_says_as_for_every_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in ("Asia/Tokyo", ":Asia/Tokyo"):
        monkeypatch.setenv("TZ", said)
        assert our_zone() == TOKYO
        assert our_zone("Europe/Berlin") == BERLIN
    monkeypatch.setenv("TZ", "JST-9")  # spelled out, and no name
    time.tzset()
    try:
        assert datetime(2026, 7, 1, tzinfo=our_zone()).utcoffset() == timedelta(hours=9)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_a_zone_is_told_by_its_name() -> None:
    assert zone_label(TOKYO, utc("2026-11-23 12:00")) == "Asia/Tokyo"
    assert zone_label(UTC, utc("2026-11-23 12:00")) == "UTC"
