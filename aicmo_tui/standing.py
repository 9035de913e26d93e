"""How things stand, for the header line of every screen. Blocking: it reads both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo.store import deliveries
from aicmo.store.campaigns import CampaignStatus
from aicmo_tui.present import BAD, WARN, Content, day_and_time, line, state
from aicmo_tui.widgets.header import Standing

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

SENDING = "email_sending"


def read_standing(workspace: Workspace) -> Standing:
    return Standing(
        account=workspace.config.sender.email,
        health=health_word(workspace),
        unknown=workspace.db.read(deliveries.unknown_total),
        time=day_and_time(workspace.clock.now()),
    )


def health_word(workspace: Workspace) -> Content:
    """All configured senders in one word: whether, and how many of them, may serve now."""
    chain = workspace.chain(SENDING)
    known = chain.registry.states()
    names = [provider.name for provider in chain.providers]
    if not names:
        return line(("○ no server", WARN))
    serving = [name for name in names if name not in known or known[name].state == "ok"]
    if len(serving) == len(names):
        return state("ok") if known else state("no data")
    if not serving:
        return line(("✕ nobody serves", BAD))
    return line((f"◐ {len(serving)} of {len(names)} servers", WARN))


def still_to_go(workspace: Workspace) -> int:
    """Deliveries of running campaigns that still await a send."""
    publishing = workspace.publishing
    running = [campaign for campaign in publishing.campaigns() if campaign.status == CampaignStatus.RUNNING]
    return sum(publishing.counts(campaign.id).open for campaign in running)
