"""The calendar shows what the sender will do, what it has done, and what waits for a word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from aicmo.clock import rfc3339
from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.publishing import Draft
from aicmo.publishing.agenda import Agenda, Kind, summary
from aicmo.store import campaigns, suppressions, variants
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.suppressions import SuppressionReason
from aicmo.store.variants import Trial
from aicmo.workspace import Workspace, open_workspace

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
SUNDAY = date(2026, 11, 22)
MONTH = (date(2026, 11, 1), date(2026, 11, 30))
CONFIG = {
    "sender": {"name": "Ada", "email": "ada@example.com", "postal_address": "1 Analytical Way"},
    "chains": {"email_sending": ["smtp"]},
    "providers": {"smtp": {"kind": "smtp", "host": "127.0.0.1", "port": 9, "security": "none"}},
}


class Standing:
    """A wall clock that stands."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    paths = Paths(tmp_path / "config.toml", tmp_path / "data")
    with open_workspace(paths, Config.model_validate(CONFIG), clock=Standing()) as opened:
        for number in range(3):
            opened.crm.add(f"p{number}@acme.example")
        yield opened


def campaign(workspace: Workspace, name: str, status: CampaignStatus, **columns: str) -> int:
    """A campaign that stands where this test needs it."""

    def write(db):
        from aicmo.store import contents

        content_id = contents.create(db, "email", name, Draft("Hi", "Hello"), NOW)
        campaign_id = campaigns.create(db, name, content_id, "", NOW)
        sets = ", ".join(f"{column} = ?" for column in columns)
        db.execute(
            f"UPDATE campaign SET status = ?{', ' + sets if sets else ''} WHERE id = ?",
            (status, *columns.values(), campaign_id),
        )
        return campaign_id

    return workspace.db.write(write)


def deliver(
    workspace: Workspace,
    campaign_id: int,
    state: str,
    *,
    at: datetime | None = None,
    cause: str = "later",
    attempts: int = 1,
) -> None:
    """One more delivery of the campaign, in that state; deferred until ``at``."""

    def write(db):
        (number,) = db.execute("SELECT count(*) FROM delivery WHERE campaign_id = ?", (campaign_id,)).fetchone()
        db.execute(
            """INSERT INTO delivery (campaign_id, address, state, retry_at, cause, attempts, at)
               VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (campaign_id, f"p{number}@acme.example", state, rfc3339(at) if at else None, cause, attempts, rfc3339(NOW)),
        )

    workspace.db.write(write)


def told(agenda: Agenda) -> list[str]:
    plan = agenda.look(*MONTH)
    return [f"{day.day} {summary(each)}" for day, some in plan.days.items() for each in some]


def test_a_scheduled_campaign_stands_on_its_day_with_those_it_would_reach(workspace: Workspace) -> None:
    campaign(workspace, "News", CampaignStatus.SCHEDULED, scheduled_at=rfc3339(NOW + timedelta(days=2)))
    workspace.db.write(
        lambda db: suppressions.add(db, "p0@acme.example", SuppressionReason.UNSUBSCRIBED, "a mail", NOW)
    )
    (entry,) = workspace.agenda.look(*MONTH).of(date(2026, 11, 24))
    assert (entry.kind, entry.title, entry.at) == (Kind.START, "News", NOW + timedelta(days=2))
    assert entry.count == 2


def test_what_was_begun_before_its_time_stands_where_it_began(workspace: Workspace) -> None:
    times = {"started_at": rfc3339(NOW - timedelta(days=1)), "scheduled_at": rfc3339(NOW + timedelta(days=2))}
    early = campaign(workspace, "News", CampaignStatus.PAUSED, **times)
    workspace.publishing.resume(early)
    (entry,) = (each for some in workspace.agenda.look(*MONTH).days.values() for each in some)
    assert (entry.kind, entry.at) == (Kind.WENT, NOW)


def test_a_day_begins_in_the_zone_that_is_asked_for(workspace: Workspace) -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    campaign(workspace, "News", CampaignStatus.SCHEDULED, scheduled_at=rfc3339(late))
    for hours, day in ((0, 24), (2, 25)):
        agenda = Agenda(workspace.db, Standing(), zone=timezone(timedelta(hours=hours)))
        assert list(agenda.look(*MONTH).days) == [date(2026, 11, day)]


def test_what_was_put_off_is_one_line_a_day_at_the_time_of_the_first(workspace: Workspace) -> None:
    running = campaign(workspace, "News", CampaignStatus.RUNNING, started_at=rfc3339(NOW))
    for hours in (30, 26, 50):
        deliver(workspace, running, "deferred", at=NOW + timedelta(hours=hours))
    deliver(workspace, running, "deferred", cause="winner")
    workspace.db.write(lambda db: variants.put_trial(db, Trial(running, "clicks", 20, 0, 30 * 60, 1)))
    deliver(workspace, running, "sent")
    agenda = Agenda(workspace.db, Standing(), zone=UTC)
    assert told(agenda) == [
        "22 News: sent to 1 person",
        "23 News: 2 people tried again",
        "23 News: the better variant goes to 1 person",
        "24 News: 1 person tried again",
    ]
    assert agenda.look(*MONTH).of(date(2026, 11, 23))[0].at == NOW + timedelta(hours=26)


def test_who_was_never_tried_is_told_with_what_they_wait_for(workspace: Workspace) -> None:
    running = campaign(workspace, "News", CampaignStatus.RUNNING, started_at=rfc3339(NOW))
    for cause in ("hours", "hours", "limit", "frequency", "throttled", "variant"):
        deliver(workspace, running, "deferred", at=NOW + timedelta(hours=26), cause=cause, attempts=0)
    for cause in ("hours", "throttled"):  # greylisted before, and refused itself
        deliver(workspace, running, "deferred", at=NOW + timedelta(hours=26), cause=cause, attempts=1)
    deliver(workspace, running, "deferred", at=NOW + timedelta(hours=26), cause="server", attempts=0)
    agenda = Agenda(workspace.db, Standing(), zone=UTC)
    assert sorted(told(agenda)[1:]) == [
        "23 News: 1 person when a limit leaves room",
        "23 News: 1 person when the receiving side takes more",
        "23 News: 1 person who had enough mail until then",
        "23 News: 1 person whose variant goes then",
        "23 News: 2 people when the hours for sending begin",
        "23 News: 3 people tried again",
    ]
    names = [line for line in agenda.calendar().splitlines() if line.startswith("UID:")]
    assert len(names) == len(set(names)) == 6


def test_what_should_have_been_done_is_to_be_done_today(workspace: Workspace) -> None:
    running = campaign(workspace, "News", CampaignStatus.RUNNING, started_at=rfc3339(NOW - timedelta(days=9)))
    deliver(workspace, running, "deferred", at=NOW - timedelta(days=3))
    agenda = Agenda(workspace.db, Standing(), zone=UTC)
    assert told(agenda) == ["13 News: sent to 0 people", "22 News: 1 person tried again"]


def test_a_missed_campaign_is_late_until_somebody_decides(workspace: Workspace) -> None:
    missed = campaign(workspace, "News", CampaignStatus.PAUSED, scheduled_at=rfc3339(NOW - timedelta(days=2)))
    campaign(workspace, "Paused by hand", CampaignStatus.PAUSED, scheduled_at=rfc3339(NOW + timedelta(days=2)))
    plan = workspace.agenda.look(*MONTH)
    assert [(each.campaign_id, each.count) for each in plan.late] == [(missed, 3)] and not plan.days
    deliver(workspace, missed, "queued")
    assert workspace.agenda.look(*MONTH).late == ()


def test_a_segment_that_is_gone_leaves_the_day_standing(workspace: Workspace) -> None:
    due = campaign(workspace, "News", CampaignStatus.SCHEDULED, scheduled_at=rfc3339(NOW + timedelta(days=2)))
    workspace.db.write(lambda db: db.execute("UPDATE campaign SET audience = 'segment:gone' WHERE id = ?", (due,)))
    assert [each.count for some in workspace.agenda.look(*MONTH).days.values() for each in some] == [0]


def test_people_stand_beside_campaigns_and_the_overdue_on_today(workspace: Workspace) -> None:
    workspace.today.plan(workspace.crm.get("p0@acme.example"), "call", "+3d")
    workspace.today.plan(workspace.crm.get("p1@acme.example"), "write", "today")
    workspace.db.write(lambda db: db.execute("UPDATE next_action SET due = '2026-11-02' WHERE text = 'write'"))
    agenda = Agenda(workspace.db, Standing(), zone=UTC)
    assert told(agenda) == ["22 write: p1@acme.example", "25 call: p0@acme.example"]


def test_the_file_has_what_is_to_come_at_its_time_and_replaces_itself(workspace: Workspace) -> None:
    coming = campaign(workspace, "News; all", CampaignStatus.SCHEDULED, scheduled_at=rfc3339(NOW + timedelta(days=2)))
    gone = campaign(workspace, "Old", CampaignStatus.RUNNING, started_at=rfc3339(NOW))
    deliver(workspace, gone, "sent")
    workspace.today.plan(workspace.crm.get("p0@acme.example"), "call", "tomorrow")
    before = workspace.agenda.calendar()
    assert "DTSTART:20261124T140500Z\r\nSUMMARY:News\\; all: to 3 people\r\n" in before
    assert "Old" not in before and before.count("BEGIN:VEVENT") == 2
    workspace.db.write(
        lambda db: db.execute(
            "UPDATE campaign SET scheduled_at = ? WHERE id = ?", (rfc3339(NOW + timedelta(days=3)), coming)
        )
    )
    after = workspace.agenda.calendar()
    uids = [sorted(line for line in text.split("\r\n") if line.startswith("UID")) for text in (before, after)]
    assert uids[0] == uids[1] and before != after
    plan_uid = next(line for line in workspace.today.calendar().split("\r\n") if line.startswith("UID"))
    assert plan_uid in uids[0]  # imported beside the file of today, nothing is there twice
