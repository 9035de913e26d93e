"""The channels there are, and how much each of them takes. The limits are data: a network changes them, we a line.

A limit that is advice is about what readers get to see; one that is not is the network's, which refuses or cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aicmo.publishing.channels.counting import graphemes, hashtags, linkedin_escaped, mentions, x_weight
from aicmo.publishing.channels.posting import post_of
from aicmo.store.contents import Draft


@dataclass(frozen=True, slots=True)
class Limit:
    what: str
    """What is counted: the first of a channel is the one that the configuration may set."""
    most: int
    count: Callable[[str], int]
    of: str = "text"
    """``text`` as it is posted, ``subject`` or ``preheader``."""
    advice: bool = False
    """What is beyond is cut by some readers' programs, and nobody refuses it."""


@dataclass(frozen=True, slots=True)
class Channel:
    title: str
    limits: tuple[Limit, ...] = ()
    titled: bool = False
    """Whether what it shows has a title: the subject."""
    folds_at: int = 0
    """About so many characters stand before "see more"; 0: it shows all."""


CHANNELS = {
    "email": Channel(
        "E-mail",
        (
            # What mail programs show of a subject: about 60 characters on a desk, 35 to 40 on a phone.
            Limit("subject", 60, graphemes, "subject", advice=True),
            Limit("subject on a phone", 38, graphemes, "subject", advice=True),
            Limit("preheader", 90, graphemes, "preheader", advice=True),
        ),
        titled=True,
    ),
    "linkedin": Channel(
        "LinkedIn",
        # Posts API: 3,000. Whether the backslashes count is not documented, so they do here.
        (Limit("characters", 3_000, lambda text: len(linkedin_escaped(text))),),
        folds_at=210,
    ),
    "x": Channel("X", (Limit("characters", 280, x_weight),)),
    "instagram": Channel(
        "Instagram",
        # Graph API, IG User media: caption 2,200 characters, 30 hashtags, 20 mentions.
        (Limit("characters", 2_200, len), Limit("hashtags", 30, hashtags), Limit("mentions", 20, mentions)),
        folds_at=125,
    ),
    "website": Channel("Website", titled=True),
    "bluesky": Channel(
        "Bluesky",
        # app.bsky.feed.post: maxGraphemes 300, maxLength 3,000 (bytes of UTF-8).
        (Limit("characters", 300, graphemes), Limit("bytes", 3_000, lambda text: len(text.encode()))),
    ),
}
"""Name -> channel, as in ``aicmo.config.ChannelName``."""


@dataclass(frozen=True, slots=True)
class Count:
    what: str
    used: int
    most: int
    advice: bool

    @property
    def over(self) -> int:
        """By how much it is too long; 0 when it is not."""
        return max(0, self.used - self.most)


def counts_of(channel: str, draft: Draft, most: Mapping[str, int] | None = None) -> tuple[Count, ...]:
    """How long the draft is on that channel; ``most`` sets another limit (channel -> the first of its limits)."""
    texts = {"subject": draft.subject, "preheader": draft.preheader}
    limits = CHANNELS[channel].limits
    if any(limit.of == "text" for limit in limits):
        texts["text"] = post_of(channel, draft).text
    counts = []
    for place, limit in enumerate(limits):
        allowed = (most or {}).get(channel, limit.most) if place == 0 else limit.most
        counts.append(Count(limit.what, limit.count(texts[limit.of]), allowed, limit.advice))
    return tuple(counts)
