"""The composer: write once, make it right for each channel, see it as one of its readers will, see what would stop it.

What is written is saved as one types (``desk``); a version that was approved or sent is left alone and a next one
begun. The preview, the counts and the check are the core's own answers to the draft as it stands.
"""

from __future__ import annotations

from dataclasses import replace

from textual.widgets import Input, TextArea

from aicmo.crm.query import check_query
from aicmo.publishing import CONTENT_TYPES, CheckReport, Content
from aicmo.publishing.channels import CHANNELS
from aicmo_tui.findings import findings
from aicmo_tui.keys import key
from aicmo_tui.present import TITLE, line
from aicmo_tui.screens.changing import meanwhile
from aicmo_tui.screens.composer_view import VIEWS
from aicmo_tui.screens.composing import Sitting
from aicmo_tui.screens.desk import Desk
from aicmo_tui.widgets.channel_bar import ChannelBar
from aicmo_tui.widgets.dialogs import confirm
from aicmo_tui.work import converse, off_loop


class ComposerScreen(Desk):
    MODE = "composer"
    CSS_PATH = "composer.tcss"
    AUTO_FOCUS = "#name"
    HELP = """## Composer
Markdown, with `{{ first_name }}` and the other fields of a contact: `{{` offers them. A field somebody lacks is an
error unless you give a default: `{{ first_name | default("friend") }}`. The footer with the way to unsubscribe and your
postal address is added where you leave it out.

`escape` goes to the channels: `←` `→` choose one, `v` shows its versions, `n` takes a note, `l` asks every link whether
it leads anywhere (their servers see that), `a` approves. A channel shows the original until you write something else
there; `u` follows the original again.

`ctrl+r` turns the preview: *html* is in the message's colours, *dark* as a reader with a dark screen gets them.

**To** takes the same words as the filter of the contacts screen; empty is everybody."""
    BINDINGS = [
        key("composer.campaign", "ctrl+g", "make_campaign", "campaign", "A campaign of it: check, approve, start"),
        key("composer.approve_post", "ctrl+g", "approve_post", "approve", "As it stands; a change withdraws it"),
        key("composer.test", "ctrl+t", "test", "test", "Send one to yourself or somebody else, the way it would go"),
        key("composer.view", "ctrl+r", "next_view", "preview", "The preview's next side; on a narrow screen, over it"),
        key(
            "composer.reader",
            "ctrl+down",
            "reader(1)",
            "next reader",
            "As the next one of the audience sees it",
            show=False,
        ),
        key(
            "composer.reader_back", "ctrl+up", "reader(-1)", "reader before", "As the person before sees it", show=False
        ),
        key("composer.links", "l", "ask_links", "links", "Ask every link whether it leads anywhere", show=False),
        key("composer.open", "ctrl+l", "open", "open", "Open something written earlier"),
        key("composer.new", "ctrl+n", "new", "new", "Write something else; this one is saved", show=False),
        key("composer.editor", "ctrl+o", "editor", "editor", "Write the body in your own editor"),
        key("composer.back", "escape", "back", "channels", "From the text to the channels, and back", show=False),
    ]

    def write_to(self, query: str, *, anew: bool = False) -> None:
        """Write to the people whom ``query`` finds. ``anew``: another message, whatever stands in the fields."""
        if anew:
            converse(self, lambda: self._write_another(query))
        else:
            self._address_to(query)

    async def _write_another(self, query: str) -> None:
        await self._go_to(None)
        self._address_to(query)

    def _address_to(self, query: str) -> None:
        self.query_one("#audience", Input).value = query
        self.query_one("#subject", Input).focus()

    def edit(self, content: Content, audience: str) -> None:
        """Change this content; what stood in the fields is saved first."""

        async def saved_first() -> None:
            await self._go_to(content)
            self.query_one("#audience", Input).value = audience

        converse(self, saved_first)

    def on_channel_bar_chosen(self, event: ChannelBar.Chosen) -> None:
        async def go() -> None:
            await self._save_now()
            if self._sitting.content is None:
                self.app.tell("Write the original first.")
                return
            await self._go_to(self._sitting.content, event.channel)
            self.query_one(ChannelBar).focus()

        converse(self, go)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A message is sent to people, a post is approved."""
        if action in ("make_campaign", "test"):
            return self._sitting.is_mail
        return action != "approve_post" or not self._sitting.is_mail

    def action_make_campaign(self) -> None:
        converse(self, self._make_campaign)

    async def _make_campaign(self) -> None:
        written = self.written
        check_query(written.audience)
        if written.is_empty:
            self.app.tell("Write something first.", severe=True)
            return
        await self._save_now()
        content, publishing = self._sitting.content, self.workspace.publishing
        assert content is not None  # it is not empty, so it was saved
        campaign = await off_loop(
            self.app, lambda: publishing.create_campaign(written.title, content.id, written.audience)
        )
        self.app.open_campaign(campaign.id)

    def action_approve(self) -> None:
        converse(self, self._approve)

    action_approve_post = action_approve

    async def _approve(self) -> None:
        await self._save_now()
        content, channel, contents = self._sitting.content, self._sitting.channel, self.workspace.contents
        if content is None:
            self.app.tell("Write something first.", severe=True)
            return
        kind, draft = self._sitting.type, self.written.draft
        await off_loop(self.app, lambda: contents.refuse_unfit(kind, channel, draft))
        look = lambda: CheckReport() if self._sitting.is_mail else contents.check(kind, channel, draft)  # noqa: E731
        report = await off_loop(self.app, look)
        where = CHANNELS[self._sitting.shows_on].title if self._sitting.shows_on else "every channel"
        question = line("Approve these words for ", (where, TITLE), " as they stand? Any change withdraws it.")
        details = findings(report) if report.warnings else None
        if await self.app.push_screen_wait(confirm(question, "Approve", details=details)):
            await off_loop(self.app, lambda: contents.approve(content.id, channel))

    def action_test(self) -> None:
        converse(self, self._test)

    async def _test(self) -> None:
        written = self.written
        if written.is_empty:
            self.app.tell("Write something first.", severe=True)
            return
        from aicmo_tui.screens.trying_out import send_test

        send = self.workspace.publishing.send_draft_test
        await send_test(self.app, lambda to: send(written.draft, written.audience, written.title, to))

    def action_versions(self) -> None:
        converse(self, self._versions)

    async def _versions(self) -> None:
        from aicmo_tui.screens.versions import VersionsDialog

        await self._save_now()
        content, channel, contents = self._sitting.content, self._sitting.channel, self.workspace.contents
        if content is None:
            self.app.tell("Nothing was saved yet.")
            return
        number = await self.app.push_screen_wait(VersionsDialog(contents, content.id, channel))
        if number is not None:
            await off_loop(self.app, lambda: contents.restore(content.id, number, channel))
            await self._go_to(content, channel)
            self.app.tell(f"This is again what version {number} said.")

    def action_follow_original(self) -> None:
        converse(self, self._follow_original)

    async def _follow_original(self) -> None:
        await self._save_now()
        content, channel, contents = self._sitting.content, self._sitting.channel, self.workspace.contents
        if content is None or not channel:
            self.app.tell("This is the original itself.")
            return
        await off_loop(self.app, lambda: contents.reset(content.id, channel))
        await self._go_to(content, channel)

    def action_note(self) -> None:
        converse(self, self._note)

    async def _note(self) -> None:
        from aicmo_tui.widgets.dialogs import Ask

        await self._save_now()
        content, channel = self._sitting.content, self._sitting.channel
        if content is None:
            self.app.tell("Write something first.")
            return
        text = await self.app.push_screen_wait(
            Ask(line("What should be looked at? No reader sees it."), "mind the tone")
        )
        if text:
            await off_loop(self.app, lambda: self.workspace.reviews.add(content.id, text, channel))
            self.app.tell("Noted. It stands beside the preview.")

    def action_settle(self) -> None:
        converse(self, self._settle)

    async def _settle(self) -> None:
        from aicmo_tui.widgets.picker import Picker

        content, reviews = self._sitting.content, self.workspace.reviews
        found = await off_loop(self.app, lambda: reviews.list(content.id)) if content else ()
        choices = [(each.note.text, each.note.id) for each in found if not each.note.settled_at]
        if not choices:
            self.app.tell("No note is open.")
            return
        chosen = await self.app.push_screen_wait(Picker("Which one is done?", choices))
        if chosen is not None:
            await off_loop(self.app, lambda: reviews.settle(chosen))

    def action_ask_links(self) -> None:
        converse(self, self._ask_links)

    async def _ask_links(self) -> None:
        """Only when somebody says so: the servers behind the links see it."""
        written, sitting, preflight = self.written, self._sitting, self.workspace.publishing.preflight
        asking = line("Asking every link once ...")
        if sitting.is_mail:
            asked = await meanwhile(self.app, asking, preflight.links(written.draft, written.title))
        else:
            links = self.workspace.contents.links(sitting.type, sitting.channel, written.draft)
            asked = await meanwhile(self.app, asking, preflight.ask(links))
            for first in links[:1]:
                self._cards[first] = await meanwhile(self.app, asking, preflight.card(first))
        if not asked.looks:
            self.app.tell("There is no link.")
        elif asked.problems:
            self.app.tell(f"{len(asked.problems)} of the links did not lead anywhere, or said nothing.", severe=True)
        else:
            self.app.tell("Every link leads somewhere.")
        if written.draft == self.written.draft:
            self._asked = asked
        self._show_it()
        self._check_it()

    def action_show_them(self) -> None:
        """The people whom the first finding is about."""
        if self._query:
            self.app.show_people(self._query)

    def action_next_view(self) -> None:
        if not self.has_class("-narrow"):
            self._view += 1
        elif not self.has_class("-side-shown"):
            self.add_class("-side-shown")
            self.query_one("#preview-box").focus()  # else what is typed goes into a text that nobody sees
        elif self._view + 1 < len(VIEWS["mail" if self._sitting.is_mail else "post"]):
            self._view += 1
        else:
            self._view = 0
            self._hide_side()
        self._show_it()

    def action_reader(self, step: int) -> None:
        self._reader = max(0, self._reader + step)
        self._show_it()

    def action_back(self) -> None:
        """From the preview to the text, from the text to the channels, and from there back to the text."""
        if self.has_class("-side-shown"):
            self._hide_side()
        elif self.query_one(ChannelBar).has_focus:
            self.query_one("#body").focus()
        else:
            self.query_one(ChannelBar).focus()

    def _hide_side(self) -> None:
        """Hiding took the focus away."""
        self.remove_class("-side-shown")
        self.query_one("#body").focus()

    def action_new(self) -> None:
        converse(self, self._new)

    async def _new(self) -> None:
        from aicmo_tui.widgets.picker import Picker

        await self._save_now()
        choices = [(f"{kind.title}: {kind.about}", name) for name, kind in CONTENT_TYPES.items()]
        chosen = await self.app.push_screen_wait(Picker("What will it be?", choices))
        if chosen is not None:
            self._load(Sitting(chosen))
            self.query_one("#name").focus()

    def action_open(self) -> None:
        converse(self, self._open)

    async def _open(self) -> None:
        await self._save_now()
        contents = await off_loop(self.app, self.workspace.contents.list)
        if not contents:
            self.app.tell("Nothing was written yet.")
            return
        from aicmo_tui.widgets.picker import Picker

        choices = [(f"{each.title} · {CONTENT_TYPES[each.type].title}", each) for each in contents]
        chosen = await self.app.push_screen_wait(Picker("Open", choices))
        if chosen is not None:
            await self._go_to(chosen)

    def action_editor(self) -> None:
        converse(self, self._edit_outside)

    async def _edit_outside(self) -> None:
        """The body in the person's own editor."""
        from aicmo_tui.editor import edited, with_terminal

        await self._save_now()
        body, folder = self.query_one("#body", TextArea), self.workspace.paths.data_dir
        before = body.text
        text = await with_terminal(self.app, lambda: edited(before, folder))
        if text != before:
            self._sitting = replace(self._sitting, mine=0)  # a next version: what stood here can be had again
            body.load_text(text)
            await self._save_now()
