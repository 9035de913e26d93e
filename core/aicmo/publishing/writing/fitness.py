"""Whether a text could go out on a channel as it stands: what is asked before it is approved.

Its problems are those of ``preflight.KINDS``: an error keeps a post or a page from being approved, a warning is said.
Campaigns are asked more (``preflight``), because there the readers are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aicmo.errors import InvalidInput
from aicmo.publishing.channels import CHANNELS, Post, counts_of, post_of
from aicmo.publishing.channels.counting import LINKEDIN_RESERVED, addresses, hashtags
from aicmo.publishing.email.templates import MessageTemplate
from aicmo.publishing.preflight.links import link_problems, web_links
from aicmo.publishing.preflight.page import Link, Page, read_page
from aicmo.publishing.preflight.report import CheckReport, Look, Problem, problem
from aicmo.publishing.preflight.words import alt_problems, foreign_problems, without_marks
from aicmo.publishing.writing.content_types import ContentType
from aicmo.store.channel_texts import UNTITLED
from aicmo.store.contents import Draft
from aicmo.text import shown

_KEPT_IN_ADDRESSES = frozenset("_#@~")
"""Reserved by LinkedIn too, and so common in addresses that it has to take them; nobody reported that it does not."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the configuration says about any post or page."""

    limits: Mapping[str, int] = field(default_factory=dict)
    """Channel -> another limit than its own; see ``counts_of``."""
    made_up: bool = False
    """The sender's domain is one for examples, as those that are linked to may be."""
    tagged: bool = False
    """Links are to carry UTM parameters. Those of messages get theirs; nothing is added to those of a post."""


def check_fit(kind: ContentType, channel: str, draft: Draft, by: Yardstick) -> CheckReport:
    """What is wrong with a post, or with a page. No ``channel`` is the original of a type that every channel words for
    itself: that is read, and neither counted nor filled in."""
    if lacking := list(_lacking(kind, channel, draft)):
        return CheckReport(problems=tuple(lacking))
    post = post_of(channel, draft)
    page = linked(channel, post)
    problems = [
        *(_here(channel, draft, post, page, by.limits) if channel else ()),
        *link_problems(page, made_up=by.made_up, where="page" if channel == "website" else "post", tagged=by.tagged),
        *alt_problems(page, draft),
        *foreign_problems(without_marks(f"{draft.subject}\n{draft.body}")),
    ]
    return CheckReport(problems=tuple(dict.fromkeys(problems)), looks=tuple(_looks(channel, post, page)))


def _here(channel: str, draft: Draft, post: Post, page: Page, limits: Mapping[str, int]) -> Iterator[Problem]:
    """What is wrong with it on this channel."""
    yield from _marks(channel, post)
    yield from _too_long(channel, draft, limits)
    yield from _links_here(channel, page)
    yield from _hashtags(channel, post)


def _looks(channel: str, post: Post, page: Page) -> Iterator[Look]:
    if channel:
        yield Look("fields")
        if CHANNELS[channel].limits:
            yield Look("length")
        if CHANNELS[channel].hashtags:
            yield Look("hashtags", str(hashtags(post.text)))
    yield Look("links", str(len(page.links)) if page.links else "none")
    yield Look("images", str(len(page.images)) if page.images else "none")


def refuse_unfit(kind: ContentType, channel: str, draft: Draft, by: Yardstick) -> None:
    """Raises ``InvalidInput`` or ``TemplateInvalid`` for the first thing that keeps it from being approved."""
    if channel == "email":
        found = tuple(_lacking(kind, channel, draft))
        if not found:
            MessageTemplate(draft)
    else:
        found = check_fit(kind, channel, draft, by).errors
    for first in found:
        raise InvalidInput(first.message, hint=first.hint)


def linked(channel: str, post: Post) -> Page:
    """What is read of it: with its links, also those that stand in the text of a post as mere addresses, which every
    network makes links of, or leaves as they are."""
    page = read_page(post.html)
    if channel == "website":
        return page
    loose = addresses(page.text)
    for link in page.links:
        for address in addresses(link.text):
            if address in loose:  # it is not where tags stand within it
                loose.remove(address)
    page.links += [Link(address) for address in loose]
    return page


def asked_links(channel: str, draft: Draft) -> tuple[str, ...]:
    """The addresses to ask whether they lead anywhere, each once, in the order in which a reader comes to them; see
    ``preflight.reaching``."""
    post = post_of(channel, draft)
    there = web_links(linked(channel, post))
    return tuple(there if channel == "website" else sorted(there, key=post.text.find))


def _lacking(kind: ContentType, channel: str, draft: Draft) -> Iterator[Problem]:
    for need in kind.needs:
        if not getattr(draft, need).strip() and not (need == "subject" and channel in UNTITLED):
            yield problem(f"no_{need}", f"The {need} is empty.", "Write it first.")


def _marks(channel: str, post: Post) -> Iterator[Problem]:
    for mark in post.marks:
        text = f"{shown(mark)} would stand there as it is: a post is not filled in for each reader."
        yield problem("mark_in_post", text, f"Word it otherwise for {CHANNELS[channel].title}.")


def _too_long(channel: str, draft: Draft, limits: Mapping[str, int]) -> Iterator[Problem]:
    for count in counts_of(channel, draft, limits):
        if count.over and not count.advice:
            text = f"{CHANNELS[channel].title} takes {count.most:,} {count.what}; these are {count.used:,}."
            yield problem("over_limit", text, f"Shorten it by {count.over:,}.")


def _links_here(channel: str, page: Page) -> Iterator[Problem]:
    """What this network makes of links."""
    title = CHANNELS[channel].title
    links = web_links(page)
    if links and not CHANNELS[channel].links:
        text = f"{title} makes no link of {shown(links[0], limit=60)}: readers would have to type it."
        yield problem("link_not_clickable", text, "Say where to find it, such as the link in your profile.")
    for link in links if channel == "linkedin" else ():
        if found := sorted((set(link) & LINKEDIN_RESERVED) - _KEPT_IN_ADDRESSES):
            text = (
                f"{shown(link, limit=60)} has {' '.join(found)} in it, which {title} may read as the end of the post."
            )
            codes = ", ".join(f"%{ord(each):02X} for {each}" for each in found)
            yield problem("link_reserved", text, f"Write {codes}.")


def _hashtags(channel: str, post: Post) -> Iterator[Problem]:
    most, used = CHANNELS[channel].hashtags, hashtags(post.text)
    if most and used > most:
        text = f"{used} hashtags; {CHANNELS[channel].title} itself says no more than {most}."
        yield problem("many_hashtags", text, "Keep those that somebody would look for.")
