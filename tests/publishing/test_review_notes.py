"""Notes stay among those who write: no message, post, preview, answer or export ever carries one."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest

from aicmo.errors import InvalidInput, NotFound
from aicmo.publishing import Content, Draft, Preview
from aicmo.publishing.channels import Post, post_of
from aicmo.publishing.email.message import BuiltMessage, Recipient
from aicmo.publishing.writing.reviewing import LONGEST_NOTE
from aicmo.store.contents import Version
from aicmo.store.review_notes import ReviewNote
from aicmo.workspace import Workspace
from aicmo_tui.cli.verb import run_command

from .conftest import OpenWorkspace

CANARY = "canary-7b41"


@pytest.fixture
def workspace(workspace_for: OpenWorkspace) -> Workspace:
    opened = workspace_for("smtp-a")
    opened.crm.add("jane@acme.example", first_name="Jane")
    return opened


@pytest.fixture
def content(workspace: Workspace) -> int:
    return workspace.contents.create("email", "News", Draft("Hi {{ first_name }}", "Hello")).id


def test_a_note_says_which_words_it_is_about(workspace: Workspace, content: int) -> None:
    reviews, contents = workspace.reviews, workspace.contents
    reviews.add(content, "the tone")
    contents.save(content, Draft("Hi", "Hello again"))
    reviews.add(content, "too long", "x")
    contents.save(content, Draft("Hi", "Hello once more"), amend=True)
    said = {each.note.text: (each.number, each.channel) for each in reviews.list(content)}
    assert said == {"the tone": (1, ""), "too long": (0, "")}


def test_a_settled_note_comes_after_the_open_ones_and_can_be_opened_again(workspace: Workspace, content: int) -> None:
    reviews = workspace.reviews
    first, second = (reviews.add(content, text).id for text in ("one", "two"))
    assert reviews.settle(second).settled_at
    assert [each.note.id for each in reviews.list(content)] == [first, second]
    assert not reviews.settle(second, again=True).settled_at
    with pytest.raises(NotFound):
        reviews.settle(99)


def test_a_note_is_plain_text_of_a_bearable_length(workspace: Workspace, content: int) -> None:
    assert workspace.reviews.add(content, " look\x1b]0;x\x07 here ").text == "look]0;x here"
    for text in (" ", "x" * (LONGEST_NOTE + 1)):
        with pytest.raises(InvalidInput):
            workspace.reviews.add(content, text)
    with pytest.raises(NotFound):
        workspace.reviews.add(99, "x")


async def test_no_message_that_leaves_carries_a_note(workspace: Workspace, content: int, sandbox) -> None:  # type: ignore[no-untyped-def]
    workspace.reviews.add(content, CANARY)
    campaign = workspace.publishing.create_campaign("News", content, "")
    await workspace.publishing.send_test(campaign.id)
    workspace.publishing.start(campaign.id, approve=True)
    await workspace.publishing.outbox().run()
    for provider in workspace.chain("email_sending").providers:
        await provider.close()
    received = sandbox.received()
    assert len(received) == 2 and not [mail for mail in received if CANARY.encode() in mail.raw]


def test_no_preview_or_post_carries_a_note(workspace: Workspace, content: int) -> None:
    contents = workspace.contents
    for channel in ("", *contents.channels(content)):
        workspace.reviews.add(content, CANARY, channel)
        contents.save(content, Draft("S", "Words of its own"), channel=channel)
    seen = [contents.preview(contents.get(content).draft)]
    seen += [post_of(channel, contents.wording(content, channel).draft) for channel in contents.channels(content)]
    assert CANARY not in repr(seen)


VERBS = [
    "content list",
    "content show 1",
    "content preview 1 --part source",
    "content versions 1",
    "content diff 1",
    "campaign list",
    "campaign show 1",
    "campaign check 1",
    "campaign preview 1 --part source",
    "campaign test 1 --dry-run",
    "campaign deliveries 1",
    "contact list",
    "contact timeline jane@acme.example",
    "contact export",
    "contact export --subject jane@acme.example",
    "report summary",
]


@pytest.mark.parametrize("verb", VERBS)
def test_no_answer_or_export_carries_a_note(
    verb: str, workspace: Workspace, content: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    workspace.reviews.add(content, CANARY)
    workspace.publishing.create_campaign("News", content, "")
    config = tmp_path / "config.toml"
    config.write_text('[sender]\nname = "Ada"\nemail = "ada@example.com"\npostal_address = "1 Way"\n')
    config.chmod(0o600)
    where = ["--config", str(config), "--data-dir", str(workspace.paths.data_dir)]
    for form in ([], ["--json"]):
        run_command([*verb.split(), *form, *where])
        out, err = capfd.readouterr()
        assert out + err and CANARY not in out + err


def reached(kind: type, seen: set[type]) -> set[type]:
    """The dataclasses that one holds, and those that they hold."""
    if kind in seen or not dataclasses.is_dataclass(kind):
        return seen
    seen.add(kind)
    for each in typing.get_type_hints(kind).values():
        for part in (each, *typing.get_args(each)):
            if isinstance(part, type):
                reached(part, seen)
    return seen


@pytest.mark.parametrize("kind", [Draft, Content, Version, Preview, Post, BuiltMessage, Recipient])
def test_nothing_that_is_built_or_sent_can_hold_a_note(kind: type) -> None:
    found = reached(kind, set())
    assert kind in found and ReviewNote not in found
