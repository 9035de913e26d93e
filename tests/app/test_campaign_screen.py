"""One campaign: what is shown of it and why it waits, and its verbs, each asked before it is done."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from campaigns import AUTUMN, TOO_MANY_BOUNCES, WINTER, a_comparison, a_sequence, give_causes, miss, pause
from driving import app_on, reads, steady, text_of, until
from sample import NOW
from textual.pilot import Pilot

from aicmo.publishing import Draft
from aicmo.publishing.sending.evidence import EvidenceReport
from aicmo.store import events
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.deliveries import CAUSES, State
from aicmo.store.events import Event
from aicmo.store.whereabouts import Stopped, note_stopped
from aicmo.workspace import Workspace
from aicmo_tui.screens.campaign import CampaignScreen
from aicmo_tui.screens.campaign_view import MAY, Shown
from aicmo_tui.screens.steps import StepsScreen
from aicmo_tui.screens.variants import VariantsScreen
from aicmo_tui.widgets.inputs import PlainInput

WIDE = (118, 36)


async def opened(pilot: Pilot[None], campaign_id: int) -> None:
    pilot.app.open_campaign(campaign_id)
    await until(pilot, lambda: isinstance(pilot.app.screen, CampaignScreen) and pilot.app.screen.shown)


async def answer(pilot: Pilot[None], *said: str) -> None:
    """Into the lines of a form or a question, from the top; then enter."""
    for field, text in zip(pilot.app.screen.query(PlainInput), said, strict=False):
        field.value = text
    await pilot.press("enter")


async def agree(pilot: Pilot[None]) -> None:
    await pilot.press("right", "enter")


# --- what is shown ---------------------------------------------------------------------------------------------------


async def test_the_first_line_names_the_server_that_takes_it_now(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await reads(pilot, "running through smtp-spare", "of 40")


async def test_the_counts_stand_on_one_line_and_add_up(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await reads(pilot, "= 40")
        counted = next(row for row in text_of(app).splitlines() if "= 40" in row)
        numbers = [int(word) for word in counted.split() if word.isdigit()]
        assert sum(numbers[:-1]) == numbers[-1] == 40


async def test_a_row_says_why_in_words_and_enter_tells_all(filled: Workspace) -> None:
    give_causes(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        while "only failed" not in text_of(app):
            await pilot.press("s")
            await pilot.pause()
        await reads(pilot, "552 5.2.2 over quota", "the mailbox takes")
        await pilot.press("enter")
        await reads(pilot, "1 attempt", "because", CAUSES["mailbox"], "message")


async def test_a_cause_and_an_address_narrow_it_and_escape_widens_it(filled: Workspace) -> None:
    give_causes(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        table = app.screen.table
        await pilot.press("f")
        await reads(pilot, "Why are they there?", f"{CAUSES['address']} (3)")
        await pilot.press("down", "enter")
        await until(pilot, lambda: table.total == 3)
        await reads(pilot, CAUSES["address"])
        await pilot.press("slash", *"p01")
        await reads(pilot, "with p01")
        await until(pilot, lambda: table.total == 1)
        assert app.screen.ledger.count() == 1
        await pilot.press("escape")
        await until(pilot, lambda: table.total == 3)
        await pilot.press("escape")
        await until(pilot, lambda: table.total == 40)
        await pilot.press("escape")
        await reads(pilot, "AICMO · Home")


async def test_what_is_shown_can_be_written_to_a_file(filled: Workspace, tmp_path: Path) -> None:
    give_causes(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        while "only failed" not in text_of(app):
            await pilot.press("s")
            await pilot.pause()
        await until(pilot, lambda: app.screen.table.total == 4)
        await pilot.press("x")
        await reads(pilot, "Write what is shown of 4 people")
        await answer(pilot, str(tmp_path / "failed.csv"))
        await until(pilot, (tmp_path / "failed.csv").exists)
    rows = list(csv.DictReader((tmp_path / "failed.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["cause"] for row in rows] == ["mailbox", "address", "address", "address"]


# --- why it does not go on -------------------------------------------------------------------------------------------


async def test_what_the_program_paused_says_why_and_asks_before_it_goes_on(filled: Workspace) -> None:
    pause(filled, AUTUMN, TOO_MANY_BOUNCES)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await reads(pilot, f"▲ {TOO_MANY_BOUNCES}", "space go on", "f see why")
        await pilot.press("space")
        await reads(pilot, "8 people are still to get it", "Stay paused", f"y copies: aicmo campaign resume {AUTUMN}")
        assert filled.publishing.campaign(AUTUMN).status is CampaignStatus.PAUSED
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(AUTUMN).status is CampaignStatus.RUNNING)


async def test_a_late_one_gets_another_time_with_one_key(filled: Workspace) -> None:
    miss(filled, WINTER)
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, WINTER)
        await reads(pilot, "missed its time, 13 hours late", "w another time")
        await pilot.press("w")
        await reads(pilot, "When does Winter offer begin?")
        await answer(pilot, "yesterday")
        await reads(pilot, "✕ “yesterday” is no time")
        await answer(pilot, "2026-11-21 9:00")
        await reads(pilot, "✕ Sat 21 Nov 09:00 has passed")
        await answer(pilot, "tomorrow 9:00")
        await reads(pilot, "Send to 4 people through smtp-main Mon 23 Nov 09:00?", "--at 2026-11-23T09:00+00:00")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(WINTER).status is CampaignStatus.SCHEDULED)
        await reads(pilot, "◐ It begins Mon 23 Nov 09:00")
    assert filled.publishing.campaign(WINTER).scheduled_at == "2026-11-23T09:00:00.000Z"


async def test_a_late_one_can_begin_now_all_the_same(filled: Workspace) -> None:
    miss(filled, WINTER)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, WINTER)
        await reads(pilot, "begin now all the same")
        await pilot.press("space")
        await reads(pilot, "Send to 4 people through smtp-main?")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(WINTER).status is CampaignStatus.RUNNING)


async def test_who_asked_for_nothing_more_is_told_where_the_campaign_is(filled: Workspace) -> None:
    jane = filled.crm.list("jane@acme.example")[0]
    left = Event(jane.id, "unsubscribed", NOW, channel="email", campaign_id=AUTUMN, human=True, origin="a mail")
    filled.db.write(lambda db: events.add(db, left))
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await reads(pilot, "1 person asked to get nothing more", f"unsubscribed:{AUTUMN}")


async def test_after_a_copy_the_mailboxes_are_looked_at_before_anybody_agrees(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.db.write(lambda db: note_stopped(db, Stopped("2026-11-22T14:00:00Z", "it is elsewhere", (AUTUMN,))))
    pause(filled, AUTUMN, "the database was copied or restored")
    looked = []

    async def look(campaign_id: int) -> EvidenceReport:
        looked.append(campaign_id)
        return EvidenceReport(settled=3, left=5, looked_in=("inbox",), asked=True)

    monkeypatch.setattr(filled.publishing, "look_for_waiting", look)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await reads(pilot, "space look in the mailboxes")
        await pilot.press("space")
        await reads(pilot, "3 of 8 that wait were found in inbox", "5 people of it still wait", "from another copy")
        assert looked == [AUTUMN]
        await pilot.press("enter")  # the focus is on staying
        await pilot.pause()
        assert filled.publishing.campaign(AUTUMN).status is CampaignStatus.PAUSED
        await pilot.press("space")
        await reads(pilot, "from another copy")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(AUTUMN).status is CampaignStatus.RUNNING)
    assert filled.publishing.stopped_as_copy(AUTUMN) is None


# --- the verbs -------------------------------------------------------------------------------------------------------


async def test_what_was_approved_and_changed_is_approved_anew_on_the_way(filled: Workspace) -> None:
    filled.publishing.approve(WINTER)
    filled.contents.save(filled.publishing.campaign(WINTER).content_id, Draft("Winter", "Other words."))
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, WINTER)
        await pilot.press("g")
        await reads(pilot, "Send to 4 people")
        await agree(pilot)
        await reads(pilot, "is not approved as it now stands", "changed since they were approved")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(WINTER).status is CampaignStatus.RUNNING)


async def test_cancelling_says_how_many_had_it_and_writes_to_them(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await pilot.press("d")
        await reads(pilot, "8 people will not get it")
        await agree(pilot)
        await reads(pilot, "16 people had got it by then", f"sent:{AUTUMN}")
        await agree(pilot)
        await reads(pilot, "AICMO · Composer", f"sent:{AUTUMN}", "16 people")
    assert filled.publishing.campaign(AUTUMN).status is CampaignStatus.CANCELLED


async def test_a_correction_is_another_message_than_what_stands_in_the_composer(filled: Workspace) -> None:
    moving = filled.contents.create("email", "Moving", Draft("We move", "Next week."))
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        app.edit(moving, "tag:trial")
        await reads(pilot, "Composer · Moving")
        await opened(pilot, AUTUMN)
        await pilot.press("d")
        await reads(pilot, "for good?")
        await agree(pilot)
        await reads(pilot, "had got it by then: write to them?")
        await agree(pilot)
        await reads(pilot, "AICMO · Composer", f"sent:{AUTUMN}")
        await until(pilot, lambda: app.screen.query_one("#subject").has_focus)
        await pilot.press("S")
        await reads(pilot, "Composer · S")
    assert filled.contents.get(moving.id).draft == Draft("We move", "Next week.")


async def test_of_one_that_was_cancelled_the_bar_shows_whom_it_reached(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        filled.publishing.cancel(AUTUMN)
        counts = filled.publishing.counts(AUTUMN)
        assert 0 < counts.cancelled < counts.audience
        await opened(pilot, AUTUMN)
        await reads(pilot, f"cancelled  {counts.audience - counts.cancelled} of {counts.audience}")


async def test_one_that_was_paused_before_its_time_says_when_it_was_to_begin(filled: Workspace) -> None:
    filled.publishing.start(WINTER, approve=True, at=NOW + timedelta(hours=19))
    filled.publishing.pause(WINTER)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, WINTER)
        await reads(pilot, "You paused it; it was to begin Mon 23 Nov 09:05.", "w another time")


async def test_one_that_nobody_can_send_says_so(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        report = filled.health()
        monkeypatch.setattr(filled, "health", lambda: replace(report, capabilities=()))
        await opened(pilot, AUTUMN)
        await reads(pilot, "No mail server takes messages now.", "F3 why")


async def test_of_a_sequence_and_of_variants_the_empty_ledger_offers_what_is_there(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, WINTER)
        await reads(pilot, "n other messages that follow it", "v other first messages")
        await opened(pilot, a_sequence(filled, begun=False))
        await reads(pilot, "n its steps", "v other first messages")
        await opened(pilot, a_comparison(filled, begun=False))
        await reads(pilot, "n other messages that follow it", "v its variants")


async def test_where_there_is_no_cause_to_choose_that_is_said(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, AUTUMN)
        await until(pilot, lambda: app.screen.table.total)
        app.screen._state = State.SENT
        await pilot.press("f")
        await reads(pilot, "Nobody shown here has a cause", "to choose by.")


async def test_the_failed_are_tried_again_for_one_cause(filled: Workspace) -> None:
    give_causes(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await pilot.press("r")
        await reads(pilot, "Try again for whom?", "All that failed (4)", f"{CAUSES['mailbox']} (1)")
        await pilot.press("end", "enter")
        await reads(pilot, "Try again for 1 person whose message failed: the mailbox", "--cause mailbox")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.counts(AUTUMN).failed == 3)


async def test_one_in_doubt_is_decided_alone(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, AUTUMN)
        await steady(pilot)
        await pilot.press("i")
        await reads(pilot, "What became of this one is known")
        while "only unknown" not in text_of(app):
            await pilot.press("s")
            await pilot.pause()
        await until(pilot, lambda: app.screen.table.row and app.screen.table.row.state is State.UNKNOWN)
        email = app.screen.table.row.email
        await pilot.press("i")
        await reads(pilot, f"{email} may or may not have got it")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.counts(AUTUMN).unknown == 3)


async def test_settings_are_checked_beside_their_line_and_what_was_typed_stays(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, WINTER)
        await pilot.press("o")
        await reads(pilot, "tag:trial", "by whose clock", "recipient")
        await answer(pilot, "Winter offer", "stage:nonsense", "", "25:00-26:00", "mon-fri", "business", "soon")
        await reads(pilot, "✕ “25:00-26:00” are no hours of a day", "✕ “soon” is no span of time")
        fields = list(app.screen.query(PlainInput))
        assert app.focused is fields[1] and fields[4].value == "mon-fri"
        await answer(
            pilot, "Winter sale", "tag:trial", "domain:acme.example", "9:00-17:00", "mon-fri", "business", "2d"
        )
        await reads(pilot, "It is for 3 people now")
    changed = filled.publishing.campaign(WINTER)
    assert (changed.name, changed.exclude, changed.options.hours) == (
        "Winter sale",
        "domain:acme.example",
        "9:00-17:00",
    )
    assert changed.options.late_after_minutes == 2 * 24 * 60


async def test_of_one_that_has_begun_only_its_hours_can_be_changed(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await pilot.press("o")
        await reads(pilot, "its audience is frozen", "hours")
        assert len(app.screen.query(PlainInput)) == 4
        await answer(pilot, "08:00-20:00")
        await until(pilot, lambda: filled.publishing.campaign(AUTUMN).options.hours == "08:00-20:00")


async def test_a_command_line_that_does_the_same_can_be_copied(filled: Workspace) -> None:
    filled.publishing.approve(WINTER)
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, WINTER)
        await pilot.press("g")
        await reads(pilot, f"y copies: aicmo campaign start {WINTER}")
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == f"aicmo campaign start {WINTER}")


# --- where they are found --------------------------------------------------------------------------------------------


async def test_the_list_says_why_one_is_paused_when_another_begins_and_which_is_a_sequence(filled: Workspace) -> None:
    pause(filled, AUTUMN, TOO_MANY_BOUNCES)
    filled.publishing.start(WINTER, approve=True, at=NOW + timedelta(days=2))
    a_sequence(filled)
    app = app_on(filled)
    async with app.run_test(size=(160, 36)) as pilot:
        await pilot.press("f6")
        await reads(pilot, "↻ Trial welcome", "5.2% of the last", "Tue 24 Nov 14:05", "◐ scheduled")
        rows = [row for row in text_of(app).splitlines() if "│" in row]
        names = [next((n for n in ("Trial welcome", "Winter offer", "Autumn news") if n in row), "") for row in rows]
        assert [name for name in names if name] == ["Trial welcome", "Winter offer", "Autumn news"]


async def test_a_campaign_is_found_by_its_name(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("f6")
        await reads(pilot, "Winter offer", "Autumn news")
        await pilot.press("slash", *"WINT")
        await until(pilot, lambda: "Autumn news" not in text_of(app))
        await pilot.press("enter", "enter")
        await reads(pilot, "Campaigns · Winter offer")
        await pilot.press("escape", "escape")
        await reads(pilot, "Autumn news")


async def test_home_says_what_comes_next_and_what_is_late(filled: Workspace) -> None:
    other = filled.publishing.create_campaign("Spring", filled.publishing.campaign(WINTER).content_id, "tag:trial")
    miss(filled, WINTER)
    filled.publishing.start(other.id, approve=True, at=NOW + timedelta(hours=2))
    pause(filled, AUTUMN, TOO_MANY_BOUNCES)
    app = app_on(filled)
    async with app.run_test(size=(160, 40)) as pilot:
        await reads(pilot, "▲ Late: Winter offer", "Paused by the program: Autumn news")
        await reads(pilot, "Next", "16:05  ◐ starts  Spring  4 people")


async def test_home_asks_for_a_winner_where_nobody_won(filled: Workspace) -> None:
    a_comparison(filled, clear=False)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await reads(pilot, "? No clear winner: Spring")


async def test_the_calendar_gives_another_time(filled: Workspace) -> None:
    filled.publishing.start(WINTER, approve=True, at=NOW + timedelta(hours=3))
    app = app_on(filled)
    async with app.run_test(size=(118, 40), notifications=True) as pilot:
        await pilot.press("f9")
        await reads(pilot, "◐ starts")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.table.row is not None)
        while app.screen.table.row.title != "Winter offer":
            await pilot.press("down")
        await pilot.press("r")
        await reads(pilot, "When does Winter offer begin?")
        await answer(pilot, "2026-11-30 8:00")
        await reads(pilot, "Mon 30 Nov 08:00?")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(WINTER).scheduled_at == "2026-11-30T08:00:00.000Z")


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("screen", [CampaignScreen, StepsScreen, VariantsScreen])
def test_every_key_has_its_own_id_a_tooltip_and_an_action(screen: type) -> None:
    bindings = screen.BINDINGS
    assert len({binding.id for binding in bindings}) == len(bindings)
    for binding in bindings:
        assert binding.tooltip and hasattr(screen, f"action_{binding.action}")


def test_every_condition_is_of_a_verb() -> None:
    assert set(MAY) <= {binding.action for binding in CampaignScreen.BINDINGS}


def test_keys_that_two_verbs_share_never_both_work(filled: Workspace) -> None:
    a_sequence(filled)
    a_sequence(filled, begun=False)
    campaigns = filled.publishing.campaigns()
    for campaign in campaigns:
        shown = Shown(campaign, filled.publishing.counts(campaign.id), NOW)
        working = [b.key for b in CampaignScreen.BINDINGS if b.action in MAY and MAY[b.action](shown)]
        assert len(set(working)) == len(working)
