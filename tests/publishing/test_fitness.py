"""What is said of a post or a page before it is approved: the table of its problems, and what is no problem."""

from __future__ import annotations

import pytest

from aicmo.errors import InvalidInput
from aicmo.publishing import CONTENT_TYPES, CheckReport, Contents, Draft
from aicmo.publishing.email.links import LinkRules
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.email.rules import MessageRules
from aicmo.publishing.writing.fitness import Yardstick, asked_links, check_fit, refuse_unfit

from .conftest import OpenWorkspace
from .preflight_cases import codes, status

TITLE, A = "Why we moved", "https://lovelace.dev/a"
USUAL, TAGGED = Yardstick(), Yardstick(tagged=True)


def checked(channel: str, body: str, by: Yardstick = USUAL, *, format: str = "markdown") -> CheckReport:
    return check_fit(CONTENT_TYPES["blog"], channel, Draft(TITLE, body, format=format), by)


POSTS = [
    ("no_body", "x", " ", USUAL),
    ("mark_in_post", "x", "Hello {{ first_name }}", USUAL),
    ("mark_in_post", "website", "Hello {{ first_name }}", USUAL),
    ("over_limit", "x", "a" * 281, USUAL),
    ("over_limit", "bluesky", "a" * 281, Yardstick({"bluesky": 280})),
    ("foreign_merge_tag", "linkedin", "Hello *|FNAME|*", USUAL),
    ("many_hashtags", "x", "#one #two #three", USUAL),
    ("many_hashtags", "instagram", "#one #two #three #four #five #six", USUAL),
    ("link_broken", "x", "[Read](/prices)", USUAL),
    ("link_broken", "website", "[Read](www.lovelace.dev/prices)", USUAL),
    ("link_broken", "bluesky", "Read on at https://", USUAL),
    ("link_unfilled", "x", "Read https://lovelace.dev/%%ID%%", USUAL),
    ("link_unsafe", "website", '<a href="javascript:x()">Read</a>', USUAL),
    ("link_placeholder", "x", "Read https://example.com/x", USUAL),
    ("link_shortened", "linkedin", "Read https://bit.ly/3xYz.", USUAL),
    ("link_repeated", "x", f"[Read]({A}), do: {A}", USUAL),
    ("link_untagged", "x", f"{A} and https://lovelace.dev/b?utm_source=x", USUAL),
    ("link_untagged", "x", f"Read {A}", TAGGED),
    ("link_reserved", "linkedin", "Read https://lovelace.dev/wiki/Fold_(band)", USUAL),
    ("link_not_clickable", "instagram", f"Read {A}", USUAL),
    ("image_no_alt", "website", "![](https://lovelace.dev/x.png)", USUAL),
    ("image_no_alt", "website", '<img src="https://lovelace.dev/x.png">', USUAL),
]


@pytest.mark.parametrize(("code", "channel", "body", "by"), POSTS, ids=[f"{row[0]}-{n}" for n, row in enumerate(POSTS)])
def test_a_post_is_found_wrong_for_what_it_is(code: str, channel: str, body: str, by: Yardstick) -> None:
    report = checked(channel, body, by)
    assert codes(report) - {"foreign_merge_tag"} == {code} - {"foreign_merge_tag"} and code in codes(report)
    assert all(each.message.endswith(".") and each.hint for each in report.problems)


@pytest.mark.parametrize(
    ("channel", "body"),
    [
        ("x", f"We moved. [Read]({A}) #moving #house"),
        ("linkedin", "See https://lovelace.dev/a_b/~ada/@x?utm_source=x#top (all of it)."),
        ("linkedin", "#a #b #c #d #e #f"),
        ("instagram", "We moved. #moving"),
        ("bluesky", f"<{A}>"),
        ("website", f'[Up](#top) [Prices](/prices) [Read]({A})\n\n<p id="top">![A cat](cat.png)</p>'),
        ("website", f"[Read]({A}) and [again](https://lovelace.dev/b?utm_source=x)"),
        ("", "Hello {{ first_name }}, " + "a" * 5_000),
    ],
)
def test_a_post_that_may_go_out_is_left_alone(channel: str, body: str) -> None:
    report = checked(channel, body)
    assert report.problems == () and status(report, "links") == "ok"


def test_no_links_of_a_page_need_utm_parameters() -> None:
    """A visit that began elsewhere would be counted as one of the page's own."""
    assert checked("website", f"[Read]({A})", TAGGED).problems == ()


def test_an_error_refuses_the_approval_and_a_warning_does_not() -> None:
    kind = CONTENT_TYPES["blog"]
    refuse_unfit(kind, "x", Draft(TITLE, "#one #two #three"), USUAL)
    with pytest.raises(InvalidInput, match="is relative") as refused:
        refuse_unfit(kind, "x", Draft(TITLE, "[Read](/prices)"), USUAL)
    assert "https://" in refused.value.hint


def test_links_are_asked_in_the_order_in_which_they_are_read() -> None:
    body = f"First https://b.dev/1, then [two]({A}), then https://b.dev/1 again."
    assert asked_links("x", Draft("", body)) == ("https://b.dev/1", A)
    assert asked_links("website", Draft("", body)) == (A,)


def test_tags_within_an_address_do_no_harm() -> None:
    assert checked("x", '<a href="https://a.dev/x">https://a.<b>dev</b>/x</a>', format="html").ok


def test_what_the_configuration_says_of_links_holds_for_posts(workspace_for: OpenWorkspace) -> None:
    db, sender = workspace_for("smtp-a").db, SenderIdentity("Ada", "ada@lovelace.dev", "")
    post = Draft("", f"Read {A}")
    rules = MessageRules(LinkRules(utm={"utm_source": "newsletter"}))
    assert codes(Contents(db, sender).check("social", "x", post)) == set()
    assert codes(Contents(db, sender, rules=rules).check("social", "x", post)) == {"link_untagged"}
