"""Health: who serves, how well, and what to do about the one that does not.

It shows what is stored, read again twice a second, so it is true whichever process made it so. A person's word
(force, disable, reset) and a probe go through the registry that every call goes through, and are confirmed first
where they change something or cost something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from aicmo.errors import ProviderUnavailable
from aicmo.gateways import PROVIDERS, Outcome
from aicmo.gateways.recommendations import Recommendation
from aicmo.gateways.status import NO_DATA
from aicmo.provider_state import DISABLED, FORCED, OK, StateChange
from aicmo.store.usage import sent_within
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, TITLE, clock_time, empty, fit, line, lines, state, value
from aicmo_tui.screens.frame import Frame
from aicmo_tui.screens.health_view import COLUMNS, Row, Used, about, advised, last_check, log
from aicmo_tui.widgets.dialogs import Ask, Choose, confirm
from aicmo_tui.widgets.facts import LABEL_CELLS, Fact, Facts
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import converse, off_loop

if TYPE_CHECKING:
    from pathlib import Path

    from aicmo.workspace import Workspace

POLL_S = 0.5
CHANGES_SHOWN = 30
SPANS = {"day": "today", "hour": "this hour"}
"""The throttles that are worth watching: shorter ones are full and empty again within a breath."""
FOR_SO_LONG = {"30": "30 minutes", "120": "2 hours", "1440": "1 day"}
"""Minutes a person's word may stand -> how that is said; the first is the default."""


@dataclass(frozen=True, slots=True)
class Seen:
    rows: list[Row]
    changes: Sequence[StateChange]
    general: Sequence[Recommendation]
    """What concerns no single provider."""
    providers: Mapping[str, Any]
    """By name; one whose configuration is wrong is not among them."""
    now: datetime
    ours: str
    """How a person knows this process."""


class HealthScreen(Frame):
    MODE = "health"
    CSS_PATH = "health.tcss"
    HELP = """## Health
Each provider in the order it is asked; `◂` serves now, and for how long. One that fails rests (`cooling`) and is tried
again by itself; `blocked` waits for you or for a reset; `flapping` came and went too often and is held back. The score
is the share that went well lately, with how many stand behind it. The bars are the latencies of its last calls (of its
checks, where nobody called it); a dot is one that failed. `enter` shows everything known of one.

`p` asks the provider now how it is. `f` uses it whatever its state, `d` does not use it, both for a time you choose;
`r` ends that, and puts it back in service."""
    BINDINGS = [
        key("health.probe", "p", "probe", "probe", "Ask this provider now how it is"),
        key("health.edit", "e", "edit", "edit", "Open the configuration at this provider, in your own editor"),
        key("health.force", "f", "force", "force", "Use it whatever its state, for a time"),
        key("health.disable", "d", "disable", "disable", "Do not use it, for a time"),
        key("health.reset", "r", "reset", "reset", "Back in service, with a clean slate"),
        key("health.all", "enter", "all", "all of it", "Everything known of this provider", show=False),
        key("health.log", "l", "log", "log", "Everything that happened", show=False),
        key("health.export", "x", "export", "export", "Write what is shown to a CSV or JSON file", show=False),
    ]

    at: reactive[Row | None] = reactive(None, bindings=True)
    """The provider under the cursor."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Seen | None = None

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="list"):
            yield LazyTable(COLUMNS, key_of=lambda row: row.key, opens=False, id="providers")
        with Horizontal(id="below"):
            with VerticalScroll(id="provider", can_focus=False):
                yield Facts(id="about")
            with VerticalScroll(id="changes", can_focus=False):
                yield Static(id="log")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#changes").border_title = "What happened · l shows all"
        self.query_one("#providers", LazyTable).set_empty(
            empty("No service is set.", "Name a mail server and test it: aicmo init", ("F2", "home"))
        )
        self.poll(POLL_S, "health", lambda: read_health(self.workspace), self._show)

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show(self, seen: Seen) -> None:
        self._seen = seen
        self.query_one(".list").border_subtitle = last_check(seen.rows)
        self.query_one("#providers", LazyTable).reload(Rows(seen.rows))
        self.query_one("#log", Static).update(log(seen.changes, seen.general, seen.now, seen.ours))

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        self.at = event.row

    def _about(self, row: Row) -> list[Fact]:
        return about(row, editable=self.workspace.config.file is not None)

    def watch_at(self, row: Row | None) -> None:
        panel = self.query_one("#provider")
        panel.border_title = line(value(row.name), " · ", value(row.provider.kind)) if row else ""
        self.query_one(Facts).show(self._about(row) if row else [])

    def provider(self, row: Row) -> Any:
        """The one that the chains call; ``None`` when it cannot be built."""
        return self._seen.providers.get(row.name) if self._seen else None

    def _served_by(self, row: Row) -> list[Row]:
        """The chains that the provider stands in: what is said of it holds in all of them."""
        return [each for each in self._seen.rows if each.name == row.name] if self._seen else [row]

    # --- the verbs ----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer shows what can be done with the provider under the cursor."""
        if action not in MAY:
            return True
        return self.is_mounted and self.at is not None and MAY[action](self, self.at)

    def action_probe(self) -> None:
        converse(self, lambda: self._probe(self.at))

    def action_force(self) -> None:
        converse(self, lambda: self._override(self.at, FORCED))

    def action_disable(self) -> None:
        converse(self, lambda: self._override(self.at, DISABLED))

    def action_reset(self) -> None:
        converse(self, lambda: self._reset(self.at))

    def action_edit(self) -> None:
        converse(self, lambda: self._edit(self.at))

    def action_export(self) -> None:
        converse(self, self._export)

    def action_all(self) -> None:
        facts = [line(fit(label, LABEL_CELLS) if label else "", said) for label, said in self._about(self.at)]
        self.app.push_screen(Choose(line(value(self.at.name, TITLE)), {"": "Close"}, details=lines(facts)))

    def action_log(self) -> None:
        from aicmo_tui.screens.health_log import HealthLog

        self.app.push_screen(HealthLog())

    async def _probe(self, row: Row) -> None:
        provider = self.provider(row)
        cost = provider.check_cost
        if cost:
            question = line("Ask ", value(row.name, TITLE), f" now how it is? That costs {cost}.")
            if not await self.app.push_screen_wait(confirm(question, f"Spend {cost}")):
                return
        self.app.tell(f"Asking {row.name} …")
        checked = await self.workspace.self_check.check(provider, early=True, paid=bool(cost))
        attempt = checked.attempt
        said = " ".join(part for part in (attempt.code, attempt.detail) if part)
        if attempt.outcome is Outcome.OK:
            self.app.tell(f"{row.name} answers, in {attempt.latency_s * 1000:,.0f} ms.")
        elif attempt.outcome is Outcome.SKIPPED:
            again = f" Not before {clock_time(attempt.retry_at)}." if attempt.retry_at else ""
            self.app.tell(f"{row.name} was not asked: {said}.{again}")
        else:
            hint = advised(row.advice, row.now) if row.advice else "It is tried again by itself."
            self.app.report(ProviderUnavailable(f"{row.name} does not do well: {attempt.outcome} {said}", hint=hint))

    async def _override(self, row: Row, word: str) -> None:
        verb, what = VERBS[word]
        served = self._served_by(row)
        question = line(f"{verb} ", value(row.name, TITLE), f" for {all_of(served)}?")
        details = [line(what), *(map(without, served) if word == DISABLED else ())]
        details.append(line(("It ends by itself; r ends it sooner.", MUTED)))
        answers = {"": "Cancel", **FOR_SO_LONG}
        minutes = await self.app.push_screen_wait(Choose(question, answers, details=lines(details)))
        if not minutes:
            return
        until = self.workspace.clock.now() + timedelta(minutes=int(minutes))
        registry = self.workspace.registry
        await (registry.force if word == FORCED else registry.disable)(row.name, until)
        self.app.tell(f"{row.name} is {word} until {clock_time(until)}.")

    async def _reset(self, row: Row) -> None:
        question = line("Put ", value(row.name, TITLE), f" back in service for {all_of(self._served_by(row))}?")
        details = lines(
            [
                line("It is ", state(row.provider.state), " now."),
                line("Calls reach it again at once; when it still fails, it is closed again."),
            ]
        )
        if await self.app.push_screen_wait(confirm(question, "Reset", details=details)):
            await self.workspace.registry.reset(row.name)
            self.app.tell(f"{row.name} is back in service.")

    async def _edit(self, row: Row) -> None:
        from aicmo_tui.editor import edit_file, with_terminal

        path = self.workspace.config.file
        before = path.read_bytes()
        at = line_of(before.decode("utf-8", errors="replace"), row.name)
        await with_terminal(self.app, lambda: edit_file(path, at))
        if path.read_bytes() == before:
            return
        await off_loop(self.app, lambda: check_config(path))
        self.app.tell("Saved, and it reads well. This app goes by it from its next start, aicmo run at once.")

    async def _export(self) -> None:
        from aicmo_tui.health_export import export

        question = line("Write what is shown to which file? It becomes CSV or JSON, as its name ends.")
        typed = await self.app.push_screen_wait(Ask(question, "health.csv"))
        if typed:
            seen = self._seen
            path = await off_loop(self.app, lambda: export(typed, seen.rows, seen.changes, seen.now))
            self.app.tell(f"Written: {path}")


VERBS = {
    FORCED: ("Force", "It is used whatever its state. Its failures are counted, and close nothing."),
    DISABLED: ("Disable", "It is not used."),
}
"""A person's word -> the verb, and what follows from it."""


MAY: dict[str, Callable[[HealthScreen, Row], bool]] = {
    "probe": lambda screen, row: hasattr(screen.provider(row), "check"),
    "edit": lambda screen, row: screen.workspace.config.file is not None,
    "force": lambda screen, row: row.provider.kind in PROVIDERS and row.provider.state != FORCED,
    "disable": lambda screen, row: row.provider.kind in PROVIDERS and row.provider.state != DISABLED,
    "reset": lambda screen, row: row.provider.kind in PROVIDERS and row.provider.state not in (OK, NO_DATA),
    "all": lambda screen, row: True,
    "export": lambda screen, row: True,
}
"""When each verb makes sense."""


def all_of(rows: Sequence[Row]) -> str:
    """``lead enrichment and email verification``."""
    *others, last = [row.capability for row in rows]
    return f"{', '.join(others)} and {last}" if others else last


def without(row: Row) -> Content:
    if row.spare:
        return line("Meanwhile ", value(row.spare, TITLE), f" serves {row.capability}.")
    return line((f"Nobody else serves {row.capability}: what needs it waits.", TITLE))


# --- reading ----------------------------------------------------------------------------------------------------------


def read_health(workspace: Workspace) -> Seen:
    """Blocking: reads ``health.db`` and the ledger, and loads the providers' modules the first time."""
    now, registry = workspace.clock.now(), workspace.registry
    providers = {provider.name: provider for provider in workspace.self_check.providers}
    report, states = workspace.health(), registry.states()
    urgent = {(each.provider, each.capability): each for each in reversed(report.recommendations)}
    used = {name: list(sent(workspace, provider, now)) for name, provider in providers.items()}
    rows = [
        Row(
            chain,
            provider,
            error_class=states[provider.name].last_error_class if provider.name in states else "",
            advice=urgent.get((provider.name, "")) or urgent.get((provider.name, chain.capability)),
            used=used.get(provider.name, ()),
            now=now,
        )
        for chain in report.capabilities
        for provider in chain.providers
    ]
    # What is in doubt is a campaign's matter, and stands in the header of every screen.
    general = [each for each in report.recommendations if not each.provider and each.cause != "unknown"]
    return Seen(rows, registry.events(CHANGES_SHOWN), general, providers, now, registry.by)


def sent(workspace: Workspace, provider: Any, now: datetime) -> Iterable[Used]:
    """What was sent against its throttles, for a provider whose use the ledger counts."""
    if "email_sending" not in provider.capabilities:
        return
    for span, within in SPANS.items():
        most = provider.limits.get(span)
        if most:
            count = workspace.db.read(lambda db, span=span, most=most: sent_within(db, provider.name, span, most, now))
            yield Used(count, most, "", within)


def check_config(path: Path) -> None:
    """Read the configuration as the next start will. Raises ``ConfigInvalid`` for what is wrong with it."""
    from aicmo.config import load_config
    from aicmo.workspace import provider_settings

    config = load_config(path, required=True)
    for name in config.providers:
        provider_settings(config, name)


def line_of(config: str, name: str) -> int:
    """The line, from 1, where the block of the provider ``name`` begins; 1 when it has none of its own."""
    wanted = f"[providers.{name}]"
    places = enumerate(config.splitlines(), 1)
    return next((place for place, text in places if text.replace('"', "").replace(" ", "").startswith(wanted)), 1)
