"""What a message is built from, but for its recipient: one and the same for the sender, the preview and the test.

So nothing can be shown that would not be sent. A campaign's own choices are applied here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aicmo.publishing.email.message import MessageBuilder, SenderIdentity
from aicmo.publishing.email.rules import MessageRules
from aicmo.store.campaigns import Campaign
from aicmo.store.contents import Draft
from aicmo.store.messages import Message


@dataclass(frozen=True, slots=True)
class Wording:
    """Of one message: a draft, or a step or variant of a campaign."""

    draft: Draft
    sender: SenderIdentity
    campaign_name: str
    rules: MessageRules
    campaign_id: int = 0
    step: int = 1
    variant: str = ""

    def builder(self) -> MessageBuilder:
        """Raises what ``MessageBuilder`` raises."""
        return MessageBuilder(
            self.draft,
            self.sender,
            self.campaign_name,
            rules=self.rules,
            campaign_id=self.campaign_id,
            step=self.step,
            variant=self.variant,
        )

    def marked(self) -> Wording:
        """With a subject that says that it is a test."""
        return replace(self, draft=replace(self.draft, subject=f"[Test] {self.draft.subject}"))


def wording(campaign: Campaign, message: Message, draft: Draft, sender: SenderIdentity, rules: MessageRules) -> Wording:
    """One of a campaign's messages; ``sender`` is of one that has not begun, after that it is fixed."""
    known = SenderIdentity(**campaign.sender) if campaign.sender else sender
    mine = rules.for_campaign(campaign.options)
    return Wording(draft, known, campaign.name, mine, campaign.id, message.step, message.variant)
