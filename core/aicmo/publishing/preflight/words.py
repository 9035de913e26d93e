"""A message as one recipient would get it: what is wrong with its words, whoever else gets it.

Nothing is read from the store and nobody is asked, so this answers while one types.
"""

from __future__ import annotations

import re

from aicmo.publishing.email.message import BuiltMessage, SenderIdentity
from aicmo.publishing.preflight.colours import colour_problems
from aicmo.publishing.preflight.links import link_problems
from aicmo.publishing.preflight.page import Page, read_page
from aicmo.publishing.preflight.report import Look, Problem, problem
from aicmo.publishing.preflight.subject import subject_problems
from aicmo.store.contents import Draft
from aicmo.text import shown

TOKEN = "0.0.check"
"""Stands for the delivery in a message that is only built to be looked at: what has it is the way out."""
CLIPPED_AT = 102_000
"""Bytes of HTML after which Gmail hides the rest."""
TAKEN_UP_TO = 10_000_000
"""Bytes of a whole message. Servers announce their own limit (RFC 1870); ten million is a common one."""
MANY_IMAGES = 12
FEW_WORDS = 20
"""Beside pictures, so few words are next to none: filters cannot read pictures, and many readers do not load them."""
_ASIDE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|https?://[^\s\"'>)]*", re.DOTALL)
"""What is looked at elsewhere: our own marks, and links."""
_FOREIGN = re.compile(r"\{\{[^{}\n]{1,60}\}\}|\*\|[A-Z0-9_:]{2,40}\|\*|%%\w{2,40}%%|\[\[\w{2,40}\]\]|<<\w[\w ]{1,30}>>")
"""The marks of other programs' templates, which are nothing here."""
_WORDLESS = re.compile(r"!\[\s*\][(\[]")
"""A picture in Markdown, nothing said of it."""


def message_problems(
    message: BuiltMessage, draft: Draft, sender: SenderIdentity, *, made_up: bool
) -> tuple[list[Problem], list[Look]]:
    """Of a message that was built with ``TOKEN``. ``made_up``: the sender's domain is one for examples."""
    words = message.words
    page = read_page(words.html)
    said = _words_of(page, sender)
    colours, colour_look = colour_problems(words.html)
    problems = [
        *subject_problems(words.subject, draft.preheader),
        *link_problems(page, made_up=made_up, token=TOKEN),
        *_image_problems(page, said),
        *alt_problems(page, draft),
        *colours,
        *_size_problems(len(words.html.encode()), len(message.raw)),
    ]
    if not said and not page.images:
        text = "Nothing but the footer would be read."
        problems.append(
            problem("no_text_part", text, "Write something that stands outside of comments and conditions.")
        )
    problems += foreign_problems("\n".join((words.subject, page.text, without_marks(draft.body))))
    looks = [
        Look("subject", f"{len(words.subject)} characters"),
        Look("text part", f"{said:,} {'word' if said == 1 else 'words'}"),
        Look("links", str(len(page.links)) if page.links else "none"),
        Look("images", str(len(page.images)) if page.images else "none"),
        colour_look,
        Look("size", f"{len(message.raw) / 1000:,.0f} kB"),
    ]
    return problems, looks


def without_marks(text: str) -> str:
    """Without our own marks, and without addresses."""
    return _ASIDE.sub("", text)


def foreign_problems(text: str) -> list[Problem]:
    """The marks of other programs that stand in a finished text."""
    hint = "If it is meant to be a field, write it as {{ first_name }}; nothing else is filled in, and only in mail."
    return [
        problem("foreign_merge_tag", f"{shown(found)} stands there as it is.", hint)
        for found in dict.fromkeys(_FOREIGN.findall(text))
    ]


def alt_problems(page: Page, draft: Draft) -> list[Problem]:
    """Pictures without a description. In Markdown ``![]()`` was left empty, in HTML ``alt=""`` was meant."""
    bare = sum(image.alt is None for image in page.images)
    bare += len(_WORDLESS.findall(draft.body)) if draft.format == "markdown" else 0
    if not bare:
        return []
    text = f"Pictures that say nothing to those who do not see them (no alt): {bare} of {len(page.images)}."
    hint = '![What it shows](https://…) in Markdown; <img alt=""> for one that only decorates.'
    return [problem("image_no_alt", text, hint)]


def _words_of(page: Page, sender: SenderIdentity) -> int:
    """How many words are shown besides those of the footer."""
    text = page.text
    ways_out = [link.text for link in page.links if TOKEN in link.href]
    for footer in (sender.postal_address, f"{sender.name},", *ways_out):
        text = text.replace(footer, " ") if footer else text
    return len(re.findall(r"\w+", text))


def _image_problems(page: Page, said: int) -> list[Problem]:
    problems = []
    for image in page.images:
        if not image.src.lower().startswith(("http://", "https://", "cid:", "data:")):
            text = f"A picture is not on the web: {shown(image.src, limit=60)}; readers see a gap."
            problems.append(problem("image_unavailable", text, "Put it on a site and name it from https:// on."))
        elif image.src.lower().startswith("data:"):
            text = "A picture is written into the message itself; Gmail and Outlook do not show it."
            problems.append(problem("image_unavailable", text, "Put it on a site and name it from https:// on."))
    if page.images and said < FEW_WORDS:
        pictures = "a picture" if len(page.images) == 1 else f"{len(page.images)} pictures"
        text = f"Beside {pictures} only {said} words stand; filters and many readers see nothing else."
        problems.append(problem("images_only", text, "Say in words what the pictures say."))
    remote = [image for image in page.images if image.src.lower().startswith("http")]
    if len(remote) > MANY_IMAGES:
        text = f"{len(remote)} pictures are loaded from the web; each makes the message slower to open."
        problems.append(problem("many_images", text, "Leave some out, or make one of several."))
    return list(dict.fromkeys(problems))


def _size_problems(html: int, whole: int) -> list[Problem]:
    problems = []
    if html > CLIPPED_AT:
        text = (
            f"The HTML has {html / 1000:,.0f} kB; Gmail hides what comes after {CLIPPED_AT // 1000}, the way out too."
        )
        problems.append(problem("clipped", text, "Shorten it, or link to the rest."))
    if whole > TAKEN_UP_TO:
        text = f"A message has {whole / 1e6:,.1f} MB; many servers take {TAKEN_UP_TO // 1_000_000} at the most."
        problems.append(problem("too_big", text, "Link to what is big."))
    return problems
