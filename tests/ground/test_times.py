"""Times are stored as text whose order is the order of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.clock import SYSTEM_CLOCK, parse_rfc3339, rfc3339

moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moments, zones)
def test_a_time_comes_back_to_the_millisecond_from_any_zone(moment: datetime, zone: timezone) -> None:
    text = rfc3339(moment.astimezone(zone))
    assert parse_rfc3339(text) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_rfc3339(text).tzinfo is UTC


@given(moments, moments)
def test_the_order_of_the_texts_is_the_order_of_time(one: datetime, other: datetime) -> None:
    assert (rfc3339(one) < rfc3339(other)) <= (one < other)
    assert len(rfc3339(one)) == len(rfc3339(other)) == len("2026-11-22T14:05:00.123Z")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        rfc3339(datetime(2026, 11, 22))
    with pytest.raises(ValueError, match="without a zone"):
        parse_rfc3339("2026-11-22T14:05:00")


def test_the_machines_clock_is_aware() -> None:
    assert SYSTEM_CLOCK.now().tzinfo is UTC
