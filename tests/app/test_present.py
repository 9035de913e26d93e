"""The door from data to the screen."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

import aicmo_tui
from aicmo_tui import present

ROOT = Path(aicmo_tui.__file__).parent
READS_MARKUP = re.compile(r"from_markup|markup\s*=\s*True|Text\.from_|\.markup\b|escape\(")
BUILT_FROM_DATA = re.compile(r"(Static|Label|Button|notify|update|Content|border_title\s*=)\s*\(?\s*f[\"']")


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_formatted_text_meets_markup(path: Path) -> None:
    source = path.read_text()
    assert not READS_MARKUP.search(source)
    assert not BUILT_FROM_DATA.search(source)


@pytest.mark.parametrize("name", ["[@click=app.quit]Bob[/]", "oops [/foo]", "[b]", "\\[x]", "[[]]"])
def test_a_value_stays_the_characters_it_is(name: str) -> None:
    assert present.value(name).plain == name
    assert present.line(name, (name, "bold")).plain == name + name


@pytest.mark.parametrize("text", ["a\x1b]52;c;x\x07b", "a\x9bb", "a\u202eb", "a\nb", "a\tb", "a\rb"])
def test_a_line_is_one_line_and_steers_nothing(text: str) -> None:
    for content in (present.value(text), present.line(text), present.line((text, "bold"))):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", content.plain)


@pytest.mark.parametrize("text", ["", "abc", "李小龍李小龍", "W" * 4_000, "e\u0301e\u0301e\u0301"])
@pytest.mark.parametrize("width", [0, 1, 2, 5, 8])
def test_fit_is_exactly_as_wide_as_it_says(text: str, width: int) -> None:
    for right in (False, True):
        assert cell_len(present.fit(present.value(text), width, right=right).plain) == width


def test_a_bar_is_full_only_when_everything_is_done_and_empty_only_when_nothing_is() -> None:
    assert present.bar(0, 1_000, 10).plain == "░" * 10
    assert present.bar(1, 1_000, 10).plain == "█" + "░" * 9
    assert present.bar(999, 1_000, 10).plain == "█" * 9 + "░"
    assert present.bar(1_000, 1_000, 10).plain == "█" * 10
    assert present.bar(0, 0, 10).plain == "░" * 10


def test_a_share_of_nothing_is_not_zero() -> None:
    assert present.percent(0, 0) == "-"
    assert present.percent(0, 5) == "0.0%"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min"), (3_700, "1 h"), (90_000, "1 d"), (-2_820, "in 47 min")],
)
def test_times_are_relative(seconds: int, said: str) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert present.ago(now - timedelta(seconds=seconds), now) == said


def test_every_state_has_a_glyph_and_a_word() -> None:
    for look in present.LOOKS.values():
        assert look.glyph and look.word
