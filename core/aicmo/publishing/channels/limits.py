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
    """About so many characters stand before "see more", and no more than ``FOLDS_AFTER`` lines; 0: it shows all."""
    hashtags: int = 0
    """More than so many are too many for the network itself, though it may still take them; 0: it names no number."""
    card: str = ""
    """Who makes the card under a post with a link: the ``network``, from the page; the ``poster``, who hands title and
    description over with the post; empty: there is none."""
    links: bool = True
    """Whether readers can click an address in the text."""


FOLDS_AFTER = 3
"""Lines. Instagram: "only the first three lines of a caption" (help.instagram.com/1643471055915254). LinkedIn: what
people measured in September 2024 (J. Espirian, "See more" breakpoints); it publishes nothing."""

CHANNELS = {
    "email": Channel(
        "E-mail",
        (
            # What mail programs show, as people measured it: nobody publishes it, and it goes by the width of letters.
            # Subject: some 60 to 70 characters on a desk, 33 (Gmail's app) to 48 (Apple's Mail) on a phone; of what
            # follows it, 40 to 100. See emailtooltester.com/en/blog/email-subject-lines-character-limit.
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
        # What fits into three lines on a desk, as people measured it; on a phone it is some 140.
        folds_at=210,
        # Posts API: a link in the text becomes no card; content.article brings it.
        card="poster",
    ),
    # Help Center, How to use hashtags: "no more than 2 hashtags per post". Cards: developer.x.com/cards/overview.
    "x": Channel("X", (Limit("characters", 280, x_weight),), hashtags=2, card="network"),
    "instagram": Channel(
        "Instagram",
        # Graph API, IG User media: caption 2,200 characters, 30 hashtags, 20 mentions.
        (Limit("characters", 2_200, len), Limit("hashtags", 30, hashtags), Limit("mentions", 20, mentions)),
        # Help Center: captions of 125 characters or fewer show whole.
        folds_at=125,
        # Announced on 18 December 2025, to come to all accounts little by little; the API's own page still says 30.
        hashtags=5,
        links=False,
    ),
    "website": Channel("Website", titled=True),
    "bluesky": Channel(
        "Bluesky",
        # app.bsky.feed.post: maxGraphemes 300, maxLength 3,000 (bytes of UTF-8).
        (Limit("characters", 300, graphemes), Limit("bytes", 3_000, lambda text: len(text.encode()))),
        # app.bsky.embed.external: whoever posts brings it, no server makes one.
        card="poster",
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


def folded(channel: str, text: str) -> tuple[str, str]:
    """What readers see of a post at first, and what stands behind "see more"; the latter is empty where all shows."""
    most = CHANNELS[channel].folds_at
    if not most:
        return text, ""
    lines = text.splitlines(keepends=True)
    at = min(most, len("".join(lines[:FOLDS_AFTER]).rstrip("\n")))
    return text[:at], text[at:]
