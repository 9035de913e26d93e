"""What each screen does, on a real store."""

from __future__ import annotations

from pathlib import Path

from driving import app_on, reads, steady, text_of, until
from textual.widgets import Button

from aicmo.store.campaigns import CampaignStatus
from aicmo.workspace import Workspace
from aicmo_tui.widgets.dialogs import Choose


async def test_home_names_what_needs_the_person_and_opens_it(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await reads(
            pilot, "smtp-main: 535 5.7.8", "may or may not have gone: Autumn news", "Waits for approval: Winter offer"
        )
        await pilot.press("enter")
        await reads(pilot, "AICMO · Health")


async def test_home_opens_the_campaign_that_needs_a_decision(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await reads(pilot, "Waits for approval")
        row = next(y for y, line in enumerate(text_of(app).splitlines()) if "Waits for approval" in line)
        await pilot.click(offset=(10, row))
        await pilot.press("enter")
        await reads(pilot, "Campaigns · Winter offer", "It is for: tag:trial")


async def test_an_empty_workspace_names_the_next_key(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        await reads(pilot, "Nobody is here yet", "F4", "F5")


async def test_the_filter_is_asked_as_one_types_and_escape_clears_it(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        table = app.screen.query_one("#people")
        await pilot.press("slash", *"tag:trial")
        await until(pilot, lambda: table.total == 4)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: table.total == 40)


async def test_a_filter_that_is_no_query_yet_is_said_and_the_list_stays(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        app.screen.query_one("#filter").value = "stage:nonsense"
        await reads(pilot, "✕", "Jane Doe")


async def test_on_a_narrow_screen_one_person_comes_over_the_list(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press("enter")
        await reads(pilot, "Head of Growth, Acme", "tags       trial")
        await pilot.press("escape")
        await reads(pilot, "Omar Haddad")


async def test_people_are_imported_from_a_file_after_a_look_at_it(empty: Workspace, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("E-mail;First name\nann@acme.example;Ann\nnobody;Nobody\n", encoding="utf-8")
    app = app_on(empty)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Nobody is here yet")
        await pilot.press("i")
        await reads(pilot, "from which file?")
        app.screen.query_one("Input").value = str(tmp_path / "people.csv")
        await pilot.press("enter")
        await reads(pilot, "Import 1 person from people.csv?", "1 new · 1 rejected")
        await pilot.press("right", "enter")
        await reads(pilot, "Imported", "rejected rows, with the reason: people.", ".rejected.csv")
        await pilot.press("enter")
        await reads(pilot, "ann@acme.example")


async def test_a_file_that_is_not_there_is_said(empty: Workspace, tmp_path: Path) -> None:
    app = app_on(empty)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4", "i")
        await reads(pilot, "from which file?")
        app.screen.query_one("Input").value = str(tmp_path / "[/foo].csv")
        await pilot.press("enter")
        await reads(pilot, "That did not work", "[/foo]")


async def test_what_is_written_is_saved_seen_and_checked_as_one_types(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.write_to("tag:trial")
        await reads(pilot, "→ 4 people")
        app.screen.query_one("#subject").value = "For {{ first_name }}"
        app.screen.query_one("#body").insert("Dear {{ nickname }}")
        await reads(pilot, "✕ nickname is missing")
        app.screen.query_one("#body").load_text("Dear {{ first_name }}")
        await reads(pilot, "As jane@acme.example sees it", "For Jane", "Dear Jane")
        await until(pilot, lambda: "✕" not in text_of(app))
        await pilot.press("ctrl+down")
        await reads(pilot, "Dear Omar")
        await until(pilot, lambda: any(c.title == "For {{ first_name }}" for c in filled.contents.list()))


async def test_a_message_becomes_a_campaign_is_approved_and_started(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.write_to("tag:trial")
        await pilot.pause()
        app.screen.query_one("#name").value = "Spring"
        app.screen.query_one("#subject").value = "Spring"
        app.screen.query_one("#body").load_text("Hello {{ first_name }}")
        await pilot.press("ctrl+g")
        await reads(pilot, "Campaigns · Spring", "It is for: tag:trial")
        campaign = filled.publishing.campaigns()[0]
        await pilot.press("a")
        await reads(pilot, "for 4 people?")
        await pilot.press("right", "enter")
        await until(pilot, lambda: filled.publishing.campaign(campaign.id).status is CampaignStatus.APPROVED)
        await reads(pilot, "g start")
        await pilot.press("g")
        await reads(pilot, "Send to 4 people through smtp-main?")
        await pilot.press("right", "enter")
        await reads(pilot, "4 queued", "jane@acme.example")
        assert filled.publishing.campaign(campaign.id).status is CampaignStatus.RUNNING


async def test_a_campaign_that_has_not_begun_can_be_edited(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_campaign(3)
        await reads(pilot, "It is for: tag:trial")
        await pilot.press("e")
        await reads(pilot, "Composer · Winter offer", "Winter, Jane")
        app.screen.query_one("#body").load_text("Hello again.")
        await until(pilot, lambda: filled.contents.get(3).draft.body == "Hello again.")


async def test_a_confirmation_has_the_focus_on_cancel(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_campaign(1)
        await reads(pilot, "running")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        assert isinstance(app.focused, Button) and app.focused.label.plain == "Keep it"
        await pilot.press("enter")
        assert filled.publishing.campaign(1).status is CampaignStatus.RUNNING


async def test_space_pauses_and_resumes(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_campaign(1)
        await reads(pilot, "● running")
        await pilot.press("space")
        await reads(pilot, "▲ paused")
        await pilot.press("space")
        await reads(pilot, "● running")


async def test_progress_made_by_another_process_shows(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_campaign(1)
        await reads(pilot, "4 queued")
        filled.db.write(
            lambda db: db.execute("UPDATE delivery SET state = 'sent' WHERE campaign_id = 1 AND state = 'queued'")
        )
        await reads(pilot, "0 queued", "20 sent")


async def test_one_state_at_a_time_and_the_unknown_are_decided_by_the_person(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.open_campaign(1)
        await steady(pilot)
        while "only unknown" not in text_of(app):
            await pilot.press("s")
            await pilot.pause()
        await until(pilot, lambda: app.screen.query_one("#ledger").total == 4)
        await pilot.press("u")
        await reads(pilot, "4 people may or may not have got it", "Leave it")
        await pilot.press("right", "enter")
        await until(pilot, lambda: filled.publishing.counts(1).unknown == 0)
        assert filled.publishing.counts(1).sent == 20


async def test_analytics_says_of_how_many_each_share_is(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f8")
        await reads(pilot, "Autumn news", "66.7% [46.7-82.0]", "8 may or may not have gone")
