"""The steps of a sequence and the variants of a message: what is shown, and changes that say first what they mean."""

from __future__ import annotations

import pytest
from campaigns import AUTUMN, DAY_MINUTES, WINTER, a_comparison, a_sequence
from driving import app_on, reads, steady, until
from test_campaign_screen import WIDE, agree, answer, opened
from textual.pilot import Pilot

from aicmo.publishing.sequences.editing import Add, Change, Remove, Shift
from aicmo.publishing.variants import Variants
from aicmo.workspace import Workspace
from aicmo_tui.present import day_and_time
from aicmo_tui.screens.step_verbs import command
from aicmo_tui.screens.steps import StepsScreen
from aicmo_tui.screens.variants import COLUMNS, VariantsScreen, rate


async def steps_of(pilot: Pilot[None], campaign_id: int) -> None:
    await opened(pilot, campaign_id)
    await pilot.press("n")
    await until(pilot, lambda: isinstance(pilot.app.screen, StepsScreen) and pilot.app.screen.steps.total)


async def variants_of(pilot: Pilot[None], campaign_id: int) -> None:
    await opened(pilot, campaign_id)
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, VariantsScreen) and pilot.app.screen.table.total)


# --- steps -----------------------------------------------------------------------------------------------------------


async def test_a_draft_becomes_a_sequence_and_gets_a_step(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, WINTER)
        await pilot.press("n")
        await reads(pilot, "Make a sequence of Winter offer?")
        await agree(pilot)
        await reads(pilot, "Campaigns · Winter offer · steps", "start", "0 people inside")
        await pilot.press("a")
        await reads(pilot, "What does the step say?", "Autumn news")
        await pilot.press("enter")
        await reads(pilot, "When does it go, and to whom?")
        await answer(pilot, "2 weeks", "no_reply")
        await reads(pilot, "✕ “2 weeks” is no span of time")
        await answer(pilot, "2w", "nothing:known")
        await reads(pilot, "✕")
        await answer(pilot, "2w", "no_reply")
        await until(pilot, lambda: len(filled.sequences.steps(WINTER)) == 2)
        await reads(pilot, "2w", "no_reply")
    second = filled.sequences.steps(WINTER)[1].message
    assert (second.wait_minutes, second.only_if) == (14 * DAY_MINUTES, "no_reply")


async def test_who_is_where_and_why_is_shown_by_state(filled: Workspace) -> None:
    campaign = a_sequence(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await steps_of(pilot, campaign)
        await reads(pilot, "4 entered", "2 active", "1 done", "1 left early (replied 1)", "replied on 2026-11-20")
        await reads(pilot, "waits for step 2", "had all of it")
        inside = app.screen.inside
        for state, count in (("active", 2), ("done", 1), ("stopped", 1)):
            await pilot.press("s")
            await reads(pilot, f"only {state}")
            await until(pilot, lambda count=count: inside.total == count)


async def test_an_edit_of_a_running_one_says_what_becomes_of_those_inside(filled: Workspace) -> None:
    campaign = a_sequence(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await steps_of(pilot, campaign)
        await pilot.press("down", "d")
        await reads(pilot, "Take out step 2? 4 are or were inside.", "2 waiting for step 2: step 3 is next for them")
        await reads(pilot, "1 finished: they are not brought back", f"campaign step remove {campaign} 2")
        await pilot.press("enter")  # the focus is on leaving it
        await until(pilot, lambda: isinstance(app.screen, StepsScreen))
        assert len(filled.sequences.steps(campaign)) == 3
        await pilot.press("d")
        await reads(pilot, "Take out step 2?")
        await agree(pilot)
        await until(pilot, lambda: app.screen.steps.total == 2)
    assert [each.message.step for each in filled.sequences.steps(campaign)] == [1, 3]


async def test_a_step_is_changed_moved_and_given_other_words(filled: Workspace) -> None:
    campaign = a_sequence(filled, begun=False)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await steps_of(pilot, campaign)
        await pilot.press("down", "e")
        await reads(pilot, "How is it going?: when does it go")
        await answer(pilot, "5d", "clicked")
        await until(pilot, lambda: filled.sequences.steps(campaign)[1].message.wait_minutes == 5 * DAY_MINUTES)
        await reads(pilot, "5d")
        await pilot.press("b")
        await reads(pilot, "Where does step 2 go?", "Before step 3")
        await pilot.press("enter")
        await until(pilot, lambda: [s.message.step for s in filled.sequences.steps(campaign)] == [1, 3, 2])
        await pilot.press("w")
        await reads(pilot, "(its latest version)")
        await pilot.press("down", "enter")
        await until(pilot, lambda: filled.sequences.steps(campaign)[2].subject != "How is it going?")


async def test_the_first_step_stays(filled: Workspace) -> None:
    campaign = a_sequence(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await steps_of(pilot, campaign)
        await pilot.press("d")
        await reads(pilot, "The first step is where everybody begins")


async def test_newcomers_are_let_in_and_kept_out_again(filled: Workspace) -> None:
    campaign = a_sequence(filled)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await steps_of(pilot, campaign)
        await pilot.press("n")
        await reads(pilot, "Let newcomers to tag:trial enter Trial welcome too?")
        await agree(pilot)
        await reads(pilot, "newcomers enter too")
        await pilot.press("n")
        await reads(pilot, "Let nobody else enter", "--off")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(campaign).joins_at is None)


async def test_what_goes_once_and_has_begun_is_offered_no_steps(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, AUTUMN)
        await steady(pilot)
        await pilot.press("n")
        await steady(pilot)
        assert not isinstance(app.screen, StepsScreen)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Add(7, 3 * DAY_MINUTES, "tag:a b", 2), "add 1 --content 7 --wait 3d --if 'tag:a b' --before 2"),
        (Add(7, 30), "add 1 --content 7 --wait 30m"),
        (Change(2, None, 60, ""), "edit 1 2 --wait 1h --if ''"),
        (Change(2, 9), "edit 1 2 --content 9"),
        (Shift(3, 2), "move 1 3 --before 2"),
        (Shift(3), "move 1 3"),
        (Remove(3), "remove 1 3"),
    ],
)
def test_each_edit_has_its_command_line(edit: object, said: str, filled: Workspace) -> None:
    assert command(filled.publishing.campaign(1), edit) == f"aicmo campaign step {said}"


# --- variants --------------------------------------------------------------------------------------------------------


async def test_variants_and_a_test_are_set_up(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await variants_of(pilot, WINTER)
        await reads(pilot, "One message for all", "A")
        await pilot.press("a")
        await reads(pilot, "What is different about it?")
        await pilot.press("right", "enter")
        await reads(pilot, "With which subject?")
        await answer(pilot, "")
        await reads(pilot, "✕ It is empty")
        await answer(pilot, "Cold outside")
        await reads(pilot, "Cold outside", "each of the 2 goes to an even part")
        await pilot.press("o")
        await reads(pilot, "Which variant is better?", "sample %")
        await answer(pilot, "fame", "0", "60")
        await reads(pilot, "✕ “fame” is none of them", "✕ “0” is no number from 1 to 100")
        await answer(pilot, "replies", "30", "10", "2d", "50", "ask")
        await reads(pilot, "By replies: 30% try them for 2d, 10% are held out, at least 50 sent of each")
        await pilot.press("z")
        await reads(pilot, "No test: all variants of Winter offer", "campaign ab 3 --off")
        await agree(pilot)
        await reads(pilot, "No test: each of the 2")
        await pilot.press("down", "d")
        await reads(pilot, "Take variant B out of Winter offer?")
        await agree(pilot)
        await reads(pilot, "One message for all")


def test_the_longest_rate_finds_its_room() -> None:
    width = next(column.width for column in COLUMNS if column.title == "Rate of the goal")
    assert rate(9, 9).cell_length <= width


async def test_another_hour_is_a_variant_too(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await variants_of(pilot, WINTER)
        await pilot.press("a")
        await reads(pilot, "Another hour")
        await pilot.press("right", "right", "right", "enter")
        await reads(pilot, "How much later does it go?")
        await answer(pilot, "5h")
        await reads(pilot, "5h")


async def test_what_came_of_each_is_shown_with_its_interval_and_why_one_won(filled: Workspace) -> None:
    campaign = a_comparison(filled)
    figures = {each.variant: each for each in filled.variants.standing(campaign).figures}
    share = f"{4 / figures['B'].sent:.1%} ["
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await variants_of(pilot, campaign)
        await reads(
            pilot,
            "✓ B goes to the rest",
            "B is better (p = 0.03)",
            "✓ B      Three things",
            share,
            "held out",
            "0.0% [0.0-",
        )


async def test_where_nobody_won_the_person_chooses(filled: Workspace) -> None:
    campaign = a_comparison(filled, clear=False)
    waiting = filled.variants.standing(campaign).waiting
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, campaign)
        await reads(pilot, "? The test has no clear winner", "v decide")
        await pilot.press("v")
        await reads(pilot, "? No clear winner", "wait for your word")
        await pilot.press("down", "w")
        await reads(pilot, f"Send variant B to {waiting} people who wait?", f"aicmo campaign winner {campaign} B")
        await agree(pilot)
        await reads(pilot, "✓ B goes to the rest: a person chose B")
    trial = filled.variants.standing(campaign).test
    assert trial is not None and trial.winner == "B"


async def test_a_test_under_way_says_when_it_is_to_be_decided(filled: Workspace) -> None:
    campaign = a_comparison(filled, clear=False)
    filled.db.write(lambda db: db.execute("UPDATE campaign_test SET because = ''"))
    standing = filled.variants.standing(campaign)
    assert standing.decision_at is not None
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await variants_of(pilot, campaign)
        when = day_and_time(standing.decision_at)
        await reads(pilot, f"to be decided {when} · {standing.waiting} people wait for it")


def test_the_variants_know_who_waits_for_a_word(filled: Workspace) -> None:
    variants: Variants = filled.variants
    clear, unclear = a_comparison(filled), a_comparison(filled, clear=False)
    assert variants.unclear() == [unclear]
    assert variants.compares(clear) and not variants.compares(WINTER)
