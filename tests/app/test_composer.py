"""Writing: saved as one types, right for each channel, with nothing lost when two write at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from driving import app_on, reads, text_of, until
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from aicmo.errors import StoreError
from aicmo.publishing import Content, Draft
from aicmo.workspace import Workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.screens import SCREENS
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


@pytest.mark.parametrize("key", [entry.key for entry in SCREENS.values()])
async def test_a_screens_key_goes_there_from_within_the_text_and_touches_none_of_it(
    key: str, filled: Workspace, blog: Content
) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, blog)
        composer, body = app.screen, body_of(app)
        body.focus()
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not composer or key == SCREENS["composer"].key)
        assert body.selection.is_empty


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


async def test_on_a_narrow_screen_what_must_be_mended_stands_over_the_text(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        app.write_to("tag:trial")
        await pilot.pause()
        app.screen.query_one("#subject").value = "News"
        app.screen.query_one("#body").load_text("Hello {{ nickname }}")
        await reads(pilot, "─ ✕ nickname is missing")
        app.screen.query_one("#body").load_text("Hello")
        await until(pilot, lambda: "nickname" not in text_of(app))


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


async def test_who_is_overwritten_is_told_where_their_own_words_are(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, blog)
        body_of(app).load_text("Mine.")
        await reads(pilot, "version 2, draft, saved")
        filled.contents.save(blog.id, replace(blog.draft, body="Theirs."))
        await reads(pilot, "this is version 3.", "wrote is version 2.")
    assert [version.draft.body for version in filled.contents.versions(blog.id)][1] == "Mine."


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


# --- what readers get to see


PAIRLESS = """<html><body><p style="color:#222222">Hardly there</p></body></html>"""


def drawn(app: AicmoApp, words: str) -> tuple[str, str]:
    """The colours of ``words`` in the preview: letters, ground."""
    preview = app.screen.query_one("#preview", Static)
    for strip in app.screen._compositor.render_strips(app.size):
        for segment in strip:
            if words in segment.text and segment.style and segment.style.color and segment.style.bgcolor:
                return segment.style.color.name, segment.style.bgcolor.name
    raise AssertionError(f"{words} is not in {preview.content}")


@pytest.mark.parametrize(
    ("body", "format", "words", "light", "dark"),
    [
        (PAIRLESS, "html", "Hardly there", ("#222222", "#ffffff"), ("#222222", "#1e1e1e")),
        ("Hello *you*", "markdown", "Hello", ("#1c1c1e", "#ffffff"), ("#ceced1", "#1e1e1e")),
    ],
)
async def test_a_mail_is_seen_on_a_light_and_on_a_dark_ground(
    filled: Workspace, body: str, format: str, words: str, light: tuple[str, str], dark: tuple[str, str]
) -> None:
    mail = filled.contents.create("email", "Autumn", Draft("News", body, "Soon", format=format))
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, mail)
        await pilot.press("ctrl+r")
        await reads(pilot, "text · [html] · dark · source", words)
        assert drawn(app, words) == light
        await pilot.press("ctrl+r")
        await reads(pilot, "text · html · [dark] · source", "Gmail and")
        assert drawn(app, words) == dark
        await pilot.press("ctrl+r")
        await reads(pilot, "[source]", "MIME-Version")
        assert app.screen.query_one("#preview", Static).styles.background.a == 0


async def test_what_cannot_be_read_in_the_dark_is_found(filled: Workspace) -> None:
    mail = filled.contents.create("email", "Autumn", Draft("News", PAIRLESS, "Soon", format="html"))
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, mail)
        found = app.screen.query_one("#findings", Static)
        await until(pilot, lambda: "can hardly be read in dark mode" in str(found.content))


@contextlib.contextmanager
def served(page: str) -> Iterator[str]:
    """A web server with one page; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


async def test_a_post_has_a_card_once_its_page_was_asked(filled: Workspace) -> None:
    app = app_on(filled)
    with served("<title>Why [b]we moved[/b]</title>") as address:
        post = filled.contents.create("social", "Moving", Draft("", f"We moved: {address}"))
        async with app.run_test(size=WIDE) as pilot:
            await opened(pilot, post)
            await pilot.press("escape", "right")
            await reads(pilot, "On LinkedIn", "▌ 127.0.0.1", "not known: l asks the page", "come with the post")
            await pilot.press("right")
            await reads(pilot, "On X", "not known")
            await pilot.press("l")
            await reads(pilot, "▌ Why [b]we moved[/b]")
            await pilot.press("right")
            await reads(pilot, "On Instagram", "shows no card", "makes no link of")


async def test_links_that_lead_nowhere_are_found_until_the_text_changes(filled: Workspace) -> None:
    app = app_on(filled)
    post = filled.contents.create("social", "Moving", Draft("", "We moved: http://127.0.0.1:9/"))
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, post)
        await pilot.press("escape", "l")
        await reads(pilot, "could not be reached")
        body_of(app).insert("Yes. ")
        await until(pilot, lambda: "could not be reached" not in text_of(app))


async def test_a_warning_is_told_where_a_post_is_approved(filled: Workspace) -> None:
    app = app_on(filled)
    post = filled.contents.create("social", "Moving", Draft("", "#one #two #three"))
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, post)
        await pilot.press("escape", "right", "right")
        await reads(pilot, "On X", "X itself says no more than 2")
        await pilot.press("a")
        await reads(pilot, "Approve these words for X")
        assert any("◐ 3 hashtags" in str(each.content) for each in app.screen.query(Static))


async def test_what_is_typed_over_the_preview_goes_into_no_hidden_text(filled: Workspace, blog: Content) -> None:
    app = app_on(filled)
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot, blog)
        await reads(pilot, "Bluesky   esc")
        await pilot.press("escape", "ctrl+r")
        await until(pilot, lambda: app.screen.has_class("-side-shown"))
        await pilot.press("x", "y")
        await pilot.press("escape")
        assert body_of(app).text == blog.draft.body and body_of(app).has_focus
