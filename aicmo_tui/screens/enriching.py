"""Asking providers about people: what it may cost first, then a bar that may be left, then what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from aicmo.crm.enrichment import EMAIL_VERIFICATION, LEAD_ENRICHMENT, EnrichmentResult, Quote, Wish
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, TITLE, WARN, bar, line, lines, number, people, value
from aicmo_tui.widgets.dialogs import Choose, Passing
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aicmo_tui.app import AicmoApp
    from aicmo_tui.screens.changing import Whom


async def ask_providers(app: AicmoApp, whom: Whom) -> bool:
    """The conversation, up to the beginning of the run, which then belongs to the app. Nobody is changed by then.

    While a run goes on it shows that one. Raises what a quote raises, such as ``ConfigInvalid``.
    """
    if app.enriching.under_way:
        await app.push_screen_wait(Asking())
        return False
    who = whom.ids
    enrich, verify = await _quote(app, who, LEAD_ENRICHMENT), await _quote(app, who, EMAIL_VERIFICATION)
    question = line(("Ask providers about ", TITLE), value(whom.said, TITLE), "?")
    answers = {"": "Cancel"}
    answers |= {LEAD_ENRICHMENT: "Who are they"} if enrich.plan.todo else {}
    answers |= {EMAIL_VERIFICATION: "Are their addresses good"} if verify.plan.todo else {}
    details = lines([*_offer("Who they are", enrich), line(""), *_offer("Whether their addresses are good", verify)])
    chosen = await app.push_screen_wait(Choose(question, answers, details=details))
    if chosen:
        agreed = (verify if chosen == EMAIL_VERIFICATION else enrich).credits
        wish = replace(_wish(app, chosen), max_credits=agreed)
        app.enriching.start(who, wish, lambda result: _tell(app, result))
        await app.push_screen_wait(Asking())
    return False


def told(result: EnrichmentResult) -> Content:
    """What came of a run."""
    named = {
        "found": "found",
        "no_match": "nobody knows",
        "failed": "failed",
        "unknown": "unknown",
        "remaining": "not asked about",
    }
    counted = [f"{number(result.counts[name])} {said}" for name, said in named.items() if result.counts[name]]
    rows = [line(" · ".join(counted) or "nobody to ask about")]
    for each in result.providers:
        rows.append(line(value(each.provider), f": {number(each.found)} found, {float(each.credits):g} credits"))
        if each.why:
            rows.append(line(("▲ ", WARN), value(each.why, WARN, limit=300)))
    if result.conflicts:
        rows.append(line((f"{number(result.conflicts)} values differ from what stands there; it was kept", WARN)))
    rows += [line(("▲ suppressed, says the provider: ", WARN), value(email)) for email in result.suppressed]
    if result.status == "skipped":
        rows.append(line(("▲ ", WARN), value(result.why, WARN)))
    return lines(rows)


class Asking(Passing):
    """How far the run is. Closing it leaves the run alone; it closes itself at the end."""

    DEFAULT_CSS = """
    Asking { align: center middle; background: $background 60%; }
    Asking > Static {
        width: 76; max-width: 94%; height: auto; padding: 1 2; background: $surface; border: round $primary;
    }
    """
    BINDINGS = [
        key("asking.close", "escape", "close", "go on beside", "Close this; the run goes on"),
        key("asking.stop", "s", "stop", "stop", "Stop between batches; what is done is kept"),
    ]
    REDRAWN_EVERY_S = 0.25
    BAR_CELLS = 40

    def compose(self) -> ComposeResult:
        yield Static()

    def on_mount(self) -> None:
        self._stopping = False
        self._draw()
        self.set_interval(self.REDRAWN_EVERY_S, self._draw)

    def _draw(self) -> None:
        enriching = self.app.enriching
        if not enriching.under_way:
            self.dismiss()
            return
        rows = [line(("Asking providers", TITLE)), line("")]
        if (progress := enriching.progress) is not None:
            rows.append(line(bar(progress.done, progress.total, self.BAR_CELLS), f"  {number(progress.done)}"))
            rows += [line(value(it.provider), f": asked about {number(it.asked)}") for it in progress.providers]
        hint = "stopping ..." if self._stopping else "escape lets it go on beside, s stops it"
        self.query_one(Static).update(lines([*rows, line((hint, MUTED))]))

    def action_close(self) -> None:
        self.dismiss()

    def action_stop(self) -> None:
        self._stopping = True
        self.app.run_worker(self.app.enriching.stop, group="stop-enriching", exit_on_error=False)


async def _quote(app: AicmoApp, who: Sequence[int], capability: str) -> Quote:
    await off_loop(app, lambda: app.workspace.chain(capability))
    return await app.workspace.enrichment.quote(who, _wish(app, capability))


def _wish(app: AicmoApp, capability: str) -> Wish:
    parallel = capability == LEAD_ENRICHMENT and app.workspace.config.enrichment.parallel
    return Wish(capability, parallel=parallel)


def _offer(what: str, quote: Quote) -> list[Content]:
    rows = [line((what, TITLE), f": {people(len(quote.plan.todo))}, {number(quote.credits)} credits at most")]
    for each in quote.providers:
        left = "" if each.told_left is None else f", {number(each.told_left)} credits left when last seen"
        rows.append(line("  ", value(each.provider), f": {people(quote.plan.at_most(each.provider))} at most{left}"))
    if not quote.providers:
        rows.append(line(("  no provider is configured", WARN)))
    return rows


def _tell(app: AicmoApp, result: EnrichmentResult) -> None:
    heading = {"done": "Asked", "stopped": "Stopped", "skipped": "Nobody was asked"}.get(result.status, "Partly asked")
    if isinstance(app.screen, Asking):
        app.screen.dismiss()
    app.push_screen(Choose(line((heading, TITLE)), {"": "Close"}, details=told(result)))
