"""A copied or restored database starts nothing by itself; one that was merely moved goes on."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aicmo.config import Config
from aicmo.errors import ApprovalNeeded
from aicmo.paths import Paths
from aicmo.publishing import Counts
from aicmo.publishing.sending.outbox import RunReport
from aicmo.sandbox import PASSWORD, USER, RunningSandbox
from aicmo.store import whereabouts
from aicmo.workspace import Workspace, open_workspace

from .conftest import config_for, started_campaign

PEOPLE = 6


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config.toml", tmp_path / "data")


@contextlib.contextmanager
def at(paths: Paths, sandbox: RunningSandbox, *, mailbox: bool = False) -> Iterator[Workspace]:
    """The workspace whose data lie there, sending by one connection and, if asked, with a mailbox."""
    config = config_for(sandbox, "smtp-a", connections=1).model_dump(mode="json", exclude_unset=True)
    if mailbox:
        inbox = {"kind": "imap", "host": "127.0.0.1", "port": sandbox.imap.port, "security": "none"}
        config["providers"]["inbox"] = inbox | {"username": USER, "password": PASSWORD}
        config["chains"]["reply_fetching"] = ["inbox"]
    with open_workspace(paths, Config.model_validate(config)) as workspace:
        yield workspace


async def tick(paths: Paths, sandbox: RunningSandbox) -> RunReport:
    """What ``aicmo run`` does."""
    with at(paths, sandbox) as workspace:
        report = await workspace.publishing.outbox().run()
        await workspace.services.aclose()
        return report


async def half_sent(paths: Paths, sandbox: RunningSandbox) -> int:
    """A running campaign of which the first half has gone; its id."""
    with at(paths, sandbox) as workspace:
        campaign = started_campaign(workspace, PEOPLE)
        move(workspace, "cancelled", f"id > {PEOPLE // 2}")
        await workspace.publishing.outbox().run()
        move(workspace, "queued", "state = 'cancelled'")
        await workspace.services.aclose()
    return campaign.id


def move(workspace: Workspace, state: str, which: str) -> None:
    workspace.db.write(lambda db: db.execute(f"UPDATE delivery SET state = ? WHERE {which}", [state]))


def online_backup(source: Path, target: Path) -> None:
    """SQLite's own: into ``target`` as it lies, page by page, so it stays the same file."""
    with contextlib.closing(sqlite3.connect(source)) as ours, contextlib.closing(sqlite3.connect(target)) as theirs:
        ours.backup(theirs)


def written_over(backup: Path, data: Path) -> None:
    """``cp -a backup/. data/``: every file is written anew in its place, and none is taken away."""
    for file in data.glob("aicmo.db-*"):
        file.unlink()
    for file in backup.iterdir():
        (data / file.name).write_bytes(file.read_bytes())


def folder_put_back(backup: Path, data: Path) -> None:
    shutil.rmtree(data)
    shutil.copytree(backup, data)


def database_put_back(backup: Path, data: Path) -> None:
    shutil.copy(backup / "aicmo.db", data / "aicmo.db")


def read_back(backup: Path, data: Path) -> None:
    online_backup(backup / "aicmo.db", data / "aicmo.db")


# --- what is noticed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("put_back", [written_over, folder_put_back, database_put_back, read_back])
async def test_an_older_state_that_is_put_back_sends_nothing_until_a_person_is_sure(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    campaign = await half_sent(paths, sandbox)
    shutil.copytree(paths.data_dir, tmp_path / "backup")
    await tick(paths, sandbox)
    assert len(sandbox.received()) == PEOPLE
    put_back(tmp_path / "backup", paths.data_dir)

    report = await tick(paths, sandbox)

    assert "copied or restored" in report.warning and "1 campaign is paused" in report.warning
    assert report.status == "done" and len(sandbox.received()) == PEOPLE, "nothing was sent twice"
    with at(paths, sandbox) as workspace:
        paused = workspace.publishing.campaign(campaign)
        assert paused.status == "paused" and "resume it when you are sure" in paused.pause_reason
        assert workspace.publishing.counts(campaign) == Counts(audience=PEOPLE, sent=3, queued=3)
    assert (await tick(paths, sandbox)).warning == "", "it is told once"


async def test_a_copy_of_the_folder_is_noticed_and_the_original_goes_on(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    campaign = await half_sent(paths, sandbox)
    copy = Paths(paths.config_file, tmp_path / "copy")
    shutil.copytree(paths.data_dir, copy.data_dir)
    assert "its file is another one" in (await tick(copy, sandbox)).warning
    assert len(sandbox.received()) == PEOPLE // 2
    assert (await tick(paths, sandbox)).warning == ""
    with at(paths, sandbox) as workspace:
        assert workspace.publishing.counts(campaign) == Counts(audience=PEOPLE, sent=PEOPLE)
    assert len(sandbox.received()) == PEOPLE


async def test_another_computer_is_noticed_and_another_host_name_is_not(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = tmp_path / "machine-id"
    number.write_text("0123456789abcdef\n")
    monkeypatch.setattr(whereabouts, "MACHINE_ID", (tmp_path / "none", number))
    await half_sent(paths, sandbox)
    monkeypatch.setattr("socket.gethostname", lambda: "renamed")
    with at(paths, sandbox) as workspace:
        assert workspace.publishing.looks_copied() == ""
        held = workspace.db.read(
            lambda db: db.execute("SELECT value FROM meta WHERE name LIKE 'sender: place'").fetchone()[0]
        )
        assert b"0123456789abcdef" not in held, "a computer's number is not kept"
    number.write_text("fedcba9876543210\n")
    assert "another computer" in (await tick(paths, sandbox)).warning


async def test_a_scheduled_campaign_of_a_copy_does_not_begin(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    with at(paths, sandbox) as workspace:
        started_campaign(workspace, 1)
        await workspace.publishing.outbox().run()
        again = workspace.publishing.create_campaign("Later", 1, "")
        at_ = workspace.clock.now() + timedelta(hours=1)
        workspace.publishing.start(again.id, approve=True, at=at_)
        await workspace.services.aclose()
    copy = Paths(paths.config_file, tmp_path / "copy")
    shutil.copytree(paths.data_dir, copy.data_dir)
    with at(copy, sandbox) as workspace:
        workspace.db.write(lambda db: db.execute("UPDATE campaign SET scheduled_at = '2026-01-01T00:00:00.000Z'"))
    assert "1 campaign is paused" in (await tick(copy, sandbox)).warning
    with at(copy, sandbox) as workspace:
        assert workspace.publishing.campaign(again.id).status == "paused"
        assert workspace.publishing.counts(again.id).audience == 0


# --- what is not ------------------------------------------------------------------------------------------------------


async def test_what_happens_to_a_folder_in_daily_life_alarms_nobody(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    campaign = await half_sent(paths, sandbox)
    with contextlib.closing(sqlite3.connect(paths.database)) as db:
        db.execute("VACUUM")
    online_backup(paths.database, tmp_path / "backup.db")
    shutil.copytree(paths.data_dir, tmp_path / "another")
    paths.database.chmod(0o600)
    paths.data_dir.rename(tmp_path / "elsewhere")
    moved = Paths(paths.config_file, tmp_path / "elsewhere")
    with open_workspace(moved, config_for(sandbox), rehearsal=True) as workspace:
        assert workspace.publishing.looks_copied() == ""
    assert (await tick(moved, sandbox)).warning == ""
    with at(moved, sandbox) as workspace:
        assert workspace.publishing.counts(campaign) == Counts(audience=PEOPLE, sent=PEOPLE)


async def test_a_fresh_database_begins_at_once_and_one_mark_lies_beside_it(
    paths: Paths, sandbox: RunningSandbox
) -> None:
    for _ in range(3):
        assert (await tick(paths, sandbox)).warning == ""
    assert len(list(paths.data_dir.glob("aicmo.db.sent-*"))) == 1
    with at(paths, sandbox) as workspace:
        started_campaign(workspace, 1)
        assert (await workspace.publishing.outbox().run()).counts == {"sent": 1}
        await workspace.services.aclose()


async def test_a_fresh_database_in_the_place_of_another_is_none_of_its_backups(
    paths: Paths, sandbox: RunningSandbox
) -> None:
    await half_sent(paths, sandbox)
    paths.database.unlink()
    for file in paths.data_dir.glob("aicmo.db-*"):
        file.unlink()
    with at(paths, sandbox) as workspace:
        assert workspace.publishing.looks_copied() == ""


async def test_a_database_from_before_there_were_marks_goes_on_and_its_copy_from_then_does_not(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    campaign = await half_sent(paths, sandbox)
    with at(paths, sandbox) as workspace:  # as an earlier program left it
        workspace.db.write(lambda db: db.execute("DELETE FROM meta WHERE name LIKE 'sender: %'"))
    for mark in paths.data_dir.glob("aicmo.db.sent-*"):
        mark.unlink()
    online_backup(paths.database, tmp_path / "migration copy")
    assert (await tick(paths, sandbox)).warning == ""
    online_backup(tmp_path / "migration copy", paths.database)
    assert "more was sent from here" in (await tick(paths, sandbox)).warning
    with at(paths, sandbox) as workspace:
        assert workspace.publishing.campaign(campaign).status == "paused"


async def test_a_sender_that_dies_between_the_count_and_the_mark_alarms_nobody(
    paths: Paths, sandbox: RunningSandbox
) -> None:
    with at(paths, sandbox) as workspace:
        started_campaign(workspace, 1)
        for _ in range(2):
            workspace.db.write(lambda db: whereabouts.settle_in(db, paths.database, workspace.clock.now()))
            assert workspace.db.read(lambda db: whereabouts.finding(db, paths.database)) == ""


# --- going on ---------------------------------------------------------------------------------------------------------


async def restored(paths: Paths, sandbox: RunningSandbox, tmp_path: Path) -> int:
    """A campaign that was half sent when the backup was made, and is now what the backup says."""
    campaign = await half_sent(paths, sandbox)
    online_backup(paths.database, tmp_path / "backup.db")
    with at(paths, sandbox) as workspace:
        move(workspace, "cancelled", f"id = {PEOPLE}")
        await workspace.publishing.outbox().run()
        await workspace.services.aclose()
    online_backup(tmp_path / "backup.db", paths.database)
    await tick(paths, sandbox)
    return campaign


async def test_what_went_after_the_backup_is_found_in_sent_and_only_the_rest_is_sent(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    sandbox.keep_copies()
    campaign = await restored(paths, sandbox, tmp_path)
    with at(paths, sandbox, mailbox=True) as workspace:
        with pytest.raises(ApprovalNeeded):
            workspace.publishing.resume(campaign)
        found = await workspace.publishing.look_for_waiting(campaign)
        assert (found.asked, found.settled, found.left) == (3, 2, 1)
        assert workspace.publishing.counts(campaign) == Counts(audience=PEOPLE, sent=5, queued=1)
        assert workspace.publishing.resume(campaign, sure=True).status == "running"
        assert workspace.publishing.stopped_as_copy(campaign) is None
        await workspace.services.aclose()
    await tick(paths, sandbox)
    assert len(sandbox.received()) == PEOPLE == len({mail.message_id for mail in sandbox.received()})


async def test_without_a_mailbox_it_is_said_how_many_nobody_can_know_about(
    paths: Paths, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    campaign = await restored(paths, sandbox, tmp_path)
    with at(paths, sandbox) as workspace:
        found = await workspace.publishing.look_for_waiting(campaign)
        assert (found.asked, found.settled, found.left) == (0, 0, 3) and "no mailbox" in found.why_not
        workspace.publishing.cancel(campaign)
        assert workspace.db.read(whereabouts.stopped) is None


async def test_one_that_a_person_had_paused_asks_as_well(paths: Paths, sandbox: RunningSandbox, tmp_path: Path) -> None:
    campaign = await half_sent(paths, sandbox)
    with at(paths, sandbox) as workspace:
        workspace.publishing.pause(campaign)
    copy = Paths(paths.config_file, tmp_path / "copy")
    shutil.copytree(paths.data_dir, copy.data_dir)
    await tick(copy, sandbox)
    with at(copy, sandbox) as workspace, pytest.raises(ApprovalNeeded):
        workspace.publishing.resume(campaign)
