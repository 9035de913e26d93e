"""Which letters a file's bytes are."""

from __future__ import annotations

import codecs
import re

from aicmo.errors import InvalidInput
from aicmo.text import one_line

_BOMS = (  # UTF-32 first: its little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_SCRIPTS = ("cp1251", "cp1253", "cp1255", "cp1256", "cp932", "gb18030", "big5", "cp949", "euc_jp", "koi8_r")
_UNDECODED = re.compile("[\udc80-\udcff]")


def detect_encoding(sample: bytes) -> str:
    """The codec for a file that begins with ``sample``.

    A byte order mark decides; else UTF-8 if it can be; else what charset-normalizer thinks of the script; else
    Windows-1252, which is what Western spreadsheets write.
    """
    for mark, codec in _BOMS:
        if sample.startswith(mark):
            return codec
    if wide := _wide_without_mark(sample):
        return wide
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return _detect_legacy(sample)
    return "utf-8"


def checked_encoding(encoding: str) -> str:
    """The codec's own name. Raises ``InvalidInput``."""
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise InvalidInput(f"There is no encoding {one_line(encoding, limit=40)}.") from error


def on_undecodable(encoding: str) -> str:
    """Bytes that are not UTF-8 are kept for ``mended``; elsewhere they become a question mark."""
    return "surrogateescape" if encoding in ("utf-8", "utf-8-sig") else "replace"


def decoded(sample: bytes, encoding: str) -> str:
    """The text of a file's beginning, which may end within a letter."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(sample, final=False)


def mended(cell: str) -> str:
    """``cell``; read as Windows-1252 if it is not UTF-8."""
    if not _UNDECODED.search(cell):
        return cell
    return cell.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def _wide_without_mark(sample: bytes) -> str:
    """UTF-16 without a mark, betrayed by every other byte being NUL."""
    head = sample[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > len(head) / 3 and even < odd / 8:
        return "utf-16-le"
    if even > len(head) / 3 and odd < even / 8:
        return "utf-16-be"
    return ""


def _detect_legacy(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample[:65_536], cp_isolation=["cp1252", *_OTHER_SCRIPTS]).best()
    return best.encoding if best is not None and best.encoding in _OTHER_SCRIPTS else "cp1252"
