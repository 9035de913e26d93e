"""How long a text is on each network. The vectors are the networks' own where they publish some."""

from __future__ import annotations

from pathlib import Path

import pytest

from aicmo.config import ChannelName
from aicmo.publishing.channels import CHANNELS, counts_of, folded, post_of
from aicmo.publishing.channels.counting import addresses, graphemes, hashtags, linkedin_escaped, mentions, x_weight
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo.store.channel_texts import UNTITLED
from aicmo.store.contents import Draft

FAMILY = "👨‍👩‍👧‍👦"
LIE = "A lie gets halfway around the world before the truth has a chance to get its pants on. Winston Churchill"
ON_X = [
    # twitter-text, conformance/validate.yml
    ("This is a test.", 15),
    ("http://test.com", 23),
    ("https://test.com", 23),
    ("test.com", 23),
    ("Test https://test.com test https://test.com test.com test", 86),
    ("http://test.co", 23),
    ("Hi http://test.co", 26),
    (f"H🐱☺{FAMILY}", 7),
    ("🙋🏽👨‍🎤", 4),
    ("1⃣", 2),
    (FAMILY * 140, 280),
    (f"{LIE} (1874-1965) http://bit.ly/dJpywL", 140),
    ("저찀쿿쿿", 8),
    ("t.co", 23),
    ("foo.co.jp", 23),
    ("example.com/path/to/resource?search=foo&lang=en", 23),
    # what is no address
    ("e.g. this", 9),
    ("Don't...stop.now", 16),
    ("me@example.com", 14),
    (f"{'a' * 64}.com", 68),
    # an address ends before what ends the sentence
    ("(see example.com/path).", 5 + 23 + 2),
    ("❤️🇩🇪", 4),
    ("e\u0301", 1),
    ("a\nb", 3),
]


@pytest.mark.parametrize(("text", "weight"), ON_X, ids=[text[:24] for text, _ in ON_X])
def test_x_weighs_a_text_as_twitter_text_does(text: str, weight: int) -> None:
    assert x_weight(text) == weight


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("abc", 3), (FAMILY * 120, 120), ("🇩🇪🇫🇷", 2), ("e\u0301", 1), ("漢字", 2), ("a\n", 2)],
)
def test_bluesky_counts_graphemes(text: str, count: int) -> None:
    assert graphemes(text) == count


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("Hi (all) of you_all", r"Hi \(all\) of you\_all"),
        ("\\ | { } @ [ ] < > * ~", r"\\ \| \{ \} \@ \[ \] \< \> \* \~"),
        ("#launch and #1 and # alone", r"#launch and \#1 and \# alone"),
        ("see https://a.example/x_(y)?z=1 (now)", r"see https://a.example/x_(y)?z=1 \(now\)"),
        ("why (https://a.example/x_y), then", r"why \(https://a.example/x_y\), then"),
    ],
)
def test_linkedin_gets_its_reserved_characters_escaped(typed: str, taken: str) -> None:
    assert linkedin_escaped(typed) == taken


def test_an_address_ends_before_what_ends_its_sentence() -> None:
    text = "(https://a.example/x_(y)), HTTPS://b.example/?q=1. And “http://c.example”; www.d.example"
    assert addresses(text) == ["https://a.example/x_(y)", "HTTPS://b.example/?q=1", "http://c.example"]


@pytest.mark.parametrize(
    ("channel", "text", "seen"),
    [
        ("linkedin", "a" * 210, "a" * 210),
        ("linkedin", "a" * 211, "a" * 210),
        ("linkedin", "one\ntwo\nthree", "one\ntwo\nthree"),
        ("linkedin", "one\ntwo\nthree\nfour", "one\ntwo\nthree"),
        ("linkedin", "one\ntwo\n\nfour", "one\ntwo"),
        ("instagram", "a" * 126, "a" * 125),
        ("x", "a\n" * 200, "a\n" * 200),
    ],
)
def test_a_long_post_folds_where_its_network_folds_it(channel: str, text: str, seen: str) -> None:
    shown, rest = folded(channel, text)
    assert (shown, shown + rest) == (seen, text)


def test_instagram_counts_hashtags_and_mentions_apart() -> None:
    assert hashtags("#one #zwei #3 a#b https://a.example/#top #ünï") == 3
    assert mentions("@ada and @bob.c, not me@example.com") == 2


@pytest.mark.parametrize(
    ("channel", "body", "over"),
    [
        ("x", "a" * 280, 0),
        ("x", "a" * 281, 1),
        ("linkedin", "a" * 2_990 + "(" * 5, 0),
        ("linkedin", "a" * 2_990 + "(" * 6, 2),
        ("bluesky", "a" * 301, 1),
        ("bluesky", FAMILY * 121, 25),
        ("instagram", "#a " * 31, 1),
        ("instagram", "a" * 2_201, 1),
        ("website", "a" * 9_000, 0),
    ],
)
def test_a_text_that_is_too_long_is_so_by_a_number(channel: str, body: str, over: int) -> None:
    assert max((count.over for count in counts_of(channel, Draft("", body))), default=0) == over


def test_what_is_counted_is_what_goes_over_the_wire() -> None:
    """Not the Markdown: a bold word is as long as the word."""
    (count,) = counts_of("x", Draft("A subject is not shown there", "**bold** [here](https://a.com)"))
    assert count.used == len("bold here (") + 23 + len(")")


def test_a_configured_limit_takes_the_place_of_the_first_one() -> None:
    assert counts_of("x", Draft("", "a" * 281), {"x": 25_000})[0].over == 0
    first, *others = counts_of("instagram", Draft("", ""), {"instagram": 5})
    assert (first.most, [count.most for count in others]) == (5, [30, 20])


def test_a_post_keeps_its_lines_and_says_what_only_a_mail_could_fill_in() -> None:
    post = post_of("linkedin", Draft("S", "Hello {{ first_name }},\none\ntwo\n\n- (a)\n- b"))
    assert post.text == "Hello {{ first_name }},\none\ntwo\n\n- (a)\n- b"
    assert post.marks == ("{{ first_name }}",) and "\\(a\\)" in post.wire and post.title == ""


def test_the_website_gets_a_page_with_its_title() -> None:
    post = post_of("website", Draft("Why", "# So\n\nwe *moved*"))
    assert (post.title, post.wire.strip()) == ("Why", "<h1>So</h1>\n<p>we <em>moved</em></p>")


def test_the_tables_agree() -> None:
    assert set(CHANNELS) == set(ChannelName.__args__)  # type: ignore[attr-defined]
    assert {name for name, channel in CHANNELS.items() if not channel.titled} == UNTITLED
    for kind in CONTENT_TYPES.values():
        assert set(kind.channels) <= set(CHANNELS) - {kind.original, "email"}
        assert kind.original in {"", *CHANNELS} and kind.title and kind.about


def test_the_manual_says_every_channels_limits() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "content.md").read_text(encoding="utf-8")
    for name, channel in CHANNELS.items():
        (row,) = [line for line in manual.splitlines() if line.startswith(f"| `{name}` |")]
        assert all(f"{limit.most:,}" in row for limit in channel.limits)
    assert all(f"`{name}`" in manual for name in CONTENT_TYPES)
