"""How a check is told on a screen: what is right in one breath, then errors before warnings, each with its remedy."""

from __future__ import annotations

from aicmo.publishing.preflight import CheckReport, Look
from aicmo.publishing.preflight.report import problem
from aicmo_tui.findings import findings

BROKEN = problem("link_broken", "A link leads nowhere.", "Give it an address.")
SHOUTS = problem("subject_shouts", "The subject is in capitals.", "Write it small.")


def test_findings_tell_topics_then_errors_then_warnings() -> None:
    why = "a.test is not a real domain"
    looks = (Look("text part", "12 words"), Look("size"), Look("SPF", why, skipped=True), Look("MX", why, skipped=True))
    told = findings(CheckReport(1_200, 12, (SHOUTS, BROKEN), looks)).plain
    assert told.splitlines() == [
        "1,200 people, 12 of them suppressed",
        "✓ text part, size",
        "○ SPF, MX: a.test is not a real domain",
        "✕ A link leads nowhere.",
        "  Give it an address.",
        "◐ The subject is in capitals.",
        "  Write it small.",
    ]


def test_what_a_stranger_wrote_is_no_markup() -> None:
    hostile = problem("role_addresses", "[red]x[/red] \x1b[31m.", "")
    assert findings(CheckReport(1, 0, (hostile,))).plain.endswith("◐ [red]x[/red] [31m.")
