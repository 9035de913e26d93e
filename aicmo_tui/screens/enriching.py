"""Asking providers about people: what it may cost first, then a bar that may be left, then what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from aicmo.crm.enrichment import EMAIL_VERIFICATION, LEAD_ENRICHMENT, EnrichmentResult, Quote, Wish
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, TITLE, WARN, bar, line, lines, number, people, value
from aicmo_tui.widgets.dialogs import Choose, Passing
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aicmo_tui.app import AicmoApp
    from aicmo_tui.screens.changing import Whom


IN_DOUBT = "Whoever is in doubt may have been paid for already, and is asked about again only on your word."


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
    answers |= {LEAD_ENRICHMENT: "Who are they"} if _is_of_use(enrich) else {}
    answers |= {EMAIL_VERIFICATION: "Are their addresses good"} if _is_of_use(verify) else {}
    details = lines([*_offer("Who they are", enrich), line(""), *_offer("Whether their addresses are good", verify)])
    chosen = await app.push_screen_wait(Choose(question, answers, details=details))
    if chosen:
        quote = verify if chosen == EMAIL_VERIFICATION else enrich
        wish = await _on_their_word(app, who, _wish(app, chosen), quote)
        if wish is not None:
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
    counted += [f"{number(count)} still in doubt" for count in [result.skipped.get("unknown", 0)] if count]
    rows = [line(" · ".join(counted) or "nobody to ask about")]
    if result.lost:
        rows.append(line((f"▲ {number(result.lost)} answers were lost when an earlier run was cut off", WARN)))
    if result.counts["unknown"] or result.skipped.get("unknown"):
        rows.append(line(("? ", WARN), (IN_DOUBT, MUTED)))
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
    HELP = "How far the run is. It goes on without this, and what came back is kept as it comes."
    BINDINGS = [
        key("asking.close", "escape", "close", "go on beside", "Close this; the run goes on"),
        key("asking.stop", "s", "stop", "stop", "Stop between batches; what is done is kept"),
    ]
    REDRAWN_EVERY_S = 0.25
    BAR_CELLS = 40

    def body(self) -> Iterable[Widget]:
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


def _is_of_use(quote: Quote) -> bool:
    """Whether a run would bring anything: an answer, also one that was paid for, or the end of a doubt."""
    return bool(quote.plan.todo or quote.plan.skipped["waiting"] or quote.plan.skipped["unknown"])


async def _on_their_word(app: AicmoApp, who: Sequence[int], wish: Wish, quote: Quote) -> Wish | None:
    """``wish``, within what it may cost as the person was told. Those in doubt are asked about only if they say so;
    ``None`` when they thought better of it all."""
    in_doubt = quote.plan.skipped["unknown"]
    if in_doubt:
        again = replace(wish, retry_unknown=True)
        dearer = await app.workspace.enrichment.quote(who, again)
        question = line((people(in_doubt), TITLE), " may have been paid for already. Ask about them again?")
        details = lines([
            line("An earlier run was cut off, or its answer was lost, so nobody knows."),
            line(f"With them it costs {number(dearer.credits)} credits at most, without them {number(quote.credits)}."),
        ])  # fmt: skip
        answers = {"": "Cancel", **({"without": "Leave them out"} if quote.plan.todo else {}), "again": "Ask again"}
        match await app.push_screen_wait(Choose(question, answers, details=details)):
            case "again":
                wish, quote = again, dearer
            case "":
                return None
    return replace(wish, max_credits=quote.credits)


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
    if waiting := quote.plan.skipped["waiting"]:
        rows.append(line((f"  {people(waiting)} more: their answer was paid for, and is fetched", MUTED)))
    if in_doubt := quote.plan.skipped["unknown"]:
        rows.append(line((f"  ? {people(in_doubt)} more in doubt: they may have been paid for already", WARN)))
    if not quote.providers:
        rows.append(line(("  no provider is configured", WARN)))
    return rows


def _tell(app: AicmoApp, result: EnrichmentResult) -> None:
    heading = {"done": "Asked", "stopped": "Stopped", "skipped": "Nobody was asked"}.get(result.status, "Partly asked")
    if isinstance(app.screen, Asking):
        app.screen.dismiss()
    app.push_screen(Choose(line((heading, TITLE)), {"": "Close"}, details=told(result)))
