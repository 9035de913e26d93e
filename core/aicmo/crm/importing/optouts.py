"""Who must not be written to, as other programs' exports say it.

Mail services export everybody in one table, with a column such as ``Status`` (subscribed, unsubscribed, cleaned), a
time of leaving (``UNSUB_TIME``) or a yes (``EMAIL_BLACKLISTED``). Whoever is read here as opted out is suppressed in
the same transaction that brings them in; a column that was mapped away says nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from aicmo.crm.mapping import fold
from aicmo.store.suppressions import SuppressionReason as Reason

# Titles and words in the spelling that `fold` makes: English, German, French, Spanish, Italian, Dutch.
_STATUS_TITLES = """
    status,subscription status,subscriber status,email status,email marketing status,marketing status,member status,
    newsletter status,list status,contact status,consent status,email subscription status,email marketing,reason,
    abonnementstatus,anmeldestatus,statut,estado,stato"""
_STATUSES = {
    Reason.UNSUBSCRIBED: """
        unsubscribed,unsubscribe,unsub,opted out,opt out,optout,abgemeldet,ausgetragen,desabonne,desinscrit,
        dado de baja,baja,disiscritto,uitgeschreven""",
    Reason.BOUNCED: "cleaned,bounced,bounce,hard bounced,hard bounce,hardbounce,undeliverable,bereinigt",
    Reason.COMPLAINED: "complained,complaint,spam,spam complaint,junk,abuse,marked as spam,reported spam",
    Reason.MANUAL: "manual,blacklisted,blocklisted,blocked,suppressed,do not contact,do not email,do not mail,dnc",
}
_MARK_TITLES = {  # over a column with a time or a yes
    Reason.UNSUBSCRIBED: """
        unsubscribed,unsub time,unsubscribe time,unsubscribed time,unsubscribed at,unsubscribed on,unsubscribe date,
        unsubscribed date,date unsubscribed,unsubscription date,unsubscribed from all email,
        opt out,opted out,optout,opt out date,optout date,opt out time,optout time,opted out at,
        email opt out,email optout,has opted out of email,abgemeldet,abgemeldet am""",
    Reason.BOUNCED: "cleaned,clean time,cleaned at,bounced,bounced at,hard bounced,hard bounced at",
    Reason.COMPLAINED: "complained,complained at,marked as spam,spam complaint",
    Reason.MANUAL: """
        blacklist,blocklist,blacklisted,blocklisted,email blacklist,email blacklisted,email blocklisted,
        emailblacklisted,suppressed,do not email,do not contact,do not mail""",
}
_STAYED = """
    subscribed,active,confirmed,unconfirmed,opted in,opt in,optin,double opt in,transactional,non subscribed,pending,
    angemeldet,aktiv,abonne,actif,suscrito,activo,iscritto,attivo,actief"""
_NO_MARK = "no,n,false,f,0,nein,non,none,null,never,nan,n a,0000 00 00,0000 00 00 00 00 00"


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(","))


_IS_STATUS = _words(_STATUS_TITLES)
_REASONS = {word: reason for reason, text in _STATUSES.items() for word in _words(text)}
_MARKS = {word: reason for reason, text in _MARK_TITLES.items() for word in _words(text)}
_HAS_STAYED = _words(_STAYED)
_NO = _words(_NO_MARK) | {""}


@functools.lru_cache(maxsize=4096)
def reason_in(word: str) -> Reason | None:
    """What a status such as ``Unsubscribed`` means; ``None`` for one that forbids nothing."""
    return _REASONS.get(fold(word))


class OptOutColumns:
    """The columns of one table that may say that somebody opted out."""

    def __init__(self, header: Sequence[str], ignored: frozenset[int] = frozenset()) -> None:
        folded = {column: fold(title) for column, title in enumerate(header) if column not in ignored}
        self._statuses = [column for column, title in folded.items() if title in _IS_STATUS]
        self._marks = [(column, _MARKS[title]) for column, title in folded.items() if title in _MARKS]

    def __bool__(self) -> bool:
        return bool(self._statuses or self._marks)

    def reason(self, cells: Sequence[str]) -> Reason | None:
        """Why this row's person must not be written to; ``None`` when the row does not say so."""
        for column in self._statuses:
            if found := reason_in(cells[column]):
                return found
        for column, reason in self._marks:
            if fold(cells[column]) not in _NO:
                return reason_in(cells[column]) or reason
        return None

    def stayed(self, cells: Sequence[str]) -> bool:
        """Whether the row says that its person did not opt out."""
        if any(fold(cells[column]) in _HAS_STAYED for column in self._statuses):
            return True
        return bool(self._marks) and not self._statuses
