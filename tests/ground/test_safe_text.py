"""``plain`` takes from a stranger's text what could act or disguise, and nothing else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.sandbox.people import HOSTILE_FIRST_NAMES
from aicmo.text import one_line, plain, shown

ZWJ, ZWNJ = "\u200d", "\u200c"

TABLE = [
    ("terminal escape", "a\x1b]52;c;x\x07b", "a]52;c;xb"),
    ("C1 CSI", "a\x9b31mb", "a31mb"),
    ("NUL, backspace, DEL", "a\x00b\x08c\x7fd", "abcd"),
    ("line ends", "a\r\nb\rc\n", "a\nb\nc\n"),
    ("tab and newline stay", "a\tb\nc", "a\tb\nc"),
    ("line and paragraph separator", "a\u2028b\u2029c", "abc"),
    ("bidi override", "exe.\u202egnp", "exe.gnp"),
    ("bidi isolate and mark", "\u2066a\u2069\u200eb\u061c", "ab"),
    ("zero width space, word joiner", "a\u200bd\u2060min", "admin"),
    ("soft hyphen", "ad\u00admin", "admin"),
    ("byte order mark", "\ufeffname", "name"),
    ("lone surrogate", "a\ud800b", "ab"),
    ("noncharacters", "a\ufffe\uffff\ufdd0b", "ab"),
    ("tag characters", "a\U000e0041\U000e007fb", "ab"),
    ("one joiner is writing", f"می{ZWNJ}خواهم", f"می{ZWNJ}خواهم"),
    ("joiners in a row are not", f"a{ZWJ}{ZWNJ}{ZWJ}b", f"a{ZWJ}b"),
    ("an emoji of several parts", f"👩{ZWJ}🚀", f"👩{ZWJ}🚀"),
    ("combining marks", "e\u0301", "e\u0301"),
    ("right-to-left letters", "عمر כהן", "عمر כהן"),
    ("markup is only text", "[@click=app.quit]Bob[/]", "[@click=app.quit]Bob[/]"),
    ("an encoded word is only text", "=?utf-8?q?A=0D=0ABcc=3A?=", "=?utf-8?q?A=0D=0ABcc=3A?="),
    ("a formula is only text", "=1+1", "=1+1"),
]


@pytest.mark.parametrize(("what", "text", "result"), TABLE, ids=[row[0] for row in TABLE])
def test_plain(what: str, text: str, result: str) -> None:
    assert plain(text) == result


anything = st.text(st.characters())  # surrogates and noncharacters as well


def is_harmless(character: str) -> bool:
    if character in f"\n\t{ZWJ}{ZWNJ}":
        return True
    bidi = unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} and not bidi


@given(anything)
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    assert all(map(is_harmless, plain(text)))
    assert not {"\u200b", "\u2060", "\ufeff", "\u202e"} & set(plain(text))
    plain(text).encode("utf-8")  # possible, whatever it was


@given(anything)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert one_line(one_line(text)) == one_line(text) == one_line(plain(text))


@given(st.text(st.characters().filter(str.isprintable)))
def test_what_can_be_printed_is_untouched(text: str) -> None:
    assert plain(text) == text


@given(anything, st.integers(1, 20))
def test_a_limit_holds_and_says_that_it_cut(text: str, limit: int) -> None:
    whole, cut = plain(text), plain(text, limit=limit)
    assert cut == whole if len(whole) <= limit else cut == whole[: limit - 1] + "…"
    assert len(one_line(text, limit=limit)) <= limit


@given(anything)
def test_one_line_is_one_line_without_edges(text: str) -> None:
    line = one_line(text)
    assert line == line.strip() and len(line.splitlines()) <= 1 and "  " not in line


@pytest.mark.parametrize("name", HOSTILE_FIRST_NAMES)
def test_a_hostile_name_fits_into_a_sentence(name: str) -> None:
    quoted = shown(name)
    assert quoted[0] == "“" and quoted[-1] == "”" and len(quoted) <= 82
    assert all(map(is_harmless, quoted))
