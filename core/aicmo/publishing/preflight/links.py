"""The links of a message, a post or a page, judged by what stands there; nobody is asked. ``reaching`` asks.

A page has a site around it, so its links may be relative. A post is read as a whole at once, so an address that stands
there twice is one too many; in a message it is the words that should tell two links from another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from aicmo.crm.domains import registrable
from aicmo.publishing.preflight.page import Link, Page
from aicmo.publishing.preflight.report import Problem, problem
from aicmo.text import shown

Where = Literal["message", "post", "page"]

MOST_TOLD = 8
"""Links of one kind of problem that are named; the rest are counted."""
SHORTENERS = frozenset(
    "bit.ly tinyurl.com t.co goo.gl ow.ly is.gd v.gd buff.ly rebrand.ly cutt.ly t.ly tiny.cc rb.gy lnkd.in shorturl.at "
    "bl.ink soo.gd s.id dlvr.it ift.tt tr.im shorte.st adf.ly".split()
)
"""Services that hide where a link leads. Blocklists name whole services, so one of them taints the message."""
_PLACEHOLDERS = frozenset(
    "example.com example.net example.org yourdomain.com yoursite.com yourwebsite.com domain.com website.com".split()
)
_UNFILLED = re.compile(r"\{\{|\}\}|\{%|%7b%7b|\*\||\|\*|%%\w+%%", re.IGNORECASE)
_UNSAFE = ("javascript", "vbscript", "data", "file", "blob", "about")
_OTHERS = ("tel", "sms", "geo", "webcal", "facetime", "whatsapp", "skype", "xmpp", "matrix", "callto", "cid", "mid")
_HOST_FIRST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(?:[:/?#].*)?", re.IGNORECASE)
_NO_HOST = ("html", "htm", "php", "pdf", "asp", "aspx", "jpg", "png", "md", "txt")
"""What looks like the end of a host's name and is that of a file's."""
_LOOKS_LIKE_LINK = re.compile(r"(?:https?://)?(?P<host>(?:[a-z0-9-]+\.)+[a-z]{2,})(?:[:/?#]\S*)?", re.IGNORECASE)


def link_problems(
    page: Page, *, made_up: bool, token: str = "", where: Where = "message", tagged: bool = False
) -> list[Problem]:
    """``made_up``: the sender's domain is one for examples, as those that it links to may be. What has ``token`` in it
    is the way out, which is not judged. ``tagged``: links are to carry UTM parameters, also where none does yet."""
    links = [each for each in page.links if not token or token not in each.href]
    told: dict[str, list[Problem]] = {}
    for link in links:
        for found in _judged(link, page, made_up, where):
            if found not in told.setdefault(found.code, []):
                told[found.code].append(found)
    told["link_repeated"] = _twice(links) if where == "post" else _repeated(links)
    told["link_untagged"] = [] if where == "page" else _untagged(links, tagged)
    return [each for some in told.values() for each in _bounded(some)]


def web_links(page: Page) -> list[str]:
    """The http and https addresses, each once, in their order."""
    return list(dict.fromkeys(each.href.strip() for each in page.links if is_web(each.href)))


def _bounded(some: list[Problem]) -> list[Problem]:
    if len(some) <= MOST_TOLD:
        return some
    rest = problem(some[0].code, f"The same is true of {len(some) - MOST_TOLD} more links.", some[0].hint)
    return [*some[:MOST_TOLD], rest]


def _judged(link: Link, page: Page, made_up: bool, where: Where) -> Iterator[Problem]:
    href = link.href.strip()
    name = f"The link {shown(link.text, limit=40)}" if link.text else "A link"
    to = shown(href, limit=80)
    if _UNFILLED.search(href):
        yield problem("link_unfilled", f"{name} still has a template's mark in it: {to}.", "Close the marks: {{ … }}")
        return
    if not href or href == "#":
        yield problem("link_broken", f"{name} leads nowhere.", "Give it an address that begins with https://")
        return
    if href.startswith("#"):
        if href[1:] not in page.anchors:
            text = f"{name} leads to {to}, which is not there."
            yield problem("link_broken", text, "Link to a page, or give the place that id.")
        return
    try:
        parts = urlsplit(href)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError:
        yield problem("link_broken", f"{name} leads to {to}, which is no address.", "Copy it once more.")
        return
    if parts.scheme.lower() in _UNSAFE:
        hint = "Such links are taken out, and filters refuse what has them. Link to a page with https://"
        yield problem("link_unsafe", f"{name} leads to {to}; {parts.scheme.lower()}: is not let through.", hint)
    elif parts.scheme.lower() in ("http", "https"):
        yield from _judged_web(name, to, href, host, made_up)
        yield from _text_differs(link, host, to)
    elif parts.scheme.lower() == "mailto":
        if "@" not in parts.path and "to=" not in parts.query.lower():
            yield problem("link_broken", f"{name} names no address: {to}.", "Write mailto:you@your.domain")
    elif parts.scheme.lower() not in _OTHERS:
        yield from _no_scheme(name, to, href, parts, where)


def _judged_web(name: str, to: str, href: str, host: str, made_up: bool) -> Iterator[Problem]:
    if not host:
        yield problem("link_broken", f"{name} names no host: {to}.", "Write https://, the host, and the rest.")
    elif " " in href or "\n" in href or "\t" in href:
        yield problem("link_broken", f"{name} has a space in it: {to}.", "Write %20 in its place, or take it out.")
    elif _is_inside(host):
        hint = "Filters refuse links to bare addresses, and readers cannot reach what is inside your network."
        yield problem("link_to_address", f"{name} leads to {to}, which is no public name.", hint)
    elif registrable(host.lower()) in SHORTENERS:
        hint = "Filters distrust what hides where it leads. Link to the page itself."
        yield problem("link_shortened", f"{name} goes through a shortener: {to}.", hint)
    elif not made_up and (
        registrable(host.lower()) in _PLACEHOLDERS or host.endswith((".example", ".test", ".invalid"))
    ):
        yield problem("link_placeholder", f"{name} leads to {to}, which is a placeholder.", "Put the real one there.")


def _is_inside(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan"))
    return True


def _text_differs(link: Link, host: str, to: str) -> Iterator[Problem]:
    said = _LOOKS_LIKE_LINK.fullmatch(link.text)
    if said and said["host"].rpartition(".")[2].lower() not in _NO_HOST:
        shows, leads = registrable(said["host"].lower()), registrable(host.lower())
        if shows != leads:
            text = f"A link shows {shown(link.text, limit=60)} and leads to {to}."
            hint = "That is what phishing looks like. Show the address it leads to, or plain words."
            yield problem("link_text_differs", text, hint)


def _no_scheme(name: str, to: str, href: str, parts: SplitResult, where: Where) -> Iterator[Problem]:
    host_first = _HOST_FIRST.fullmatch(href)
    ending = re.split("[:/?#]", href)[0].rpartition(".")[2].lower()
    if href.startswith("//") or (host_first and ending not in _NO_HOST):
        hint = f"Write https://{href.lstrip('/')}"
        yield problem("link_broken", f"{name} lacks its https://: {to}.", hint)
    elif parts.scheme and ":" in href:
        yield problem("link_broken", f"{name} begins with {parts.scheme}:, which leads nowhere: {to}.", "Mend it.")
    elif where != "page":
        hint = f"A {where} has no site around it. Write the whole address, from https:// on."
        yield problem("link_broken", f"{name} is relative: {to}.", hint)


def _repeated(links: list[Link]) -> list[Problem]:
    """Different words that lead to the same place: often the second was pasted and not changed."""
    words: dict[str, dict[str, None]] = {}
    for link in links:
        if is_web(link.href) and link.text and not _LOOKS_LIKE_LINK.fullmatch(link.text):
            words.setdefault(link.href.strip(), {})[link.text] = None
    return [
        problem(
            "link_repeated",
            f"{' and '.join(shown(text, limit=30) for text in list(texts)[:3])} lead to {shown(href, limit=60)} alike.",
            "Look whether one of them was pasted and not changed.",
        )
        for href, texts in words.items()
        if len({text.casefold() for text in texts}) > 1
    ]


def _twice(links: list[Link]) -> list[Problem]:
    times = Counter(link.href.strip() for link in links if is_web(link.href))
    return [
        problem("link_repeated", f"{shown(href, limit=80)} stands there {count} times.", "Once is enough.")
        for href, count in times.items()
        if count > 1
    ]


def _untagged(links: list[Link], tagged: bool) -> list[Problem]:
    web = [link for link in links if is_web(link.href)]
    bare = [link for link in web if "utm_" not in link.href]
    if not bare or (len(bare) == len(web) and not tagged):
        return []
    return [
        problem(
            "link_untagged",
            f"{len(bare)} of {len(web)} links carry no UTM parameters, such as {shown(bare[0].href, limit=60)}.",
            "Visits through them will not be counted for it. Add ?utm_source=…&utm_medium=… to each.",
        )
    ]


def is_web(href: str) -> bool:
    """Whether it begins as an http or https address."""
    return href.strip().lower().startswith(("http://", "https://"))
