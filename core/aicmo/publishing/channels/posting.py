"""A draft as one channel shows it: Markdown becomes the plain text that a network takes, or the page of a website.

One source is written for all; where a network knows no bold and no links, their words stay and the address stands
beside them. A post has no reader whose fields could be filled in, so what is left of a template is pointed out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aicmo.publishing.channels.counting import linkedin_escaped
from aicmo.publishing.email.plaintext import html_to_text
from aicmo.store.contents import Draft

_MARK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Post:
    """What one channel makes of a draft."""

    title: str
    """Empty on a channel that shows none."""
    text: str
    """As people read it."""
    wire: str
    """As it is handed to the channel: with LinkedIn's escapes, or the HTML of a page."""
    html: str
    """What both were made from: its links with their words, its pictures."""
    marks: tuple[str, ...]
    """What only an e-mail could fill in, such as ``{{ first_name }}``."""


def post_of(channel: str, draft: Draft) -> Post:
    """The draft on any channel but ``email``, whose messages ``publishing.email`` builds."""
    marks = tuple(dict.fromkeys(_MARK.findall(f"{draft.subject}\n{draft.body}")))
    if channel == "website":
        html = _html(draft, breaks=False)
        return Post(draft.subject, html_to_text(html).strip(), html, html, marks)
    # Who writes a post breaks its lines where they should break.
    html = _html(draft, breaks=True)
    text = html_to_text(html).strip()
    return Post("", text, linkedin_escaped(text) if channel == "linkedin" else text, html, marks)


def _html(draft: Draft, *, breaks: bool) -> str:
    if draft.format == "html":
        return draft.body
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": True, "breaks": breaks}).enable("table").enable("strikethrough")
    return str(reader.render(draft.body))
