"""Moments as a person says them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aicmo.errors import InvalidInput
from aicmo.publishing.moments import EXAMPLES, parse_moment

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)  # a Sunday, 15:05 in Berlin


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    """In Berlin."""
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("tomorrow 9:00", at(23, 9)),
        ("Today 17:30", at(22, 17, 30)),
        ("tue 17:30", at(24, 17, 30)),
        ("sunday 9:00", at(29, 9)),
        ("+3d 8:15", at(25, 8, 15)),
        ("16:00", at(22, 16)),
        ("15:00", at(23, 15)),
        ("+3h", at(22, 18, 5)),
        ("+90m", at(22, 16, 35)),
        ("2026-12-01 9:00", at(1, 9, month=12)),
        ("2026-12-01 09:00", at(1, 9, month=12)),
        ("2026-12-01T09:00", at(1, 9, month=12)),
        ("2026-12-01T09:00+00:00", at(1, 10, month=12)),
        ("2026-12-01T08:00Z", at(1, 9, month=12)),
    ],
)
def test_it_is_what_one_means(said: str, meant: datetime) -> None:
    found = parse_moment(said, NOW, BERLIN)
    assert found == meant
    assert found.tzinfo is UTC


@pytest.mark.parametrize("said", EXAMPLES.replace(" or ", ", ").split(", "))
def test_every_example_is_read(said: str) -> None:
    assert parse_moment(said, NOW) > NOW


@pytest.mark.parametrize(
    "said",
    ["", "soon", "tomorrow", "2026-12-01", "25:00", "tomorrow 24:00", "9:60", "2026-11-31 9:00", "+3x", "9", "+999999w",
     "9999-12-31T23:00-23:00", "٩:٠٠"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(said: str) -> None:
    with pytest.raises(InvalidInput):
        parse_moment(said, NOW, BERLIN)


def test_an_hour_that_the_clocks_jump_over_is_after_the_jump() -> None:
    before = datetime(2027, 3, 27, 12, tzinfo=UTC)
    assert parse_moment("tomorrow 2:30", before, BERLIN) == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
