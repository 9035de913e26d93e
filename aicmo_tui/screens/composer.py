"""The composer: write a message, see it as one of its readers will, see what would stop it.

What is written is saved as one types; a version that was approved or sent is left alone and a next one begun. The
preview, the count of the audience and the check are the core's own answers to the draft as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from aicmo.crm.query import check_query
from aicmo.errors import AicmoError
from aicmo.publishing import Audience, CheckReport, Content, Draft, Preview
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, MUTED, TITLE, WARN, empty, line, lines, people, prose, value
from aicmo_tui.screens.campaign import findings
from aicmo_tui.screens.frame import Frame
from aicmo_tui.widgets.inputs import PlainInput, PlainTextArea
from aicmo_tui.work import ask, converse, off_loop

SHOWN_AFTER_S = 0.2
"""After the last key: how soon preview and count follow."""
SAVED_AFTER_S = 2.0
CHECKED_AFTER_S = 1.0
"""The check reads the whole audience, so it waits for a pause in the writing."""

VIEWS = ("text", "html", "source")


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the fields."""

    name: str
    audience: str
    draft: Draft

    @property
    def title(self) -> str:
        """How the content is found again."""
        return self.name.strip() or self.draft.subject.strip() or "Untitled"

    @property
    def is_empty(self) -> bool:
        return not (self.draft.subject.strip() or self.draft.body.strip())


class ComposerScreen(Frame):
    MODE = "composer"
    CSS_PATH = "composer.tcss"
    AUTO_FOCUS = "#name"
    HELP = """## Composer
Markdown, with `{{ first_name }}` and the other fields of a contact. A field somebody lacks is an error unless you
give a default: `{{ first_name | default("friend") }}`. The footer with the way to unsubscribe and your postal
address is added where you leave it out.

**To** takes the same words as the filter of the contacts screen; empty is everybody."""
    BINDINGS = [
        key(
            "composer.campaign",
            "ctrl+g",
            "make_campaign",
            "make it a campaign",
            "Save it as a campaign, to check, approve and start",
        ),
        key(
            "composer.view",
            "ctrl+r",
            "next_view",
            "text/html/source",
            "The preview's next side; on a narrow screen, over the text",
        ),
        key(
            "composer.reader",
            "ctrl+down",
            "reader(1)",
            "next reader",
            "See it as the next person of the audience does",
            show=False,
        ),
        key(
            "composer.reader_back",
            "ctrl+up",
            "reader(-1)",
            "reader before",
            "See it as the person before does",
            show=False,
        ),
        key("composer.open", "ctrl+l", "open", "open", "Open something written earlier"),
        key("composer.new", "ctrl+n", "new", "new", "Start an empty message; this one is saved"),
        key("composer.editor", "ctrl+o", "editor", "editor", "Write the body in your own editor", show=False),
        key("composer.back", "escape", "back", "back", "Back to the text", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._content: Content | None = None
        self._view = 0
        self._reader = 0
        self._awaited: dict[str, Timer] = {}

    def body(self) -> Iterable[Widget]:
        with Horizontal():
            with Vertical(classes="list"):
                yield field("Name", PlainInput(placeholder="how you find it again", id="name"))
                yield field("To", PlainInput(placeholder="everybody; or tag:trial -stage:new", id="audience"))
                yield Static(id="reach")
                yield field(
                    "Subject", PlainInput(placeholder="What changed this autumn, {{ first_name }}", id="subject")
                )
                yield field("Preheader", PlainInput(placeholder="the line an inbox shows next", id="preheader"))
                yield PlainTextArea(id="body", soft_wrap=True, tab_behavior="focus", show_line_numbers=False)
            with Vertical(classes="side"):
                with VerticalScroll(id="preview-box"):
                    yield Static(id="preview")
                with VerticalScroll(id="check-box", can_focus=False):
                    yield Static(id="findings")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#check-box").border_title = "Before it goes"
        self._show_it()
        self._check_it()

    # --- following what is written ----------------------------------------------------------------------------------

    @property
    def written(self) -> Written:
        def text(name: str) -> str:
            return self.query_one(name, Input).value

        body = self.query_one("#body", TextArea).text
        format = self._content.draft.format if self._content else "markdown"
        return Written(text("#name"), text("#audience"), Draft(text("#subject"), body, text("#preheader"), format))

    def on_input_changed(self) -> None:
        self._follow()

    def on_text_area_changed(self) -> None:
        self._follow()

    def _follow(self) -> None:
        self._soon("show", SHOWN_AFTER_S, self._show_it)
        self._soon("check", CHECKED_AFTER_S, self._check_it)
        self._soon("save", SAVED_AFTER_S, self._save_it)

    def _soon(self, what: str, seconds: float, then: Callable[[], None]) -> None:
        """Once, after the last of a run of keys."""
        if what in self._awaited:
            self._awaited[what].stop()
        self._awaited[what] = self.set_timer(seconds, then)

    def _show_it(self) -> None:
        written, publishing = self.written, self.workspace.publishing
        ask(self, "reach", lambda: publishing.audience(written.audience), self._show_reach, otherwise=self._no_reach)
        if written.is_empty:
            self.query_one("#preview", Static).update(
                empty("Your words, as a reader sees them.", "Write a subject and a body.")
            )
            return
        ask(self, "preview", lambda: self._preview(written), self._show_preview, otherwise=self._no_preview)

    def _preview(self, written: Written) -> Preview:
        """Blocking: the draft as the chosen reader of the audience gets it."""
        readers = self.workspace.crm.list(written.audience, limit=1, offset=self._reader) if self._reader else []
        email = readers[0].email if readers else ""
        return self.workspace.publishing.preview(
            written.draft, audience=written.audience, email=email, campaign_name=written.title
        )

    def _show_reach(self, audience: Audience) -> None:
        suppressed = f", {people(audience.suppressed)} of them suppressed" if audience.suppressed else ""
        self.query_one("#reach", Static).update(
            line(("→ ", MUTED), (people(audience.total), TITLE), (suppressed, MUTED))
        )

    def _no_reach(self, error: Exception) -> None:
        self.query_one("#reach", Static).update(line(("✕ ", BAD), value(str(error), BAD)))

    def _show_preview(self, preview: Preview) -> None:
        view = VIEWS[self._view]
        self.query_one("#preview-box").border_title = line("As ", value(preview.to, limit=40), " sees it · ", view)
        head = line(("Subject  ", MUTED), value(preview.subject, TITLE))
        self.query_one("#preview", Static).update(lines([head, line(""), prose(getattr(preview, view))]))

    def _no_preview(self, error: Exception) -> None:
        hint = error.hint if isinstance(error, AicmoError) else ""
        self.query_one("#preview", Static).update(lines([line(("▲ ", WARN), value(str(error))), value(hint, MUTED)]))

    def _check_it(self) -> None:
        written, publishing = self.written, self.workspace.publishing
        if written.is_empty:
            self.query_one("#findings", Static).update(line(("Nothing is written yet.", MUTED)))
            return
        work = lambda: publishing.check_draft(written.draft, written.audience, written.title)  # noqa: E731
        ask(self, "check", work, self._show_findings, otherwise=self._no_findings)

    def _show_findings(self, report: CheckReport) -> None:
        self.query_one("#findings", Static).update(findings(report))

    def _no_findings(self, error: Exception) -> None:
        self.query_one("#findings", Static).update(line(("✕ ", BAD), value(str(error))))

    # --- saving -----------------------------------------------------------------------------------------------------

    def _save_it(self) -> None:
        written = self.written
        if written.is_empty or (self._content and self._content.draft == written.draft):
            return
        ask(self, "save", lambda: self._saved(written), self._show_saved)

    def _saved(self, written: Written) -> Content:
        """Blocking: the content with what is written as its latest version."""
        publishing = self.workspace.publishing
        if self._content is None:
            return publishing.create_content("email", written.title, written.draft)
        if self._content.draft == written.draft:
            return self._content
        return publishing.save_content(self._content.id, written.draft, amend=True)

    def _show_saved(self, content: Content) -> None:
        self._content = content
        self.set_place(f"{content.title} · saved as version {content.number}")

    async def _save_now(self) -> None:
        """Save before something else comes into the fields."""
        if not self.written.is_empty:
            written = self.written
            self._show_saved(await off_loop(self.app, lambda: self._saved(written)))

    # --- the verbs --------------------------------------------------------------------------------------------------

    def write_to(self, query: str) -> None:
        """Write to the people whom ``query`` finds."""
        self.query_one("#audience", Input).value = query
        self.query_one("#subject", Input).focus()

    def edit(self, content: Content, audience: str) -> None:
        """Change this content; what stood in the fields is saved first."""

        async def saved_first() -> None:
            await self._save_now()
            self._load(content)
            self.query_one("#audience", Input).value = audience

        converse(self, saved_first)

    def action_make_campaign(self) -> None:
        converse(self, self._make_campaign)

    async def _make_campaign(self) -> None:
        written = self.written
        check_query(written.audience)
        if written.is_empty:
            self.app.tell("Write something first.", severe=True)
            return
        await self._save_now()
        content_id = self._content.id
        publishing = self.workspace.publishing
        campaign = await off_loop(
            self.app, lambda: publishing.create_campaign(written.title, content_id, written.audience)
        )
        self.app.open_campaign(campaign.id)

    def action_next_view(self) -> None:
        if self.has_class("-narrow"):
            if not self.has_class("-side-shown"):
                self.add_class("-side-shown")
            elif self._view == len(VIEWS) - 1:
                self.action_back()
                self._view = -1
            else:
                self._view += 1
        else:
            self._view += 1
        self._view %= len(VIEWS)
        self._show_it()

    def action_reader(self, step: int) -> None:
        self._reader = max(0, self._reader + step)
        self._show_it()

    def action_back(self) -> None:
        """From the preview back to the text; hiding took the focus away."""
        if self.has_class("-side-shown"):
            self.remove_class("-side-shown")
            self.query_one("#body").focus()

    def action_new(self) -> None:
        converse(self, self._new)

    async def _new(self) -> None:
        await self._save_now()
        self._load(None)

    def action_open(self) -> None:
        converse(self, self._open)

    async def _open(self) -> None:
        await self._save_now()
        contents = await off_loop(self.app, self.workspace.publishing.contents)
        if not contents:
            self.app.tell("Nothing was written yet.")
            return
        from aicmo_tui.widgets.picker import Picker

        chosen = await self.app.push_screen_wait(Picker("Open", [(content.title, content) for content in contents]))
        if chosen is not None:
            self._load(chosen)

    def _load(self, content: Content | None) -> None:
        draft = content.draft if content else Draft("", "")
        self._content, self._reader = content, 0
        self.query_one("#name", Input).value = content.title if content else ""
        self.query_one("#subject", Input).value = draft.subject
        self.query_one("#preheader", Input).value = draft.preheader
        self.query_one("#body", TextArea).load_text(draft.body)
        self.set_place(content.title if content else "")
        self.query_one("#subject" if content else "#name").focus()

    def action_editor(self) -> None:
        """The body in the person's own editor; the app waits behind it."""
        from aicmo_tui.editor import edited

        body = self.query_one("#body", TextArea)
        with self.app.suspend():
            text = edited(body.text, self.workspace.paths.data_dir)
        body.load_text(text)


def field(label: str, input: Input) -> Horizontal:
    input.compact = True
    return Horizontal(Static(line((label, MUTED)), classes="label"), input, classes="field")
