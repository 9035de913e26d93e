"""Make outside text safe.

Names, mail headers, CSV cells and providers' error texts come from strangers. ``plain()`` takes from them what could
act: control characters (which a terminal obeys and a mail header ends at), bidi overrides (which disguise) and
invisible characters (which make two different words look alike). It is called where text enters and again where it
leaves for a terminal. It never decodes: an encoded-word stays the literal characters it is.
"""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, LINE/PARAGRAPH SEPARATOR; the bidi embeddings, overrides, isolates and marks;
# what has no width but ZWJ/ZWNJ, which scripts and emoji need; the byte order mark; lone surrogates; noncharacters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
_JOINERS = re.compile("[\u200c\u200d]{2,}")
_SPACES = re.compile(r"\s+")


def plain(text: str, *, limit: int | None = None) -> str:
    """``text`` with everything removed that could act or disguise; newlines and tabs stay.

    ``limit`` bounds the length in characters; what is cut is replaced by one ``…``.
    """
    if not text.isascii() or not text.isprintable():
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = _UNSAFE.sub("", text)
        text = _JOINERS.sub(lambda run: run[0][0], text)
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    return text


def one_line(text: str, *, limit: int | None = None) -> str:
    """``plain()`` on a single line: every run of white space becomes one space, the ends are trimmed."""
    if "  " in text or not (text.isascii() and text.isprintable()):
        text = _SPACES.sub(" ", plain(text))
    return plain(text.strip(), limit=limit)


def shown(text: str, *, limit: int = 80) -> str:
    """A value as an error message names it: one line, bounded, in quotes."""
    return f"“{one_line(text, limit=limit)}”"
