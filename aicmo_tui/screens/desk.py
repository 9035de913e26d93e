"""The desk one writes at: the fields, what follows them as they change, and getting them on disk.

Whatever is typed is on disk within about a second, and says so; what somebody else wrote meanwhile is kept and told.
What the person can do with it is the composer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from aicmo.publishing import Audience, CheckReport, Content, Draft
from aicmo.publishing.preflight import joined
from aicmo.publishing.preflight.cards import Card
from aicmo.text import one_line
from aicmo_tui.findings import findings
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, MUTED, line, value
from aicmo_tui.screens import composer_view
from aicmo_tui.screens.composer_view import VIEWS, Seen
from aicmo_tui.screens.composing import Sitting, Written, open_text, save
from aicmo_tui.screens.frame import Frame
from aicmo_tui.widgets.channel_bar import ChannelBar, Tab
from aicmo_tui.widgets.fields_completion import FieldArea, FieldInput, FieldsCompletion
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.work import ask, off_loop

SHOWN_AFTER_S = 0.2
"""After the last key: how soon preview and count follow."""
SAVED_AFTER_S = 1.0
"""After the first key that is not on disk: a kill costs no more than this, and the writing itself."""
CHECKED_AFTER_S = 1.0
"""The check reads the whole audience, so it waits for a pause in the writing."""


class Desk(Frame):
    """The fields of one text, always saved."""

    def __init__(self) -> None:
        super().__init__()
        self._sitting = Sitting()
        self._view = 0
        self._reader = 0
        self._awaited: dict[str, Timer] = {}
        self._loading = False
        """The fields are being filled, not written in."""
        self._unsaved = ""
        """Why what is written could not be saved; empty when it could."""
        self._query = ""
        """Finds the people of the first finding that is about people."""
        self._report: CheckReport | None = None
        """Of the last check of a mail."""
        self._names = CheckReport()
        """What the name servers said of the sender."""
        self._asked = CheckReport()
        """What the links answered when they were asked; of the words as they were then."""
        self._cards: dict[str, Card] = {}
        """What pages said of themselves when they were asked, by their address."""

    def body(self) -> Iterable[Widget]:
        with Horizontal():
            with Vertical(classes="list"):
                yield Channels(id="channels")
                yield field("Name", PlainInput(placeholder="how you find it again", id="name"))
                yield field("To", PlainInput(placeholder="everybody; or tag:trial -stage:new", id="audience"))
                yield Static(id="reach")
                yield field("Subject", FieldInput(placeholder="What changed, {{ first_name }}", id="subject"))
                yield field("Preheader", FieldInput(placeholder="the line an inbox shows next", id="preheader"))
                hint = "Markdown; {{ offers a contact's fields"
                yield FieldArea(
                    id="body", soft_wrap=True, tab_behavior="focus", show_line_numbers=False, placeholder=hint
                )
                yield Static(id="counts")
            with Vertical(classes="side"):
                with VerticalScroll(id="preview-box"):
                    yield Static(id="preview-head")
                    yield Static(id="preview")
                with Findings(id="check-box"):
                    yield Static(id="findings")
                with VerticalScroll(id="notes-box", can_focus=False):
                    yield Static(id="notes")
        yield FieldsCompletion()

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#check-box").border_title = "Before it goes"
        self.query_one("#notes-box").border_title = "Notes, for you alone"
        self._dress()
        self._show_it()
        self._check_it()
        self.follow(self._look_around, unless=self._is_dirty)
        self.set_interval(1.0, self._show_state)

    # --- following what is written ----------------------------------------------------------------------------------

    @property
    def written(self) -> Written:
        def text(name: str) -> str:
            return self.query_one(name, Input).value

        began = self._sitting.version.draft if self._sitting.version else Draft("", "")
        subject = text("#subject") if self._sitting.is_titled else began.subject
        preheader = text("#preheader") if self._sitting.is_mail else began.preheader
        draft = Draft(one_line(subject), self.query_one("#body", TextArea).text, one_line(preheader), began.format)
        return Written(text("#name"), text("#audience"), draft)

    def on_input_changed(self) -> None:
        self._follow()

    def on_text_area_changed(self) -> None:
        self._follow()

    def _follow(self) -> None:
        if self._loading:
            return
        self._asked = CheckReport()
        self._soon("show", SHOWN_AFTER_S, self._show_it)
        self._soon("check", CHECKED_AFTER_S, self._check_it)
        if not self._sitting.keeps(self.written) and "save" not in self._awaited:
            self._soon("save", SAVED_AFTER_S, self._save_it)

    def _soon(self, what: str, seconds: float, then: Callable[[], None]) -> None:
        """Once, after the last of a run of keys."""

        def now() -> None:
            if self._awaited.get(what) is timer:  # one that was stopped may have been on its way already
                del self._awaited[what]
                then()

        if what in self._awaited:
            self._awaited[what].stop()
        self._awaited[what] = timer = self.set_timer(seconds, now)

    def _show_it(self) -> None:
        if self.query_one(FieldsCompletion).display:
            return  # half a mark: what was seen before stays until it is whole
        written, sitting = self.written, self._sitting
        if sitting.is_mail:
            measure = lambda: self.workspace.publishing.audience(written.audience)  # noqa: E731
            ask(self, "reach", measure, self._show_reach, otherwise=self._no_reach)
        see = lambda: composer_view.see(self.workspace, sitting, written, self._reader, self._cards)  # noqa: E731
        ask(self, "preview", see, self._show_seen, otherwise=self._no_preview)

    def _show_reach(self, audience: Audience) -> None:
        if self._sitting.is_mail:
            self.query_one("#reach", Static).update(composer_view.reach(audience))

    def _no_reach(self, error: Exception) -> None:
        self.query_one("#reach", Static).update(line(("✕ ", BAD), value(str(error), BAD)))

    def _show_seen(self, seen: Seen) -> None:
        views = VIEWS[seen.kind]
        view = views[self._view % len(views)]
        box, preview = self.query_one("#preview-box"), self.query_one("#preview", Static)
        box.border_title = composer_view.preview_title(seen)
        box.border_subtitle = composer_view.preview_sides(seen, view)
        above = composer_view.preview_head(seen, view)
        head = self.query_one("#preview-head", Static)
        head.display = bool(above.plain)
        head.update(above)
        preview.update(composer_view.preview(seen, view))
        preview.styles.background = ground = composer_view.ground_of(seen, view)
        preview.set_class(ground is not None, "-paper")
        self.query_one("#counts", Static).update(composer_view.counts(seen.counts))

    def _no_preview(self, error: Exception) -> None:
        self.query_one("#preview", Static).update(composer_view.no_preview(error))

    def _check_it(self) -> None:
        if self.query_one(FieldsCompletion).display:
            return
        written, sitting = self.written, self._sitting
        if written.is_empty:
            self._show_findings(line(("Nothing is written yet.", MUTED)))
        elif sitting.is_mail:
            preflight, publishing = self.workspace.publishing.preflight, self.workspace.publishing
            words = lambda: preflight.words(written.draft, written.title)  # noqa: E731
            work = lambda: publishing.check_draft(written.draft, written.audience, written.title)  # noqa: E731
            ask(self, "words", words, self._show_words)
            ask(self, "check", work, self._show_report, otherwise=self._no_findings)
            self.run_worker(self._ask_names, group="names", exclusive=True, exit_on_error=False)
        else:
            contents = self.workspace.contents
            work = lambda: contents.check(sitting.type, sitting.channel, written.draft)  # noqa: E731
            ask(self, "check", work, self._show_report, otherwise=self._no_findings)

    def _show_words(self, report: CheckReport) -> None:
        """What shows at once, until the audience was counted for the first time."""
        if self._report is None:
            self._show_findings(findings(joined([report, self._names])))

    def _show_report(self, report: CheckReport) -> None:
        self._report = report
        query = next((each.query for each in report.problems if each.query), "")
        others = [self._names, self._asked] if self._sitting.is_mail else [self._asked]
        self._show_findings(findings(joined([report, *others])), query)
        if report.errors and self.has_class("-narrow"):  # the findings are out of sight
            self.query_one(".list").border_title = line(("✕ ", BAD), value(report.errors[0].message, BAD))

    async def _ask_names(self) -> None:
        """What the name servers say of the sender comes when it comes; it is remembered for a while."""
        self._names = await self.workspace.publishing.preflight.domain()
        if self._report is not None and self._sitting.is_mail and not self.written.is_empty:
            self._show_report(self._report)

    def _show_findings(self, found: composer_view.Shown, query: str = "") -> None:
        self._query = query
        self.query_one(".list").border_title = ""
        box = self.query_one("#check-box")
        box.can_focus = bool(query)
        box.border_subtitle = "⏎ show them" if query else ""
        self.query_one("#findings", Static).update(found)

    def _no_findings(self, error: Exception) -> None:
        self._show_findings(line(("✕ ", BAD), value(str(error))))

    # --- saving -----------------------------------------------------------------------------------------------------

    def _is_dirty(self) -> bool:
        return not self._sitting.keeps(self.written)

    def _save_it(self) -> None:
        if self._is_dirty():
            written, sitting, contents = self.written, self._sitting, self.workspace.contents
            ask(self, "save", lambda: save(contents, sitting, written), self._saved, otherwise=self._not_saved)

    def _saved(self, sitting: Sitting) -> None:
        self._sitting, self._unsaved = sitting, ""
        if sitting.meanwhile:
            number = sitting.version.number if sitting.version else 0
            told = (
                f"Somebody else saved version {sitting.meanwhile} meanwhile; this is version {number}. Both are kept."
            )
            self.app.tell(told, title="Written twice", severe=True)
        self.set_place(sitting.content.title if sitting.content else "")
        self._show_state()
        self._read_channels()
        if self._is_dirty():  # something was typed while it was saved
            self._soon("save", SAVED_AFTER_S, self._save_it)

    def _not_saved(self, error: Exception) -> None:
        """It stands on the screen until it could be: the next try comes by itself."""
        self._unsaved = str(error)
        self._show_state()
        self._soon("save", SAVED_AFTER_S, self._save_it)

    async def _save_now(self) -> None:
        """Save before something else comes into the fields. Raises what saving does."""
        if self._is_dirty():
            written, sitting, contents = self.written, self._sitting, self.workspace.contents
            self.workers.cancel_group(self, "ask:save")
            self._saved(await off_loop(self.app, lambda: save(contents, sitting, written)))

    async def put_away(self) -> None:
        await self._save_now()

    def on_screen_suspend(self) -> None:
        self._save_it()

    def _show_state(self) -> None:
        sitting, box = self._sitting, self.query_one(".list")
        now = self.workspace.clock.now()
        box.border_subtitle = composer_view.state_of(sitting, now, dirty=self._is_dirty(), unsaved=self._unsaved)
        if not sitting.is_mail:
            self.query_one("#reach", Static).update(composer_view.origin(sitting))

    # --- what is in the store ---------------------------------------------------------------------------------------

    def _look_around(self) -> None:
        """The store changed while nothing here waits to be saved: show what somebody else wrote."""
        sitting, contents = self._sitting, self.workspace.contents
        self._read_channels()
        if sitting.content is not None:
            content = sitting.content
            ask(self, "around", lambda: open_text(contents, content, sitting.channel), self._show_others)

    def _show_others(self, now: Sitting) -> None:
        here = self._sitting
        if here.version is None or now.version is None or here.channel != now.channel or self._is_dirty():
            return
        if here.content and now.content and here.content.id == now.content.id:
            if here.version.draft != now.version.draft:
                self._load(now)
                yours = f" What you wrote is version {here.mine}." if here.mine == here.version.number else ""
                self.app.tell(f"It was changed elsewhere: this is version {now.version.number}.{yours}")
            elif here.version.approved_at != now.version.approved_at:
                self._sitting = Sitting(now.type, now.content, now.channel, now.version, here.mine)
                self._show_state()

    def _read_channels(self) -> None:
        sitting, workspace = self._sitting, self.workspace
        ask(self, "channels", lambda: composer_view.read_beside(workspace, sitting), self._show_beside)

    def _show_beside(self, beside: composer_view.Beside) -> None:
        self.query_one(FieldsCompletion).fields = beside.fields
        self._show_tabs(beside.tabs)
        box = self.query_one("#notes-box")
        box.display = bool(beside.notes)
        self.query_one("#notes", Static).update(composer_view.notes(beside.notes))

    def _show_tabs(self, tabs: Iterable[Tab]) -> None:
        bar = self.query_one(ChannelBar)
        bar.tabs, bar.current = tuple(tabs), self._sitting.channel

    def _load(self, sitting: Sitting) -> None:
        """Fill the fields."""
        another = (sitting.content and sitting.content.id) != (self._sitting.content and self._sitting.content.id)
        draft = sitting.version.draft if sitting.version else Draft("", "")
        title = sitting.content.title if sitting.content else ""
        self._sitting, self._unsaved, self._report, self._asked = sitting, "", None, CheckReport()
        self._loading = True
        with self.prevent(Input.Changed, TextArea.Changed):
            self.query_one("#name", Input).value = title
            self.query_one("#subject", Input).value = draft.subject
            self.query_one("#preheader", Input).value = draft.preheader
            self.query_one("#body", TextArea).load_text(draft.body)
        self._loading = False
        if another:
            self._reader = self._view = 0
            self.query_one("#name" if sitting.content is None else "#body").focus()
        self._dress()
        self._show_it()
        self._check_it()

    def _dress(self) -> None:
        """Show the fields that this channel has."""
        sitting = self._sitting
        self.set_place(sitting.content.title if sitting.content else "")
        self.set_class(sitting.is_mail, "-mail")
        self.set_class(sitting.is_titled, "-titled")
        self._show_tabs(composer_view.plain_tabs(sitting))
        self._show_state()
        self._read_channels()
        self.refresh_bindings()

    async def _go_to(self, content: Content | None, channel: str = "") -> None:
        await self._save_now()
        contents = self.workspace.contents
        if content is None:
            self._load(Sitting())
        else:
            self._load(await off_loop(self.app, lambda: open_text(contents, content, channel)))


class Channels(ChannelBar):
    """With the keys that would type something elsewhere. The screen's own work here too, and leave these the footer."""

    BINDINGS = [
        key("composer.versions", "v", "screen.versions", "versions", "What it said before, and what differs"),
        key("composer.note", "n", "screen.note", "note", "What should be looked at; no reader sees it"),
        key("composer.settle", "s", "screen.settle", "settle", "A note is done", show=False),
        key("composer.approve", "a", "screen.approve", "approve", "As it stands; a change withdraws it"),
        key("composer.reset", "u", "screen.follow_original", "as original", "Follow the original again", show=False),
        key("composer.write", "enter,down,e", "screen.back", "write", "Back to the text", shown_as="⏎"),
        key("channels.campaign", "ctrl+g", "screen.make_campaign", "campaign", "A campaign of it", show=False),
        key("channels.approve", "ctrl+g", "screen.approve_post", "approve", "As it stands", show=False),
        key("channels.test", "ctrl+t", "screen.test", "test", "Send one to yourself or somebody else", show=False),
        key("channels.view", "ctrl+r", "screen.next_view", "preview", "The preview's next side", show=False),
        key("channels.open", "ctrl+l", "screen.open", "open", "Open something written earlier", show=False),
        key("channels.editor", "ctrl+o", "screen.editor", "editor", "Write in your own editor", show=False),
    ]


class Findings(VerticalScroll, can_focus=False):
    """What would stop it."""

    BINDINGS = [key("composer.people", "enter", "screen.show_them", "show them", "The people whom it is about")]


def field(label: str, input: Input) -> Horizontal:
    input.compact = True
    return Horizontal(Static(line((label, MUTED)), classes="label"), input, classes=f"field -{input.id}")
