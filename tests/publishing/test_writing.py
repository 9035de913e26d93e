"""Content per channel: what follows the original, what is kept, what an approval is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aicmo.errors import InvalidInput, NotFound, TemplateInvalid
from aicmo.publishing import Contents, Draft
from aicmo.publishing.writing.comparing import compare
from aicmo.workspace import Workspace

from .conftest import OpenWorkspace

ORIGINAL = Draft("Why we moved", "We moved.\n\nHere is why.", "Three things")


@pytest.fixture
def workspace(workspace_for: OpenWorkspace) -> Workspace:
    return workspace_for("smtp-a")


@pytest.fixture
def contents(workspace: Workspace) -> Contents:
    return workspace.contents


@pytest.fixture
def blog(contents: Contents) -> int:
    return contents.create("blog", "Moving", ORIGINAL).id


# --- what follows the original


def test_a_channel_follows_the_original_until_it_says_something_of_its_own(contents: Contents, blog: int) -> None:
    shows = contents.wording(blog, "x")
    assert (shows.number, shows.draft.body, shows.own) == (0, ORIGINAL.body, ())
    saved = contents.save(blog, replace(shows.draft, body="We moved!"), channel="x")
    assert (saved.number, saved.version.own) == (1, ("body",))
    contents.save(blog, replace(ORIGINAL, subject="Other", body="Other"))
    assert contents.wording(blog, "x").draft == Draft("", "We moved!")
    assert contents.wording(blog, "linkedin").draft == Draft("", "Other")


def test_saying_the_same_as_the_original_is_following_it_again(contents: Contents, blog: int) -> None:
    contents.save(blog, Draft("", "We moved!"), channel="x")
    assert contents.save(blog, Draft("", ORIGINAL.body), channel="x").version.own == ()
    contents.save(blog, replace(ORIGINAL, body="Later"))
    assert contents.wording(blog, "x").draft.body == "Later"


def test_a_channel_is_reset_to_the_original(contents: Contents) -> None:
    email = contents.create("email", "News", ORIGINAL).id
    contents.save(email, Draft("Own title", "Own body"), channel="website")
    assert contents.reset(email, "website", "body").own == ("subject",)
    after = contents.reset(email, "website")
    assert (after.own, after.number, after.draft.body) == ((), 3, ORIGINAL.body)
    with pytest.raises(InvalidInput, match="original itself"):
        contents.reset(email, "email")


def test_an_original_in_another_format_leaves_a_channels_own_words_as_they_are(contents: Contents, blog: int) -> None:
    contents.save(blog, Draft("", "*We* moved"), channel="x")
    contents.save(blog, Draft("S", "<p>We moved</p>", format="html"))
    assert contents.wording(blog, "x").draft == Draft("", "*We* moved")
    assert contents.wording(blog, "linkedin").draft.format == "html"


def test_the_channel_of_the_original_is_the_original(contents: Contents, blog: int) -> None:
    contents.save(blog, replace(ORIGINAL, body="Changed"), channel="website")
    assert contents.get(blog).draft.body == "Changed" and contents.wording(blog, "website").number == 2


def test_content_has_no_version_where_it_does_not_fit(contents: Contents, blog: int) -> None:
    for channel in ("email", "fax"):
        with pytest.raises(InvalidInput, match="Blog post has no version") as refused:
            contents.wording(blog, channel)
        assert "linkedin" in refused.value.hint
    with pytest.raises(NotFound):
        contents.wording(99)


# --- versions


def test_an_old_version_comes_back_as_a_next_one(contents: Contents, blog: int) -> None:
    contents.save(blog, replace(ORIGINAL, body="Worse"))
    assert contents.restore(blog, 1).number == 3
    assert [version.draft.body for version in contents.versions(blog)] == [ORIGINAL.body, "Worse", ORIGINAL.body]
    assert contents.restore(blog, 1).number == 3
    with pytest.raises(NotFound, match="no version 9") as missing:
        contents.restore(blog, 9)
    assert missing.value.hint == "There are 1 to 3."


def test_a_channels_old_version_comes_back_with_what_was_its_own(contents: Contents, blog: int) -> None:
    contents.save(blog, Draft("", "First"), channel="x")
    contents.save(blog, Draft("", "Second"), channel="x")
    contents.reset(blog, "x")
    after = contents.restore(blog, 1, "x")
    assert (after.number, after.version.draft.body, after.version.own) == (4, "First", ("body",))
    with pytest.raises(NotFound, match="no version 1 on LinkedIn"):
        contents.restore(blog, 1, "linkedin")


def test_a_version_of_a_channel_is_remembered_over_the_original_of_its_time(contents: Contents, blog: int) -> None:
    contents.approve(blog, "linkedin")
    contents.save(blog, replace(ORIGINAL, body="Changed"))
    (version,) = contents.versions(blog, "linkedin")
    assert version.draft.body == ORIGINAL.body


def test_versions_are_compared_the_last_two_unless_others_are_named(contents: Contents, blog: int) -> None:
    contents.save(blog, replace(ORIGINAL, body="Two"))
    contents.save(blog, replace(ORIGINAL, body="Three"))
    assert [contents.compare(blog).before.number, contents.compare(blog).after.number] == [2, 3]
    assert contents.compare(blog, 1, 2).after.draft.body == "Two"
    assert contents.compare(blog, 3).differences == ()


def test_a_channel_is_compared_with_the_original_unless_versions_are_named(contents: Contents, blog: int) -> None:
    contents.save(blog, Draft("", "One"), channel="x")
    contents.save(blog, Draft("", "Two"), channel="x")
    (only,) = contents.compare(blog, channel="x").differences
    assert only.field == "body" and "+Two" in "".join(line.mark + line.text for line in only.lines)
    assert contents.compare(blog, 1, channel="x").before.draft.body == "One"


def test_a_difference_reads_without_colour() -> None:
    before = "One\ntwo\nthree\nfour\nWe leave on Monday, all of us.\nsix\nseven\neight\ngone entirely"
    after = "One\ntwo\nthree\nfour\nWe leave on Friday, all of us.\nsix\nseven\neight"
    (body,) = compare(Draft("", before), Draft("", after))
    assert [line.mark + line.text for line in body.lines] == [
        "⋮",
        " three",
        " four",
        "~We leave on [-Monday-]{+Friday+}, all of us.",
        " six",
        " seven",
        " eight",
        "-gone entirely",
    ]


def test_every_field_that_differs_is_told_the_body_last() -> None:
    found = compare(ORIGINAL, Draft("S", "B", "P", "html"))
    assert [difference.field for difference in found] == ["subject", "preheader", "format", "body"]
    assert compare(ORIGINAL, ORIGINAL) == ()


# --- two who write at the same time


def test_what_two_write_at_the_same_time_is_both_kept(contents: Contents, blog: int) -> None:
    mine, theirs = replace(ORIGINAL, body="mine"), replace(ORIGINAL, body="theirs")
    assert contents.save(blog, theirs, amend=True, seen=ORIGINAL).meanwhile == 0
    saved = contents.save(blog, mine, amend=True, seen=ORIGINAL)
    assert (saved.number, saved.meanwhile) == (2, 1)
    assert [version.draft.body for version in contents.versions(blog)] == ["mine", "theirs"]
    assert contents.save(blog, replace(mine, body="mine, on"), amend=True, seen=mine).number == 2


def test_two_on_the_same_channel_are_both_kept(contents: Contents, blog: int) -> None:
    began = contents.wording(blog, "x").draft
    contents.save(blog, replace(began, body="theirs"), channel="x", amend=True, seen=began)
    mid = contents.wording(blog, "x").draft
    contents.save(blog, replace(mid, body="theirs, on"), channel="x", amend=True, seen=mid)
    saved = contents.save(blog, replace(mid, body="mine"), channel="x", amend=True, seen=mid)
    assert (saved.number, saved.meanwhile) == (2, 1)


def test_what_a_channel_takes_from_the_original_is_not_made_its_own_by_a_change_there(contents: Contents) -> None:
    email = contents.create("email", "News", ORIGINAL).id
    began = contents.wording(email, "website").draft
    contents.save(email, replace(ORIGINAL, body="Changed meanwhile"))
    saved = contents.save(email, replace(began, subject="Own title"), channel="website", seen=began)
    assert (saved.version.own, saved.meanwhile) == (("subject",), 0)
    assert saved.version.draft == Draft("Own title", "Changed meanwhile")


# --- approval


def test_approval_of_one_channel_says_nothing_of_another(contents: Contents, blog: int) -> None:
    contents.approve(blog)
    assert not contents.wording(blog, "linkedin").approved_at
    contents.approve(blog, "linkedin")
    assert contents.wording(blog, "linkedin").approved_at and not contents.wording(blog, "bluesky").approved_at


def test_a_change_of_the_original_withdraws_the_approval_of_what_shows_it(contents: Contents, blog: int) -> None:
    contents.save(blog, Draft("", "Own"), channel="x")
    contents.approve(blog, "x")
    contents.approve(blog, "linkedin")
    contents.save(blog, replace(ORIGINAL, subject="Another title, which neither shows"))
    assert contents.wording(blog, "x").approved_at and contents.wording(blog, "linkedin").approved_at
    contents.save(blog, replace(ORIGINAL, body="Changed"), amend=True)
    assert contents.wording(blog, "x").approved_at and not contents.wording(blog, "linkedin").approved_at


def test_it_is_told_which_version_was_approved_and_what_changed_since(contents: Contents, blog: int) -> None:
    assert contents.approved(blog) is None
    contents.approve(blog)
    contents.save(blog, replace(ORIGINAL, body="We moved.\n\nHere is why not."))
    was, now = contents.approved(blog), contents.wording(blog)
    assert was and (was.number, now.number) == (1, 2) and was.hash != now.hash
    assert compare(was.draft, now.draft)[0].lines[-1].text == "Here is why{+ not+}."
    contents.restore(blog, 1)
    again = contents.approved(blog)
    assert again and again.hash == contents.wording(blog).hash


def test_an_approval_can_be_taken_back(contents: Contents, blog: int) -> None:
    contents.approve(blog)
    assert contents.withdraw(blog).approved_at == "" and contents.approved(blog) is None


UNFIT = [
    ("blog", "", Draft("", "Body"), "subject is empty"),
    ("social", "x", Draft("", " "), "body is empty"),
    ("blog", "x", Draft("S", "a" * 281), "X takes 280 characters; these are 281"),
    ("blog", "linkedin", Draft("S", "Hello {{ first_name }}"), "first_name"),
    ("blog", "", Draft("S", "Hello {{ first_name }}"), "first_name"),
]


@pytest.mark.parametrize(("type", "channel", "draft", "why"), UNFIT, ids=[row[-1] for row in UNFIT])
def test_what_could_not_go_out_is_not_approved(
    contents: Contents, type: str, channel: str, draft: Draft, why: str
) -> None:
    content = contents.create(type, "x", draft).id
    with pytest.raises(InvalidInput, match=why):
        contents.approve(content, channel)
    assert contents.approved(content, channel) is None


def test_a_mail_that_does_not_compile_is_not_approved(contents: Contents) -> None:
    content = contents.create("email", "x", Draft("S", "{% if %}")).id
    with pytest.raises(TemplateInvalid):
        contents.approve(content)


def test_a_social_post_has_no_subject_and_each_network_approves_its_own(contents: Contents) -> None:
    post = contents.create("social", "x", Draft("", "Launch!")).id
    assert contents.approve(post, "x").approved_at
    assert contents.save(post, Draft("", "Launch! 2"), channel="x").version.approved_at == ""


def test_a_version_that_a_channels_approval_stands_on_is_not_written_over(contents: Contents, blog: int) -> None:
    contents.approve(blog, "linkedin")
    assert contents.save(blog, replace(ORIGINAL, body="typing on"), amend=True).number == 2


def test_a_preview_has_its_preheader_filled_in(workspace: Workspace) -> None:
    workspace.crm.add("jane@acme.example", first_name="Jane")
    seen = workspace.contents.preview(Draft("Hi", "x", "For {{ first_name }}"))
    assert seen.preheader == "For Jane"
