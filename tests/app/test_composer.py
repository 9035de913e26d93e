"""Writing: saved as one types, right for each channel, with nothing lost when two write at once."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from driving import app_on, reads, text_of, until
from textual.pilot import Pilot
from textual.widgets import TextArea

from aicmo.errors import StoreError
from aicmo.publishing import Content, Draft
from aicmo.workspace import Workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.widgets.fields_completion import FieldsCompletion

WIDE, NARROW = (120, 40), (80, 24)


def body_of(app: AicmoApp) -> TextArea:
    return app.screen.query_one("#body", TextArea)


def completion_of(app: AicmoApp) -> FieldsCompletion:
    return app.screen.query_one(FieldsCompletion)


async def opened(pilot: Pilot[None], content: Content) -> AicmoApp:
    app: AicmoApp = pilot.app  # type: ignore[assignment]
    app.edit(content, "")
    await reads(pilot, f"Composer · {content.title}")
    return app


@pytest.fixture
def blog(filled: Workspace) -> Content:
    return filled.contents.create("blog", "Moving", Draft("Why we moved", "We *moved*.\n\nHere is why."))


# --- on disk


async def test_what_is_typed_is_saved_though_one_goes_on_typing(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        seen = 0
        for number in range(200):  # never a pause as long as the wait before a save
            body_of(app).insert(f"{number} ")
            await pilot.pause(0.02)
            seen = max(seen, filled.contents.wording(blog.id).draft.body.count(" "))
            if seen > 20:
                break
        assert seen > 20, text_of(app)


async def test_what_cannot_be_saved_is_said_and_tried_again(
    filled: Workspace, blog: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, blog)

        def refuse(*_: object, **__: object) -> None:
            raise StoreError("The disk is full.")

        with monkeypatch.context() as broken:
            broken.setattr(filled.contents, "save", refuse)
            body_of(app).insert("More. ")
            await reads(pilot, "✕ not saved: The disk is full. · trying again")
        await reads(pilot, "draft, saved just now")
        assert filled.contents.get(blog.id).draft.body.startswith("More. ")


async def test_white_space_at_an_end_is_not_saved_over_and_over(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        app.screen.query_one("#subject").value = "Why we moved so far  "
        await until(pilot, lambda: filled.contents.get(blog.id).draft.subject == "Why we moved so far")
        await until(pilot, lambda: not app.screen._is_dirty())


async def test_a_text_is_named_by_its_subject_until_it_gets_a_name(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        app.write_to("")
        await pilot.pause()
        app.screen.query_one("#subject").value = "Spr"
        await reads(pilot, "Composer · Spr")
        app.screen.query_one("#subject").value = "Spring"
        await until(pilot, lambda: filled.contents.list()[0].title == "Spring")
        app.screen.query_one("#name").value = "The letter of March"
        await until(pilot, lambda: filled.contents.list()[0].title == "The letter of March")
        assert len(filled.contents.list()) == 4


async def test_leaving_the_app_saves_first(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        body_of(app).insert("At the last moment. ")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
    assert filled.contents.get(blog.id).draft.body.startswith("At the last moment. ")


async def test_leaving_asks_where_it_cannot_be_saved(
    filled: Workspace, blog: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)

        def refuse(*_: object, **__: object) -> None:
            raise StoreError("The disk is full.")

        monkeypatch.setattr(filled.contents, "save", refuse)
        body_of(app).insert("Lost? ")
        await pilot.press("ctrl+q")
        await reads(pilot, "cannot be saved. Leave without it?", "The disk is full.")
        await pilot.press("escape")
        assert not app._exit


async def test_ones_own_editor_gets_the_text_and_gives_it_back(
    filled: Workspace, blog: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(filled)
    monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
    monkeypatch.setattr("aicmo_tui.editor.edited", lambda text, folder: text.replace("moved", "went"))
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: filled.contents.get(blog.id).draft.body.startswith("We *went*"))


# --- two who write


async def test_what_somebody_else_wrote_meanwhile_is_kept_and_told(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, blog)
        body_of(app).insert("Mine. ")
        filled.contents.save(blog.id, replace(blog.draft, body="Theirs."))
        await reads(pilot, "Written twice", "Somebody else saved version 2 meanwhile")
        said = [version.draft.body for version in filled.contents.versions(blog.id)]
        assert said[1:] == ["Theirs.", blog.draft.body] and said[0].startswith("Mine. We")


async def test_what_somebody_else_wrote_is_shown_where_nobody_writes(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        filled.contents.save(blog.id, replace(blog.draft, body="Theirs."))
        await until(pilot, lambda: body_of(app).text == "Theirs.")
        body_of(app).insert("And mine. ")
        await until(pilot, lambda: filled.contents.get(blog.id).draft.body == "And mine. Theirs.")


# --- channels


async def test_each_channel_gets_its_own_words_and_may_follow_the_original_again(
    filled: Workspace, blog: Content
) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        await reads(pilot, "[Website]", "On Website")
        await pilot.press("escape", "right", "right")
        await reads(pilot, "[X]", "as the original, until you write here", "of 280")
        await pilot.press("enter")
        body_of(app).load_text("We moved! " * 40)
        await reads(
            pilot, "its own words, version 1", "✕ characters 399 of 280, 119 too long", "[X ✕]", "Shorten it by 119"
        )
        assert filled.contents.get(blog.id).draft == blog.draft
        await pilot.press("escape", "u")
        await reads(pilot, "as the original, until you write here")
        assert body_of(app).text == blog.draft.body


async def test_a_post_is_approved_and_an_edit_withdraws_that(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        await pilot.press("escape", "right")
        await reads(pilot, "[LinkedIn]")
        await pilot.press("a")
        await reads(pilot, "Approve these words for LinkedIn as they stand?")
        await pilot.press("right", "enter")
        await reads(pilot, "[LinkedIn ✓]", "● approved")
        await pilot.press("enter")
        body_of(app).insert("But. ")
        await reads(pilot, "[LinkedIn]", "version 2, draft")
        assert filled.contents.approved(blog.id, "linkedin").number == 1


async def test_an_old_version_is_looked_at_and_said_again(filled: Workspace, blog: Content) -> None:
    filled.contents.save(blog.id, replace(blog.draft, body="We *went*.\n\nHere is why."))
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, filled.contents.get(blog.id))
        await pilot.press("escape", "v")
        await reads(pilot, "This is what stands there now.")
        await pilot.press("down")
        await reads(pilot, "~ We *movedwent*.")
        await pilot.press("r")
        await reads(pilot, "version 3, draft")
        assert filled.contents.get(blog.id).draft == blog.draft


async def test_notes_stand_beside_the_text_until_they_are_settled(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        await pilot.press("escape", "n")
        await reads(pilot, "What should be looked at?")
        await pilot.press(*"tone", "enter")
        await reads(pilot, "Notes, for you alone", "☐ tone")
        await pilot.press("s")
        await reads(pilot, "Which one is done?")
        await pilot.press("enter")
        await reads(pilot, "✓ tone")


# --- fields


async def test_two_braces_offer_the_fields_and_enter_takes_one(filled: Workspace, blog: Content) -> None:
    filled.crm.edit(filled.crm.get("jane@acme.example"), {"field.favourite_tea": "green"})
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, blog)
        body_of(app).load_text("")
        await until(pilot, lambda: "favourite_tea" in completion_of(app).fields)
        await pilot.press("{", "{")
        await reads(pilot, "first_name", "company", "⏎ take")
        await pilot.press(*"fav")
        await reads(pilot, "favourite_tea")
        await pilot.press("enter", *"!")
        assert body_of(app).text == "{{ favourite_tea }}!"
        await until(pilot, lambda: not completion_of(app).display)


async def test_tab_takes_a_field_with_a_default_to_be_typed(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, blog)
        subject = app.screen.query_one("#subject")
        subject.value = "For  and others"
        subject.focus()
        await pilot.pause()  # having the focus selects all of it
        subject.cursor_position = 4
        await until(pilot, lambda: "first_name" in completion_of(app).fields)
        await pilot.press("{", "{", *"last")
        await until(pilot, lambda: completion_of(app).display)
        await pilot.press("tab", *"you")
        assert subject.value == 'For {{ last_name | default("you") }} and others'
        assert app.focused is subject


async def test_the_list_of_fields_is_not_in_the_way(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, blog)
        body_of(app).load_text("")
        await until(pilot, lambda: completion_of(app).fields)
        await pilot.press("{", "{")
        await until(pilot, lambda: completion_of(app).display)
        await pilot.press("escape")
        await until(pilot, lambda: not completion_of(app).display)
        await pilot.press(*"fi", "enter", "tab")
        assert body_of(app).text == "{{fi\n" and app.focused is not body_of(app)
        body_of(app).load_text("{{ fi }}")
        body_of(app).focus()
        body_of(app).move_cursor((0, 5))
        await until(pilot, lambda: completion_of(app).display)
        await pilot.press("enter")
        assert body_of(app).text == "{{ first_name }}"


# --- the keys of the channels


async def test_the_footer_of_the_channels_fits_and_their_keys_are_all_in_the_palette(
    filled: Workspace, blog: Content
) -> None:
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, blog)
        await reads(pilot, "Bluesky   esc")
        await pilot.press("escape")
        await reads(pilot, "← → channel v versions n note a approve ⏎ write F1 help")
        assert text_of(app).splitlines()[-1].rstrip().endswith("^p everything")
        assert "  esc" not in text_of(app)
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Approve", "Preview", "Open", "Editor", "Settle", "As original"} <= titles
        await pilot.press("ctrl+r")
        await until(pilot, lambda: app.screen.has_class("-side-shown"))


# --- what would stop it


async def test_the_people_who_lack_a_field_are_shown(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        app.write_to("tag:trial")
        await pilot.pause()
        app.screen.query_one("#subject").value = "For {{ title }}"
        app.screen.query_one("#body").load_text("Hello")
        await reads(pilot, "title is missing", "⏎ show them")
        app.screen.query_one("#check-box").focus()
        await pilot.press("enter")
        await reads(pilot, "Contacts", "lee@dragon.example")
        assert "jane@acme.example" not in text_of(app)
