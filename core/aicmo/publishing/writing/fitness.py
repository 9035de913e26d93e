"""Whether a text could go out on a channel as it stands: what is asked before it is approved.

Campaigns are asked more (``preflight``), because there the readers are known.
"""

from __future__ import annotations

from collections.abc import Mapping

from aicmo.errors import InvalidInput
from aicmo.publishing.channels import CHANNELS, counts_of, post_of
from aicmo.publishing.email.templates import MessageTemplate
from aicmo.publishing.writing.content_types import ContentType
from aicmo.store.channel_texts import UNTITLED
from aicmo.store.contents import Draft
from aicmo.text import shown


def refuse_unfit(kind: ContentType, channel: str, draft: Draft, limits: Mapping[str, int]) -> None:
    """Raises ``InvalidInput`` or ``TemplateInvalid`` for the first thing that is wrong. No ``channel`` is the original
    of a type that every channel words for itself."""
    for need in kind.needs:
        if not getattr(draft, need).strip() and not (need == "subject" and channel in UNTITLED):
            raise InvalidInput(f"The {need} is empty.", hint="Write it first.")
    if channel == "email":
        MessageTemplate(draft)
        return
    if channel and (marks := post_of(channel, draft).marks):
        raise InvalidInput(
            f"{shown(marks[0])} would stand there as it is: a post is not filled in for each reader.",
            hint=f"Word it otherwise for {CHANNELS[channel].title}.",
        )
    for count in counts_of(channel, draft, limits) if channel else ():
        if count.over and not count.advice:
            raise InvalidInput(
                f"{CHANNELS[channel].title} takes {count.most:,} {count.what}; these are {count.used:,}.",
                hint=f"Shorten it by {count.over:,}.",
            )
