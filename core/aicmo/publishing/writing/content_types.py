"""What can be written: each type of content, what it is for, what it cannot do without, and where it fits.

Content has one original. Where a type has a channel of its own, the original is what that channel shows; everywhere
else it is what the channel's version begins from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContentType:
    """One row of ``CONTENT_TYPES``."""

    title: str
    about: str
    """What it is for, in a few words."""
    original: str
    """The channel that shows the original as it is; empty where every channel has a version of its own."""
    channels: tuple[str, ...]
    """Where it fits, in the order in which they are offered; ``original`` is not among them."""
    needs: tuple[str, ...] = ("subject", "body")
    """What has to be written before it can be approved; of a page, the subject is its title."""


_NETWORKS = ("linkedin", "x", "instagram", "bluesky")

CONTENT_TYPES = {
    "email": ContentType("E-mail", "a message to many, one by one", "email", (*_NETWORKS[:3], "website", "bluesky")),
    "social": ContentType("Social post", "a post, worded for each network", "", _NETWORKS, ("body",)),
    "blog": ContentType("Blog post", "an article on the website, and word of it", "website", _NETWORKS),
    "landing_page": ContentType("Landing page", "one page with one thing to do", "website", _NETWORKS),
    "whitepaper": ContentType("Whitepaper", "a long text that people ask for", "website", ("linkedin", "x")),
    "case_study": ContentType("Case study", "what somebody did with it", "website", _NETWORKS),
    "webinar": ContentType("Webinar", "an invitation to it", "email", (*_NETWORKS, "website")),
    "product_update": ContentType("Product update", "what changed", "email", (*_NETWORKS, "website")),
}
