"""What is wrong with whom a campaign goes to, how long it takes, and when it would begin: over a real store."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aicmo.config import Config
from aicmo.errors import InvalidInput
from aicmo.paths import Paths
from aicmo.publishing import CheckReport, Draft
from aicmo.publishing.preflight import audience as checks
from aicmo.publishing.preflight.pace import Plan, pace_problems, schedule_problems
from aicmo.publishing.sending.allowance import Account
from aicmo.store import audience_checks, suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace, open_workspace

from .preflight_cases import codes, status

SENDER = {"name": "Ada Lovelace", "email": "ada@acme.example", "postal_address": "1 Analytical Way, London"}
GOOD = Draft("Hi", "Hello {{ first_name | default('you') }}, here is what we have made since the summer.", "Soon")
OpenWith = Callable[..., Workspace]


@pytest.fixture
def open_with(tmp_path: Path) -> Iterator[OpenWith]:
    opened: list[Workspace] = []

    def open_it(limits: dict[str, int] | None = None, **more: Any) -> Workspace:
        block = {"kind": "smtp", "host": "127.0.0.1", "security": "none", "limits": limits or {}}
        inbox = {"kind": "imap", "host": "127.0.0.1", "security": "none", "username": "ada@acme.example"}
        config = {
            "sender": SENDER,
            "chains": {"email_sending": ["main"], "reply_fetching": ["inbox"]},
            "providers": {"main": block, "inbox": inbox},
        }
        paths = Paths(tmp_path / "config.toml", tmp_path / "data")
        opened.append(open_workspace(paths, Config.model_validate({**config, **more})))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def add(workspace: Workspace, *emails: str, **fields: str) -> None:
    for email in emails:
        workspace.crm.add(email, **fields)


def suppress(workspace: Workspace, *emails: str) -> None:
    for email in emails:
        workspace.db.write(
            lambda db, each=email: suppressions.add(db, each, SuppressionReason.MANUAL, "test", workspace.clock.now())
        )


def campaign(workspace: Workspace, draft: Draft = GOOD) -> int:
    content = workspace.contents.create("email", "News", draft)
    return workspace.publishing.create_campaign("News", content.id, "").id


def sent_to_everybody(workspace: Workspace) -> int:
    started = workspace.publishing.start(campaign(workspace), approve=True).id
    now = workspace.clock.now().isoformat()
    workspace.db.write(
        lambda db: db.execute("UPDATE delivery SET state = 'sent', sending_at = ?, provider = 'main'", (now,))
    )
    return started


def one_of(draft: Draft) -> Callable[[OpenWith], CheckReport]:
    def check(open_with: OpenWith) -> CheckReport:
        workspace = open_with()
        add(workspace, "omar@acme.example")
        return workspace.publishing.check_draft(draft, "")

    return check


def nobody(open_with: OpenWith) -> CheckReport:
    return open_with().publishing.check_draft(GOOD, "")


def all_suppressed(open_with: OpenWith) -> CheckReport:
    workspace = open_with()
    add(workspace, "a@acme.example")
    suppress(workspace, "a@acme.example")
    return workspace.publishing.check_draft(GOOD, "")


def many_suppressed(open_with: OpenWith) -> CheckReport:
    workspace = open_with()
    add(workspace, "a@acme.example", "b@acme.example")
    suppress(workspace, "a@acme.example")
    return workspace.publishing.check_draft(GOOD, "")


def of(*emails: str) -> Callable[[OpenWith], CheckReport]:
    def check(open_with: OpenWith) -> CheckReport:
        workspace = open_with()
        add(workspace, *emails)
        return workspace.publishing.check_draft(GOOD, "")

    return check


def mailed_before(open_with: OpenWith) -> CheckReport:
    workspace = open_with()
    add(workspace, "a@acme.example", "b@acme.example")
    sent_to_everybody(workspace)
    return workspace.publishing.check_draft(replace(GOOD, body="Something else that we have to say today."), "")


def had_as_many_as_allowed(open_with: OpenWith) -> CheckReport:
    workspace = open_with(sending={"frequency": {"most": 1, "days": 7}})
    add(workspace, "a@acme.example", "b@acme.example")
    sent_to_everybody(workspace)
    add(workspace, "new@acme.example")
    report = workspace.publishing.check_draft(replace(GOOD, body="Something else that we have to say today."), "")
    (full,) = [each for each in report.problems if each.code == "had_enough"]
    assert full.count == 2 and full.message.startswith("2 of 3 people had as many messages as you allow (1 in 7 days)")
    return report


def same_words(open_with: OpenWith) -> CheckReport:
    workspace = open_with()
    add(workspace, "a@acme.example", "b@acme.example")
    sent_to_everybody(workspace)
    long_ago = (workspace.clock.now() - timedelta(days=30)).isoformat()
    workspace.db.write(lambda db: db.execute("UPDATE delivery SET sending_at = ?", (long_ago,)))
    return workspace.publishing.check_draft(GOOD, "")


def a_sudden_rise(open_with: OpenWith) -> CheckReport:
    workspace = open_with()
    add(workspace, "a@acme.example", "b@acme.example")
    sent_to_everybody(workspace)
    add(workspace, *(f"p{n}@acme.example" for n in range(1_000)))
    return workspace.publishing.check_draft(replace(GOOD, body="Something else that we have to say today."), "")


def slowly(open_with: OpenWith) -> CheckReport:
    workspace = open_with(limits={"day": 2})
    add(workspace, *(f"p{n}@acme.example" for n in range(5)))
    return workspace.publishing.check_draft(GOOD, "")


def capped_everywhere(open_with: OpenWith) -> CheckReport:
    workspace = open_with(sending={"domains": {"*": {"day": 2}}})
    add(workspace, *(f"p{n}@acme.example" for n in range(5)))
    return workspace.publishing.check_draft(GOOD, "")


def capped_there(open_with: OpenWith) -> CheckReport:
    workspace = open_with(sending={"domains": {"acme.example": {"day": 2}}})
    add(workspace, *(f"p{n}@acme.example" for n in range(5)))
    return workspace.publishing.check_draft(GOOD, "")


def on_a_sunday_night(open_with: OpenWith) -> CheckReport:
    workspace = open_with(sending={"timezone": "UTC"})
    add(workspace, "a@acme.example")
    return workspace.publishing.check(campaign(workspace), at=datetime(2036, 11, 30, 3, tzinfo=UTC))


PEOPLE: list[tuple[set[str], Callable[[OpenWith], CheckReport]]] = [
    ({"missing_field"}, one_of(Draft("Hi", "Hello {{ first_name }}, here is something to read.", "Soon"))),
    ({"missing_field"}, one_of(Draft("Hi {{ frist_name }}", "Here is something to read.", "Soon"))),
    ({"no_unsubscribe"}, one_of(Draft("Hi", "To read{% if first_name %}{{ unsubscribe }}{% endif %}", "Soon"))),
    ({"address_not_shown"}, one_of(Draft("Hi", "To read{% if first_name %}{{ postal_address }}{% endif %}", "Soon"))),
    ({"empty_audience"}, nobody),
    ({"all_suppressed"}, all_suppressed),
    ({"many_suppressed"}, many_suppressed),
    ({"role_addresses"}, of("abuse@acme.example", *(f"p{n}@acme.example" for n in range(50)))),
    ({"role_addresses"}, of("info@acme.example")),
    ({"disposable_addresses"}, of("x@mailinator.com")),
    ({"mailed_lately"}, mailed_before),
    ({"mailed_lately", "had_enough"}, had_as_many_as_allowed),
    ({"sent_before"}, same_words),
    ({"larger_than_usual"}, a_sudden_rise),
    ({"takes_days", "nobody_runs"}, slowly),
    ({"takes_days", "nobody_runs"}, capped_everywhere),
    ({"takes_days", "nobody_runs"}, capped_there),
    ({"at_night", "at_weekend", "nobody_runs"}, on_a_sunday_night),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "check"), PEOPLE, ids=["-".join(sorted(row[0])) + f"-{n}" for n, row in enumerate(PEOPLE)]
)
def test_an_audience_is_found_wrong_for_what_it_is(
    expected: set[str], check: Callable[[OpenWith], CheckReport], open_with: OpenWith
) -> None:
    report = check(open_with)
    assert codes(report) == expected
    assert all(each.hint and each.message.endswith(".") for each in report.problems)


def test_the_query_of_a_problem_finds_exactly_its_people(open_with: OpenWith) -> None:
    workspace = open_with()
    add(workspace, "jane@acme.example", first_name="Jane")
    add(workspace, "omar@acme.example", "gone@acme.example", "out@other.example")
    suppress(workspace, "gone@acme.example")
    draft = Draft("Hi", "Hello {{ first_name }} of {{ city }}, here is something to read.", "Soon")
    report = workspace.publishing.check_draft(draft, "domain:acme.example or domain:nowhere.example")
    found = {each.message.split(" ")[0]: each for each in report.problems}
    assert [each.email for each in workspace.crm.list(found["first_name"].query)] == ["omar@acme.example"]
    assert found["first_name"].count == 1 and found["first_name"].people == ("omar@acme.example",)
    assert found["city"].count == len(workspace.crm.list(found["city"].query)) == 2


def test_whom_a_campaign_leaves_out_is_not_checked(open_with: OpenWith) -> None:
    workspace = open_with()
    add(workspace, "jane@acme.example", first_name="Jane")
    add(workspace, "omar@other.example")
    draft = Draft("Hi", "Hello {{ first_name }}, here is something to read.", "Soon")
    assert "missing_field" in codes(workspace.publishing.check_draft(draft, ""))
    assert codes(workspace.publishing.check_draft(draft, "", exclude="domain:other.example")) == set()


def test_counting_by_sql_agrees_with_filling_the_template_for_everybody(open_with: OpenWith) -> None:
    workspace, chance = open_with(), random.Random(7)
    body = (
        "Hello {% if company %}{{ company }} {{ title }}{% endif %} {{ first_name }} {{ city | default('') }} to read"
    )
    for number in range(60):
        pick = {name: chance.choice(["", "x"]) for name in ("first_name", "company", "title")}
        add(workspace, f"p{number}@acme.example", **pick)
    expected = {"first_name": 0, "title": 0}
    for person in workspace.crm.list(""):
        expected["first_name"] += not person.first_name
        expected["title"] += bool(person.company) and not person.title
    report = workspace.publishing.check_draft(Draft("Hi", body, "Soon"), "")
    assert {
        each.message.split(" ")[0]: each.count for each in report.problems if each.code == "missing_field"
    } == expected


def test_the_suppressed_are_counted_alike_by_every_way_of_counting(
    open_with: OpenWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = open_with()
    add(workspace, *(f"p{n}@acme.example" for n in range(20)))
    suppress(workspace, *(f"p{n}@acme.example" for n in range(0, 20, 3)))
    held = workspace.publishing.audience("")
    monkeypatch.setattr("aicmo.store.audiences.KEYS_HELD", 2)
    in_sql = workspace.publishing.audience("")
    monkeypatch.setattr("aicmo.store.audiences.VERY_MANY", 1)
    kept = workspace.publishing.audience("")
    suppress(workspace, "p1@acme.example")
    after = workspace.publishing.audience("")
    workspace.crm.add("p0b@acme.example")
    suppress(workspace, "p0b@acme.example")
    last = workspace.publishing.audience("")
    assert [each.suppressed for each in (held, in_sql, kept, after, last)] == [7, 7, 7, 8, 9]


def test_where_nobody_is_suppressed_nobody_is_looked_at_for_it(
    open_with: OpenWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a million people that look takes longer than all the rest of a check."""
    workspace = open_with()
    add(workspace, *(f"p{n}@acme.example" for n in range(3)))
    monkeypatch.setattr("aicmo.store.audiences.VERY_MANY", 1)
    monkeypatch.setattr("aicmo.store.audiences._suppressed", lambda db: pytest.fail("looked at everybody"))
    assert workspace.publishing.audience("").total == 3
    assert codes(workspace.publishing.check_draft(GOOD, "")) == set()


def test_a_large_audience_is_looked_at_in_part_and_says_about(
    open_with: OpenWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience_checks, "LOOKED_AT", 10)
    workspace = open_with()
    add(workspace, *(f"p{n}@acme.example" for n in range(40)))
    sent_to_everybody(workspace)
    report = workspace.publishing.check_draft(GOOD, "")
    told = {each.code: each for each in report.problems}
    assert told["mailed_lately"].message.startswith("About 100% of 40 people")
    assert told["sent_before"].count == 40


def test_aicmo_run_makes_a_schedule_believable(open_with: OpenWith) -> None:
    workspace = open_with(limits={"day": 2})
    add(workspace, *(f"p{n}@acme.example" for n in range(5)))
    assert "nobody_runs" in codes(workspace.publishing.check_draft(GOOD, ""))
    import anyio

    anyio.run(workspace.publishing.note_run)
    assert codes(workspace.publishing.check_draft(GOOD, "")) == {"takes_days"}


def test_a_later_message_is_told_by_its_name(open_with: OpenWith) -> None:
    workspace = open_with()
    add(workspace, "a@acme.example")
    first = campaign(workspace)
    other = workspace.contents.create("email", "B", replace(GOOD, subject="Re: our call"))
    workspace.variants.add(first, content_id=other.id)
    (found,) = workspace.publishing.check(first).problems
    assert found.code == "subject_pretends_reply" and found.message.startswith("Variant B: ")


def test_an_error_stops_the_start_and_a_warning_does_not(open_with: OpenWith) -> None:
    workspace = open_with()
    add(workspace, "a@acme.example")
    wrong = campaign(workspace, replace(GOOD, body="[Read on](/x) " * 30))
    with pytest.raises(InvalidInput, match="relative"):
        workspace.publishing.start(wrong, approve=True)
    shouting = campaign(workspace, replace(GOOD, subject="READ THIS NOW PLEASE"))
    assert workspace.publishing.start(shouting, approve=True).status in ("running", "finished")


async def test_everything_is_checked_at_once_and_a_made_up_sender_is_not_asked_about(open_with: OpenWith) -> None:
    workspace = open_with()
    workspace.crm.add("a@acme.example")
    report = await workspace.publishing.check_all(campaign(workspace))
    assert report.ok and report.audience == 1
    assert status(report, "links") == "ok" and status(report, "SPF") == "skipped"


# --- time -------------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)  # a Tuesday


def plan(count: int, *, limits: dict[str, int] | None = None, gmail: int = 0, **more: Any) -> Plan:
    domains = [("gmail.com", gmail)] if gmail else [("acme.example", count)]
    return Plan(count, [Account("main", limits or {})], domains, more.pop("caps", {}), NOW, **more)


def warming(count: int, *caps: int) -> Plan:
    return Plan(count, [Account("main", {}, caps)], [("acme.example", count)], {}, NOW)


PACES: list[tuple[str, Plan, str]] = [
    ("takes_days", plan(1_500, limits={"day": 500}), "At 500 a day this takes 3 days, until Thu 26 Nov."),
    ("takes_days", plan(5_000, limits={"day": 100}), "At 100 a day this takes 50 days, until Tue 12 Jan 2027."),
    ("takes_days", plan(1_000, caps={"acme.example": {"day": 100}}), "At 100 a day to acme.example this takes 10 days"),
    ("takes_days", plan(1_000, caps={"*": {"hour": 10}}), "At 240 a day to acme.example this takes 5 days"),
    ("takes_days", plan(10**9, limits={"day": 1}), "longer than can be reckoned"),
    ("takes_days", warming(60, 10, 20, 40), "At up to 30 a day this takes 3 days"),
    ("needs_one_click", plan(6_000, gmail=6_000), "6,000 a day to Gmail"),
]
MOMENTS: list[tuple[str, Plan, str]] = [
    ("past_start", plan(1, at=NOW - timedelta(hours=1), ran_at=NOW), "Tue 24 Nov 09:00 has passed"),
    ("past_start", plan(1, at=datetime(2025, 1, 1, 9, tzinfo=UTC), ran_at=NOW), "Wed 01 Jan 2025 09:00 has passed"),
    ("at_night", plan(1, at=datetime(2026, 11, 25, 23, tzinfo=UTC), ran_at=NOW), "23:00"),
    ("at_weekend", plan(1, at=datetime(2026, 11, 28, 10, tzinfo=UTC), ran_at=NOW), "Saturday"),
    ("nobody_runs", plan(1, at=NOW + timedelta(hours=1), ran_at=NOW - timedelta(days=2)), "seen on Sun 22 Nov 10:00"),
]


@pytest.mark.parametrize(("code", "what", "said"), PACES)
def test_what_takes_long_says_how_long(code: str, what: Plan, said: str) -> None:
    (found,) = pace_problems(what, one_click=False)[0]
    assert found.code == code and said in found.message


@pytest.mark.parametrize(("code", "what", "said"), MOMENTS)
def test_a_moment_that_nobody_would_choose_is_said(code: str, what: Plan, said: str) -> None:
    (found,) = schedule_problems(what, slow=False)[0]
    assert found.code == code and said in found.message


def test_a_fast_campaign_says_how_long_it_takes() -> None:
    problems, looks = pace_problems(plan(6_000, limits={"second": 1, "day": 10_000}), one_click=False)
    assert problems == [] and looks[0].says == "about 100 min"
    assert pace_problems(plan(5), one_click=False)[1][0].says == "no limit in the way"


def test_a_day_cap_below_the_bulk_line_needs_no_one_click() -> None:
    slow = plan(60_000, limits={"day": 1_000}, gmail=60_000)
    assert [each.code for each in pace_problems(slow, one_click=False)[0]] == ["takes_days"]
    assert pace_problems(plan(6_000, gmail=6_000), one_click=True)[0] == []


def test_hours_of_its_own_make_any_moment_a_good_one() -> None:
    asked = plan(1, at=datetime(2026, 11, 29, 3, tzinfo=UTC), ran_at=NOW, chosen_hours=True)
    assert schedule_problems(asked, slow=False)[0] == []


def test_people_named_are_few_and_counted_all(open_with: OpenWith) -> None:
    workspace = open_with()
    add(workspace, *(f"p{n}@acme.example" for n in range(9)))
    (found,) = workspace.publishing.check_draft(
        Draft("Hi", "Hello {{ first_name }} and read this.", "Soon"), ""
    ).problems
    assert found.count == 9 and len(found.people) == checks.PEOPLE_NAMED
    assert found.message == (
        "first_name is missing for 9 people (p0@acme.example, p1@acme.example, p2@acme.example, p3@acme.example, "
        "p4@acme.example, …)."
    )
