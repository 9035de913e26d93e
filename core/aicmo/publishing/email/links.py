"""What is done with a message's links: campaign parameters are added, and a way out is named.

Parameters (``utm_source`` and its kin) are added once, when a template is compiled, and nothing else of a link changes:
what it has stays as it is written, in its order. A link that could be harmed is left alone: one that is not http(s),
whose address a field decides, that is signed, or that has the parameter already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import quote, unquote_plus

from aicmo.publishing.email.marks import Marks
from aicmo.text import one_line

TOKEN = "{token}"
"""Stands for the delivery in a configured address."""
LONGEST_SLUG = 100

_HREF = re.compile(r'<!--.*?-->|(<a(?:rea)?(?:\s+[^\s"=>]+(?:="[^"]*")?)*?\s+href=")([^"]*)(?=")', re.DOTALL)
"""In HTML as a serialiser writes it: every value in double quotes. Comments are stepped over."""
_WEB = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_ENCODED_FIELD = re.compile(r"\{\{.*\|\s*urlencode\s*\}\}", re.DOTALL)
_SIGNED = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
"""A parameter like these says that the server refuses the link when anything is added to it."""
_SIGNS = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f\s]+")


@dataclass(frozen=True, slots=True)
class LinkRules:
    """How links are made, as ``[links]`` of the configuration says."""

    unsubscribe_url: str = ""
    """https, with ``{token}``; empty where the person has no such page."""
    unsubscribe_email: str = ""
    """Where unsubscribes are read, with or without ``{token}``; empty: where replies are."""
    utm: Mapping[str, str] = field(default_factory=dict)
    """``utm_source``, ``utm_medium`` ...: what is added to every link; empty: links stay as they are."""
    adds_utm: bool = True
    """Whether it is; a campaign may say otherwise."""

    def parameters(self, campaign_name: str, variant: str) -> Mapping[str, str]:
        """What is added to the links of one campaign's messages."""
        if not self.utm or not self.adds_utm:
            return {}
        own = {"utm_campaign": slug(campaign_name), **({"utm_content": variant.lower()} if variant else {})}
        return {**self.utm, **{name: value for name, value in own.items() if name not in self.utm}}


def slug(name: str) -> str:
    """``name`` as reports show it: lower case, every run of signs and spaces a hyphen; letters of all scripts stay."""
    return _SIGNS.sub("-", one_line(name).casefold())[:LONGEST_SLUG].strip("-") or "campaign"


def tag_links(html: str, parameters: Mapping[str, str], marks: Marks) -> str:
    """``html`` with ``parameters`` added to its links (see ``tagged``)."""
    if not parameters:
        return html

    def tag(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]
        url = unescape(found[2]).strip()
        more = tagged(url, parameters, marks)
        return found[0] if more == url else found[1] + more.replace("&", "&amp;").replace('"', "&quot;")

    return _HREF.sub(tag, html)


def tagged(url: str, parameters: Mapping[str, str], marks: Marks) -> str:
    """``url`` with those of ``parameters`` that it does not have at the end of its query; ``marks`` are held in it.

    A field may stand in the query or the fragment; in the path only through ``urlencode``, because its value could
    begin a query of its own.
    """
    address, fragment_sign, fragment = url.partition("#")
    base, _, query = address.partition("?")
    site = _WEB.match(base)
    if site is None:
        return url
    for place, mark in marks.within(address):
        is_field = mark.startswith("{{")
        in_path = site.end() <= place < len(base) and _ENCODED_FIELD.fullmatch(mark)
        if not is_field or not (in_path or place > len(base)):
            return url
    present = {unquote_plus(part.partition("=")[0]).lower() for part in re.split("[&;]", query)}
    added = [f"{name}={quote(value, safe='')}" for name, value in parameters.items() if name not in present]
    if not added or present & _SIGNED:
        return url
    joint = "&" if query and not query.endswith("&") else ""
    return f"{base}?{query}{joint}{'&'.join(added)}{fragment_sign}{fragment}"
