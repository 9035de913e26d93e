"""Content, approval, preflight and the campaign's way from draft to done."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, NotFound, QueryInvalid, TemplateInvalid
from aicmo.publishing import CheckReport, Draft
from aicmo.publishing.schedule import start_due
from aicmo.store import deliveries, suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace

from .conftest import SENDER, OpenWorkspace


@pytest.fixture
def workspace(workspace_for: OpenWorkspace) -> Workspace:
    opened = workspace_for("smtp-a")
    for name, company in [("Jane", "Acme"), ("Omar", ""), ("", "")]:
        opened.crm.add(f"{name or 'nobody'}@acme.example".lower(), first_name=name, company=company)
    return opened


def campaign_of(workspace: Workspace, draft: Draft, to: str = "") -> int:
    content = workspace.contents.create("email", "News", draft)
    return workspace.publishing.create_campaign("News", content.id, to).id


def codes(report: CheckReport) -> set[str]:
    return {problem.code for problem in report.problems}


GOOD = Draft("Hi", "Hello {{ first_name | default('you') }}")


def test_an_approval_holds_for_what_was_read_and_nothing_else(workspace: Workspace) -> None:
    publishing = workspace.publishing
    campaign = campaign_of(workspace, GOOD)
    with pytest.raises(ApprovalNeeded):
        publishing.start(campaign)
    assert publishing.approve(campaign).status == "approved"
    content = publishing.campaign(campaign).content_id
    workspace.contents.save(content, Draft("Hi", "changed"))
    with pytest.raises(ApprovalNeeded):
        publishing.start(campaign)
    workspace.contents.save(content, GOOD)
    assert workspace.contents.get(content).approved and workspace.contents.get(content).number == 3
    assert publishing.start(campaign).status == "running"


def test_saving_the_same_again_makes_no_version(workspace: Workspace) -> None:
    content = workspace.contents.create("email", "News", GOOD)
    assert workspace.contents.save(content.id, GOOD).number == 1


def test_saving_while_one_writes_makes_a_version_only_when_the_last_was_relied_on(workspace: Workspace) -> None:
    publishing = workspace.publishing
    campaign = campaign_of(workspace, Draft("Hi", "a"))
    content = publishing.campaign(campaign).content_id
    assert workspace.contents.save(content, Draft("Hi", "ab"), amend=True).number == 1
    publishing.approve(campaign)
    assert workspace.contents.save(content, Draft("Hi", "abc"), amend=True).number == 2
    assert workspace.contents.save(content, Draft("Hi", "abcd"), amend=True).number == 2
    publishing.start(campaign, approve=True)
    assert workspace.contents.save(content, Draft("Hi", "abcde"), amend=True).number == 3


def test_a_campaign_sends_the_version_it_began_with(workspace: Workspace) -> None:
    campaign = campaign_of(workspace, GOOD)
    begun = workspace.publishing.start(campaign, approve=True)
    workspace.contents.save(begun.content_id, Draft("Other", "Other"))
    assert workspace.publishing.campaign(campaign).version_id == begun.version_id
    assert begun.sender["email"] == "ada@example.com"


PREFLIGHT = [
    (Draft("", "Hello"), "", SENDER, "no_subject"),
    (Draft("Hi", " \n"), "", SENDER, "no_body"),
    (Draft("Hi", "{{ first_name }}"), "", SENDER, "missing_field"),
    (Draft("Hi {{ frist_name }}", "x"), "", SENDER, "missing_field"),
    (Draft("Hi", "{% if %}"), "", SENDER, "template_invalid"),
    (Draft("Hi", "x{% if first_name %}{{ unsubscribe }}{% endif %}"), "", SENDER, "no_unsubscribe"),
    (GOOD, "tag:nobody", SENDER, "empty_audience"),
    (GOOD, "", {**SENDER, "email": ""}, "sender_not_set"),
    (GOOD, "", {**SENDER, "postal_address": ""}, "no_postal_address"),
]


@pytest.mark.parametrize(("draft", "to", "sender", "code"), PREFLIGHT, ids=[row[-1] for row in PREFLIGHT])
def test_preflight_refuses(
    workspace_for: OpenWorkspace, workspace: Workspace, draft: Draft, to: str, sender: dict[str, str], code: str
) -> None:
    opened = workspace_for("smtp-a", sender=sender)
    campaign = campaign_of(opened, draft, to)
    report = opened.publishing.check(campaign)
    assert not report.ok and code in codes(report)
    with pytest.raises(InvalidInput):
        opened.publishing.start(campaign, approve=True)
    assert opened.publishing.campaign(campaign).status == "draft"


def test_preflight_names_the_people_and_the_nearest_field(workspace: Workspace) -> None:
    report = workspace.publishing.check_draft(Draft("Hi {{ frist_name }}", "at {{ company }}"), "")
    told = {problem.message.split(" ")[0]: problem for problem in report.problems}
    assert told["frist_name"].count == 3 and "Did you mean first_name?" in told["frist_name"].hint
    assert (told["company"].count, told["company"].people) == (2, ("omar@acme.example", "nobody@acme.example"))


def test_preflight_passes_what_is_right_and_leaves_the_suppressed_out(workspace: Workspace) -> None:
    workspace.db.write(
        lambda db: suppressions.add(db, "nobody@acme.example", SuppressionReason.MANUAL, "test", workspace.clock.now())
    )
    report = workspace.publishing.check_draft(Draft("Hi {{ first_name }}", "x"), "")
    assert report.ok and (report.audience, report.suppressed) == (3, 1)
    assert "many_suppressed" in codes(report)


def test_without_a_server_a_campaign_is_refused(workspace_for: OpenWorkspace, workspace: Workspace) -> None:
    from aicmo.config import Config
    from aicmo.workspace import open_workspace

    with open_workspace(workspace.paths, Config.model_validate({"sender": SENDER})) as bare:
        assert "no_server" in codes(bare.publishing.check_draft(GOOD, ""))


def test_a_preview_is_what_that_person_would_get(workspace: Workspace) -> None:
    seen = workspace.contents.preview(Draft("Hi {{ first_name }}", "at {{ company }}"), email="Jane@acme.example")
    assert (seen.to, seen.subject) == ("jane@acme.example", "Hi Jane")
    assert "at Acme" in seen.text and "at Acme" in seen.html and "To: Jane <jane@acme.example>" in seen.source
    with pytest.raises(TemplateInvalid, match="company is missing"):
        workspace.contents.preview(Draft("Hi", "{{ company }}"), email="omar@acme.example")
    with pytest.raises(NotFound):
        workspace.contents.preview(GOOD, audience="tag:nobody")


@pytest.mark.parametrize(
    ("move", "allowed"),
    [
        ("pause", {"running", "scheduled"}),
        ("resume", {"paused"}),
        ("cancel", {"approved", "scheduled", "running", "paused"}),
        ("retry", {"draft", "approved", "scheduled", "running", "paused"}),
    ],
)
def test_each_move_is_allowed_from_where_it_makes_sense(workspace: Workspace, move: str, allowed: set[str]) -> None:
    campaign = campaign_of(workspace, GOOD)
    for status in ("draft", "approved", "scheduled", "running", "paused", "cancelled"):
        workspace.db.write(lambda db, status=status: set_up(db, campaign, status))  # type: ignore[misc]
        if status in allowed:
            getattr(workspace.publishing, move)(campaign)
        else:
            with pytest.raises(IllegalTransition):
                getattr(workspace.publishing, move)(campaign)


def set_up(db: sqlite3.Connection, campaign: int, status: str) -> None:
    """The campaign in that status, with one delivery still open if it has begun."""
    db.execute("DELETE FROM delivery")
    db.execute("UPDATE campaign SET status = ?", (status,))
    if status in ("running", "paused", "cancelled"):
        deliveries.freeze(db, campaign, 1, "address = 'jane@acme.example'", (), datetime.now(UTC))


def test_bad_input_is_refused_in_one_sentence(workspace: Workspace) -> None:
    publishing = workspace.publishing
    with pytest.raises(InvalidInput, match="content type"):
        workspace.contents.create("letter", "x", GOOD)
    with pytest.raises(InvalidInput, match="title is empty"):
        workspace.contents.create("email", "\x1b", GOOD)
    with pytest.raises(NotFound):
        publishing.create_campaign("x", 99, "")
    blog = workspace.contents.create("blog", "x", GOOD)
    with pytest.raises(InvalidInput, match="of type blog"):
        publishing.create_campaign("x", blog.id, "")
    email = workspace.contents.create("email", "x", GOOD)
    with pytest.raises(QueryInvalid):
        publishing.create_campaign("x", email.id, "bogus:1")


async def test_a_test_goes_the_real_way_and_stands_in_no_ledger(workspace: Workspace, sandbox) -> None:  # type: ignore[no-untyped-def]
    campaign = campaign_of(workspace, Draft("Hi {{ first_name }}", "x"), "jane")
    attempt = await workspace.publishing.send_test(campaign)
    for provider in workspace.chain("email_sending").providers:
        await provider.close()
    assert (attempt.provider, attempt.applied) == ("smtp-a", "yes")
    (mail,) = sandbox.received()
    assert mail.rcpt_to == ("ada@example.com",) and b"Subject: [Test] Hi Jane" in mail.raw
    assert workspace.publishing.counts(campaign).audience == 0


def test_an_audience_is_asked_anew_until_the_campaign_begins(workspace: Workspace) -> None:
    """What it is made of may change: a segment's query, and what less than a day ago means."""
    workspace.segments.create("Acme", "company:acme")
    campaign_id = campaign_of(workspace, GOOD, 'segment:acme created:<1d or segment:"acme"')
    assert workspace.publishing.check(campaign_id).audience == 1
    workspace.segments.edit("Acme", query="company:acme or omar -sent:any")
    with pytest.raises(InvalidInput, match="is used by campaign 1"):
        workspace.segments.delete("Acme")
    workspace.publishing.start(campaign_id, approve=True)
    assert workspace.publishing.counts(campaign_id).audience == 2
    workspace.segments.edit("Acme", query="tag:nobody")
    assert workspace.publishing.counts(campaign_id).audience == 2


def test_a_scheduled_campaign_whose_segment_is_torn_is_paused_and_says_so(workspace: Workspace) -> None:
    workspace.segments.create("Acme", "company:acme")
    campaign_id = campaign_of(workspace, GOOD, "segment:acme")
    now = workspace.clock.now()
    workspace.publishing.start(campaign_id, approve=True, at=now + timedelta(hours=1))
    workspace.db.write(lambda db: db.execute("UPDATE segment SET query = 'tga:x'"))
    workspace.db.write(lambda db: start_due(db, now + timedelta(hours=2), timedelta(hours=12)))
    paused = workspace.publishing.campaign(campaign_id)
    assert (paused.status, workspace.publishing.counts(campaign_id).audience) == ("paused", 0)
    assert "In the segment “Acme”: There is no key “tga:”" in paused.pause_reason
