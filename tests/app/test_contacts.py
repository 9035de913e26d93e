"""The contacts screen: one person read and edited, many changed, and what others change meanwhile."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from driving import app_on, reads, steady, text_of, until
from sample import HOSTILE, JANE
from test_hostile_names import STEERING
from textual.pilot import Pilot
from textual.widgets import Button

from aicmo.workspace import Workspace, open_workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.screens.bulk import VERBS
from aicmo_tui.screens.changing import tell
from aicmo_tui.screens.conflict import Conflict
from aicmo_tui.screens.contact_form import ContactForm
from aicmo_tui.screens.contacts import ContactsScreen
from aicmo_tui.widgets.dialogs import Ask
from aicmo_tui.widgets.inputs import PlainInput

SIZES = [(80, 24), (118, 36)]
both_sizes = pytest.mark.parametrize("size", SIZES, ids=["80x24", "118x36"])


async def opened(pilot: Pilot[None]) -> ContactsScreen:
    pilot.app.action_show_screen("contacts")
    await reads(pilot, "Jane Doe")
    screen = pilot.app.screen
    assert isinstance(screen, ContactsScreen)
    await until(pilot, lambda: screen.pane.portrait is not None and not screen.table.replacing)
    return screen


async def editing(pilot: Pilot[None]) -> tuple[ContactsScreen, ContactForm]:
    screen = await opened(pilot)
    await pilot.press("e")
    await until(pilot, lambda: screen.pane.form is not None and isinstance(pilot.app.focused, PlainInput))
    assert screen.pane.form is not None
    return screen, screen.pane.form


def field(form: ContactForm, name: str) -> PlainInput:
    return form.query_one(f"#field-{list(form._fields).index(name)}", PlainInput)


async def answer(pilot: Pilot[None], text: str) -> None:
    """Type into the dialog that is asking."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
    pilot.app.screen.query_one(PlainInput).value = text
    await pilot.press("enter")


async def choose(pilot: Pilot[None], verb: str) -> None:
    """From the bar of what can be done with many."""
    await pilot.press("b")
    await reads(pilot, ": what?")
    await pilot.press(*["down"] * list(VERBS).index(verb), "enter")


async def agree(pilot: Pilot[None], *texts: str) -> None:
    """Say yes to a confirmation that says these, and stands on its safe answer."""
    await reads(pilot, "Cancel", *texts)
    assert isinstance(pilot.app.focused, Button) and pilot.app.focused.label.plain == "Cancel"
    await pilot.press("right", "enter")


# --- reading ----------------------------------------------------------------------------------------------------------


@both_sizes
async def test_the_pane_says_what_is_known_and_tells_the_story(lived: Workspace, size: tuple[int, int]) -> None:
    app = app_on(lived)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("enter")
        await reads(pilot, "✓ verified 12 Nov", "ENGAGED · score 71", "call about the", "London", "apollo 10", "▲ Acme")
        await reads(pilot, "☐ next action", "✉ replied", "2 h", "sent by smtp-main", "● added")


async def test_who_must_not_be_written_to_is_said_with_the_reason(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("down")
        await until(pilot, lambda: screen.pane.portrait and screen.pane.portrait.contact.first_name == "Omar")
        await pilot.press("enter")
        await reads(pilot, "✕ must not be written to: unsubscribed 3 d ago")


async def test_score_and_last_touch_stand_in_the_row(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        jane = next(row for row in text_of(app).splitlines() if JANE in row)
        assert "71 ▆" in jane and "0 s" in jane
        assert next(row for row in text_of(app).splitlines() if "p000@" in row).count(" - ") == 2


async def test_from_inside_a_record_the_next_one_is_a_key_away(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("enter")
        await reads(pilot, "Head of Growth, Acme", "Timeline")
        await pilot.press("right_square_bracket")
        await reads(pilot, "Owner, Haddad & Co", "Timeline")
        await pilot.press("left_square_bracket")
        await reads(pilot, "Head of Growth, Acme")


async def test_the_story_is_read_page_by_page_and_narrowed(lived: Workspace) -> None:
    jane = lived.crm.get(JANE)
    for number in range(120):
        lived.timeline.note(jane.id, f"note number {number}")
    app = app_on(lived)
    async with app.run_test(size=(118, 36)) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter")
        story = screen.pane.story
        await until(pilot, lambda: story.total == 51)  # a page, and the plan above it
        await pilot.press("end")
        await until(pilot, lambda: story.total == 101)
        await pilot.press("f", "f", "f")
        await reads(pilot, "only notes")
        await until(pilot, lambda: "note number 119" in text_of(app) and "next action" not in text_of(app))
        await pilot.press("slash")
        await answer(pilot, "number 77")
        await reads(pilot, "“number 77”")
        await until(pilot, lambda: story.total == 1)
        await pilot.press("escape")
        await reads(pilot, "☐ next action")


async def test_a_note_is_read_whole_and_pinned(lived: Workspace) -> None:
    lived.timeline.note(lived.crm.get(JANE).id, "met at the fair " * 20)
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: screen.pane.story.total > 2)
        await pilot.press("down", "enter")
        await reads(pilot, "Pin it", "met at the fair met at the fair")
        await pilot.press("right", "enter")
        await reads(pilot, "◆ met at the fair")


async def test_why_shows_the_receipts(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        lived.crm.edit(lived.crm.get(JANE), {"stage": "CONVERTED"}, because="signed on paper")
        await opened(pilot)
        await pilot.press("w")
        await reads(pilot, "Jane Doe is CONVERTED", "added", "ENGAGED → CONVERTED", "signed on paper", "Close")


# --- editing ----------------------------------------------------------------------------------------------------------


@both_sizes
async def test_an_edit_is_saved_and_left_with_enter(lived: Workspace, size: tuple[int, int]) -> None:
    app = app_on(lived)
    async with app.run_test(size=size, notifications=True) as pilot:
        screen, form = await editing(pilot)
        field(form, "title").value = "Chief of Growth"
        field(form, "tags").value = "trial, vip"
        await pilot.press("enter")
        await until(pilot, lambda: screen.pane.form is None)
        await reads(pilot, "Saved. ctrl+z takes it back.")
        jane = lived.crm.get(JANE)
        assert (jane.title, jane.tags) == ("Chief of Growth", ("trial", "vip"))
        assert app.focused is screen.table


async def test_saving_and_staying_goes_on_from_what_was_saved(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen, form = await editing(pilot)
        field(form, "company").value = "Acme Ltd"
        await pilot.press("ctrl+g")
        await reads(pilot, "Saved.")
        assert screen.pane.form is form and not form.changed
        assert lived.crm.get(JANE).company == "Acme Ltd"
        field(form, "company").value = "Acme AG"
        await pilot.press("enter")
        await until(pilot, lambda: lived.crm.get(JANE).company == "Acme AG")


async def test_what_does_not_fit_its_field_is_said_beside_it_and_not_saved(lived: Workspace) -> None:
    lived.fields.add("renewal", "date")
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen, form = await editing(pilot)
        field(form, "field.renewal").value = "soon"
        field(form, "email").value = "nobody"
        await reads(pilot, "“soon” is not a date: write it like 2026-11-24.", "✕")
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is field(form, "email"))
        field(form, "email").value = JANE
        field(form, "field.renewal").value = "24.11.2026"
        await until(pilot, lambda: "✕" not in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: screen.pane.form is None)
        assert lived.crm.get(JANE).fields == {"city": "London", "renewal": "2026-11-24"}


async def test_escape_asks_before_it_drops_what_is_not_saved(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen, form = await editing(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: screen.pane.form is None)  # nothing was changed: nothing to ask
        _, form = await editing(pilot)
        field(form, "title").value = "Queen"
        await pilot.press("escape")
        await reads(pilot, "is not saved", "Go on editing", "Drop it")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        assert field(form, "title").value == "Queen"
        await pilot.press("escape")
        await reads(pilot, "Drop it")
        await pilot.press("right", "right", "enter")
        await until(pilot, lambda: screen.pane.form is None)
        assert lived.crm.get(JANE).title == "Head of Growth"


async def test_what_strangers_called_themselves_is_edited_as_it_is_written(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36)) as pilot:
        screen, form = await editing(pilot)
        for _ in range(4 + len(HOSTILE)):
            assert not form.changed and form.mine() == {}
            before = form
            await pilot.press("ctrl+down")
            await until(pilot, lambda before=before: screen.pane.form not in (None, before))
            assert screen.pane.form is not None
            form = screen.pane.form
        assert not STEERING.search(text_of(app))


async def test_the_next_person_is_edited_from_inside_an_edit(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen, form = await editing(pilot)
        await pilot.press("ctrl+down")
        await until(pilot, lambda: screen.pane.form not in (None, form))
        assert screen.pane.form.base.first_name == "Omar"


async def test_a_conflicting_save_is_decided_field_by_field(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        screen, form = await editing(pilot)
        field(form, "title").value = "My title"
        field(form, "company").value = "My company"
        field(form, "phone").value = "+44 1"
        lived.crm.edit_all(JANE, {"title": "Their title", "company": "Their company", "field.city": "Paris"})
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Conflict))
        await reads(pilot, "○ My title", "● Their title", "○ Head of Growth", "○ My company", "● Their company")
        await pilot.press("m", "ctrl+g")
        await until(pilot, lambda: screen.pane.form is None)
        jane = lived.crm.get(JANE)
        chosen = {form._fields[name].key: getattr(jane, name) for name in ("title", "company")}
        assert sorted(chosen.values()) in (["My company", "Their title"], ["My title", "Their company"])
        assert (jane.phone, jane.fields["city"]) == ("+44 1", "Paris")


async def test_agreeing_to_a_conflict_at_once_overwrites_nothing(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen, form = await editing(pilot)
        field(form, "title").value = "My title"
        lived.crm.edit_all(JANE, {"title": "Their title"})
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Conflict))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert field(form, "title").value == "My title"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Conflict))
        await pilot.click("#save")
        await until(pilot, lambda: screen.pane.form is None)
        assert lived.crm.get(JANE).title == "Their title"


async def test_a_step_back_in_the_lifecycle_is_asked_about(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen, form = await editing(pilot)
        field(form, "stage").value = "new"
        await pilot.press("enter")
        await agree(pilot, "would step back from ENGAGED to NEW")
        await until(pilot, lambda: screen.pane.form is None)
        assert lived.crm.get(JANE).stage == "NEW"


# --- many -------------------------------------------------------------------------------------------------------------


@both_sizes
async def test_those_selected_are_tagged_in_one_step_that_undo_takes_back(
    lived: Workspace, size: tuple[int, int]
) -> None:
    app = app_on(lived)
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("space", "space")
        await reads(pilot, "2 selected")
        await pilot.press("t")
        await answer(pilot, "vip, -trial")
        await agree(pilot, "Tag vip · Untag trial: 2 people selected?", "jane@acme.example  -trial, +vip")
        await reads(pilot, "2 of 2 people changed")
        assert {person.first_name for person in lived.crm.list("tag:vip -tag:trial")} == {"Jane", "Omar"}
        await pilot.press("ctrl+z")
        await agree(pilot, "Undo: tagged 2 people vip")
        await reads(pilot, "Undone: tagged 2 people vip")
        assert lived.crm.count("tag:vip") == 0 and lived.crm.count("tag:trial") == 4
        await pilot.press("ctrl+y")
        await agree(pilot, "Do again: tagged 2 people vip")
        await until(pilot, lambda: lived.crm.count("tag:vip") == 2)


async def test_everyone_found_is_a_question_not_the_rows_on_the_screen(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        screen.filter.value = "stranger"
        await until(pilot, lambda: screen.table.total == 36)
        await pilot.press("a")
        await reads(pilot, "all selected · 36")
        # Who comes after the selection is found as well: the verb asks anew.
        lived.crm.add("late@stranger.example")
        await reads(pilot, "all selected · 37")
        await choose(pilot, "set a field")
        await reads(pilot, "Set which field?")
        await pilot.press("down", "down", "enter")
        await answer(pilot, "Strange Ltd")
        await agree(pilot, "Set company to “Strange Ltd”", "all 37 people found", "Change 37", "y copies:")
        await reads(pilot, "37 of 37 people changed")
        assert lived.crm.count('company:"Strange Ltd"') == 37
        screen.filter.value = ""
        await until(pilot, lambda: screen.table.total == 41)
        assert not screen.table.all_selected  # it was everyone whom the other question found


async def test_a_field_is_cleared_a_stage_set_and_people_deleted_through_the_bar(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        screen.filter.value = "tag:trial"
        await until(pilot, lambda: screen.table.total == 4)
        screen.table.focus()
        await choose(pilot, "clear a field")
        await reads(pilot, "Clear which field?")
        await pilot.press("down", "down", "down", "enter")
        await agree(pilot, "Clear title", "“Head of Growth” → nothing")
        await until(pilot, lambda: not any(person.title for person in lived.crm.list("tag:trial")))
        await until(pilot, lambda: app.screen is screen)
        await choose(pilot, "move in the lifecycle")
        await reads(pilot, "Which stage?")
        await pilot.press("down", "down", "enter")
        await agree(pilot, "Move to VERIFIED")
        await agree(pilot, "would step back from ENGAGED to VERIFIED")
        await until(pilot, lambda: {p.stage for p in lived.crm.list("tag:trial")} == {"VERIFIED"})
        await until(pilot, lambda: app.screen is screen)
        await choose(pilot, "delete")
        await agree(pilot, "Delete all 4 people found?", "aicmo contact delete -- tag:trial")
        await reads(pilot, "Nobody like that.")
        assert lived.crm.count() == 36
        await pilot.press("ctrl+z")
        await agree(pilot, "Undo: deleted 4 people")
        await reads(pilot, "Jane Doe")


async def test_what_is_shown_is_exported_and_a_file_that_is_there_is_asked_about(
    lived: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "trial.csv"
    file.write_text("old", encoding="utf-8")
    app = app_on(lived)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        screen = await opened(pilot)
        screen.filter.value = "tag:trial"
        await until(pilot, lambda: screen.table.total == 4)
        screen.table.focus()
        await pilot.press("x")
        await answer(pilot, str(file))
        await agree(pilot, "Write 4 people to", "It is there already")
        await reads(pilot, "4 written")
        with file.open(encoding="utf-8", newline="") as stream:
            assert next(csv.DictReader(stream))["email"] == JANE


async def test_only_those_selected_are_exported_through_the_bar(lived: Workspace, tmp_path: Path) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("space")
        await choose(pilot, "export as CSV")
        await answer(pilot, str(tmp_path / "one.csv"))
        await agree(pilot, "Write 1 person to")
        await reads(pilot, "1 written")
        assert (tmp_path / "one.csv").read_text(encoding="utf-8").count("\n") == 2


async def test_undo_names_what_it_had_to_leave(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        lived.crm.edit_all("tag:trial", {"company": "Mine"})
        lived.db.write(lambda db: db.execute("UPDATE contact SET company = 'Theirs' WHERE email = ?", (JANE,)))
        await pilot.press("ctrl+z")
        await agree(pilot, "Undo: edited 4 people: company")
        await reads(pilot, "What was changed since stays as it is", f"{JANE}: company stays “Theirs”, and is not")


async def test_undo_says_who_stays_and_why(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(pilot)
        added = lived.crm.add("new@acme.example")
        lived.crm.edit(added, {"stage": "ENGAGED"})
        app.run_worker(tell(app, "Undone", lived.history.undo(lived.history.list()[1].id)))
        await reads(pilot, "new@acme.example stays, because of what came since: stage.")


async def test_a_next_action_is_planned_and_done_and_a_note_written(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("down", "n")
        await reads(pilot, "What is next with Omar Haddad?")
        await answer(pilot, "send the offer")
        await reads(pilot, "on which day?")
        await answer(pilot, "+3d")
        await reads(pilot, "Planned for Wed 25 Nov.")
        await pilot.press("n")
        await reads(pilot, "send the offer, Wed 25 Nov", "It is done")
        await pilot.press("right", "enter")
        await until(pilot, lambda: lived.today.next_action(lived.crm.get("omar@haddad.example").id) is None)
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("N")
        await reads(pilot, "A note about Omar Haddad")
        await answer(pilot, "wants a demo")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("enter")
        await reads(pilot, "· wants a demo", "· Done: send the offer")


# --- what others change -----------------------------------------------------------------------------------------------


@both_sizes
async def test_what_another_program_changes_shows_by_itself_and_the_selection_stays(
    lived: Workspace, size: tuple[int, int]
) -> None:
    app = app_on(lived)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("space", "space")
        await until(pilot, lambda: screen._begun)
        with open_workspace(lived.paths, lived.config, clock=lived.clock) as other:
            other.crm.edit_all(JANE, {"first_name": "Janet"})
            other.crm.add("new@comer.example", first_name="Newcomer")
            other.crm.delete("omar@haddad.example")
        await reads(pilot, "Janet Doe", "1 selected")
        await until(pilot, lambda: screen.table.total == 40 and "Omar" not in text_of(app))
        assert screen.table.selected == {lived.crm.get(JANE).id}


async def test_the_pane_follows_what_another_program_changes(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: screen._begun)
        with open_workspace(lived.paths, lived.config, clock=lived.clock) as other:
            other.timeline.note(other.crm.get(JANE).id, "said by somebody else")
        await reads(pilot, "said by somebody else")


async def test_an_edit_under_way_is_not_touched_by_what_others_change(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36)) as pilot:
        screen, form = await editing(pilot)
        field(form, "title").value = "My title"
        await until(pilot, lambda: screen._begun)
        lived.crm.edit_all("tag:trial", {"first_name": "Someone", "title": "Theirs"})
        await until(pilot, lambda: "Someone Doe" in text_of(app))  # the list follows
        assert screen.pane.form is form and field(form, "title").value == "My title"
        lived.crm.delete(JANE)
        await until(pilot, lambda: screen.table.total == 39)
        assert screen.pane.form is form and field(form, "title").value == "My title"
        await pilot.press("enter")
        await reads(pilot, "is no contact any more", "ctrl+z, in F4")


async def test_a_person_who_cannot_be_read_is_said_in_their_place(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36)) as pilot:
        screen = await opened(pilot)
        await steady(pilot)
        lived.db.write(lambda db: db.execute("ALTER TABLE consent RENAME TO gone"))
        screen.pane.look_again()
        await reads(pilot, "✕ The database")


async def test_a_command_line_is_copied(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("y")
        await reads(pilot, "Copied: aicmo contact list")
        screen.filter.value = "tag:trial -stage:new"
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == "aicmo contact list -- 'tag:trial -stage:new'")
        await pilot.press("enter", "y")
        await until(pilot, lambda: app.clipboard == f"aicmo contact show {JANE}")


def named(app: AicmoApp) -> set[str]:
    """The actions that the footer names."""
    return {binding.action for _, binding, _, _ in app.screen.active_bindings.values() if binding.show}


ABOUT_PEOPLE = {"open", "select", "edit", "bulk"}


async def test_with_nobody_there_the_footer_names_nothing_that_is_done_to_people(empty: Workspace) -> None:
    async with app_on(empty).run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Nobody is here yet.")
        await until(pilot, lambda: not ABOUT_PEOPLE & named(pilot.app))


async def test_the_footer_names_what_can_be_done_and_the_filter_only_where_its_key_types_nothing(
    lived: Workspace,
) -> None:
    async with app_on(lived).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: {*ABOUT_PEOPLE, "filter"} <= named(pilot.app))
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(pilot.app.focused, PlainInput))
        await until(pilot, lambda: "filter" not in named(pilot.app))


async def test_a_filter_that_makes_no_sense_is_not_said_to_find_nobody(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(118, 36)) as pilot:
        screen = await opened(pilot)
        screen.filter.value = "tag:nowhere"
        await reads(pilot, "Nobody like that.")
        screen.filter.value = "tag:nowhere stag:"
        await reads(pilot, "The filter cannot be read.", "Nothing follows “stag:”", "the list is as it was")
        assert "Nobody like that." not in text_of(app)
