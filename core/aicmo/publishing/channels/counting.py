"""How long a text is, as each network counts it. A count that is too low costs a refused or a cut post."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

X_URL = 23
"""What any address counts on X, which wraps it (twitter-text 3, ``transformedURLLength``)."""

_LIGHT = ((0x0, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
"""The code points that weigh 1 on X; all others weigh 2 (twitter-text 3, ``ranges``)."""
_HOST = r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+([^\W\d_]{2,63}|xn--[a-z0-9-]{2,59})"
_X_ADDRESS = re.compile(
    rf"(?<![\w@＠$#＃])(?:(https?://)|(?<![-./])){_HOST}(?![\w@-])(?::\d{{1,5}})?(?:[/?#][^\s<>\"“”]*)?", re.IGNORECASE
)
_TRAILING = ".,;:!?'\")]}…"
"""Ends a sentence rather than an address."""
_ADDRESS = re.compile(r"https?://[^\s<>\"“”]*", re.IGNORECASE)

LINKEDIN_RESERVED = frozenset("\\|{}@[]()<>#*_~")
"""What LinkedIn's "little text" reads as its own marks: each takes a backslash, or the post ends there unsaid."""
_LINKEDIN = re.compile(r"#(?=\w*[^\W\d_])|([\\|{}@\[\]()<>#*_~])")

_HASHTAG = re.compile(r"(?<![\w&/])[#＃](?=\w*[^\W\d_])\w+")
_MENTION = re.compile(r"(?<![\w/.])@\w[\w.]*")


def graphemes(text: str) -> int:
    """What a person would call characters: extended grapheme clusters (Unicode annex 29). Bluesky counts these."""
    from wcwidth import iter_graphemes

    return len(text) if text.isascii() else sum(1 for _ in iter_graphemes(text))


def x_weight(text: str) -> int:
    """The length on X: an address 23, an emoji 2, a Latin letter 1, a Chinese or Japanese one 2 (twitter-text 3)."""
    text = unicodedata.normalize("NFC", text)
    weight, at = 0, 0
    for found in _X_ADDRESS.finditer(text):
        if not _is_top_level(found[2]):
            continue
        end = found.start() + len(found[0].rstrip(_TRAILING))
        weight += _weighed(text[at : found.start()]) + X_URL
        at = end
    return weight + _weighed(text[at:])


def _weighed(text: str) -> int:
    if text.isascii():
        return len(text)
    from wcwidth import iter_graphemes

    return sum(2 if _is_emoji(each) else sum(map(_weight, each)) for each in iter_graphemes(text))


def _weight(character: str) -> int:
    return 1 if any(first <= ord(character) <= last for first, last in _LIGHT) else 2


def _is_emoji(cluster: str) -> bool:
    """Whether it is an emoji of several code points; one of a single code point weighs 2 by itself."""
    if len(cluster) == 1:
        return False
    return "\ufe0f" in cluster or "\u20e3" in cluster or unicodedata.category(cluster[0]) in ("So", "Cn")


def _is_top_level(label: str) -> bool:
    return label.lower() in _top_levels()


@cache
def _top_levels() -> frozenset[str]:
    """The top-level domains of the Public Suffix List that tldextract brings; nothing is downloaded."""
    from tldextract import TLDExtract

    suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None).tlds
    return frozenset(suffix.rpartition(".")[2] for suffix in suffixes)


def linkedin_escaped(text: str) -> str:
    """The text as LinkedIn takes it: reserved characters behind a backslash, but not those of hashtags and addresses.

    An escaped hashtag is dead text, and an escaped address may break, so both stay as typed.
    """
    pieces, at = [], 0
    for start, end in _address_spans(text):
        pieces += [_escaped(text[at:start]), text[start:end]]
        at = end
    return "".join([*pieces, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return _LINKEDIN.sub(lambda found: found[0] if found[1] is None else f"\\{found[1]}", text)


def addresses(text: str) -> list[str]:
    """The http and https addresses in it, in their order, without what ends the sentence that they stand in."""
    return [text[start:end] for start, end in _address_spans(text)]


def _address_spans(text: str) -> Iterator[tuple[int, int]]:
    for found in _ADDRESS.finditer(text):
        address = found[0]
        while address[-1] in _TRAILING and not _closes(address):
            address = address[:-1]
        yield found.start(), found.start() + len(address)


def _closes(address: str) -> bool:
    """Whether the bracket at its end is one that it opened: ``/wiki/Fold_(band)``."""
    return address[-1] == ")" and address.count("(") >= address.count(")")


def hashtags(text: str) -> int:
    """How many there are."""
    return len(_HASHTAG.findall(text))


def mentions(text: str) -> int:
    """How many people or pages it names with an @."""
    return len(_MENTION.findall(text))
