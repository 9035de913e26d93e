"""How things stand, for the header line of every screen. Blocking: it reads both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo.gateways.status import SERVING
from aicmo.store.campaigns import CampaignStatus
from aicmo_tui.present import BAD, WARN, Content, day_and_time, line, state
from aicmo_tui.widgets.header import Standing

if TYPE_CHECKING:
    from aicmo.gateways.status import HealthReport
    from aicmo.workspace import Workspace


def read_standing(workspace: Workspace) -> Standing:
    return Standing(
        account=workspace.config.sender.email,
        health=health_word(workspace.health()),
        unknown=workspace.publishing.unknown_total(),
        time=day_and_time(workspace.clock.now()),
    )


def health_word(report: HealthReport) -> Content:
    """All services in one word: whether, and how many of them, may serve now."""
    providers = {provider.name: provider.state for chain in report.capabilities for provider in chain.providers}
    serving = [name for name, word in providers.items() if word in SERVING]
    if not providers:
        return line(("○ no server", WARN))
    if not serving:
        return line(("✕ nobody serves", BAD))
    if len(serving) < len(providers):
        return line((f"◐ {len(serving)} of {len(providers)} services", WARN))
    return state({"ok": "ok", "unknown": "no data"}.get(report.status, "slow"))


def still_to_go(workspace: Workspace) -> int:
    """Deliveries of running campaigns that still await a send."""
    counted = workspace.publishing.counted()
    return sum(counts.open for campaign, counts in counted if campaign.status == CampaignStatus.RUNNING)
