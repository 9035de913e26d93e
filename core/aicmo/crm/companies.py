"""Companies, by the registrable domain of their people's addresses. Who has a free mail address belongs to none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aicmo.crm.domains import is_free_mail
from aicmo.errors import NotFound
from aicmo.store import Database, companies, contacts
from aicmo.store.companies import Company
from aicmo.store.contacts import Contact
from aicmo.store.selection import Selection, Term
from aicmo.text import one_line, shown

GivenUp = Callable[[], bool]
"""Whether nobody waits for the answer any more."""


class Companies:
    """Read only: a company is what its people's records say."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def list(self, words: str = "", *, limit: int = 100, offset: int = 0) -> tuple[Company, ...]:
        """The largest first; with ``words``, those that ``among`` finds."""
        return self.describe(self.among(self.domains(), words)[offset : offset + limit])

    def count(self, words: str = "") -> int:
        """How many there are."""
        return len(self.among(self.domains(), words))

    def domains(self) -> Sequence[str]:
        """The domain of every company, the largest first: what to read once, and to describe by windows."""
        return [domain for domain in self._db.read(companies.domains) if not is_free_mail(domain)]

    def among(self, domains: Sequence[str], words: str, *, given_up: GivenUp | None = None) -> Sequence[str]:
        """Those of ``domains``, in their order, that have ``words`` in them, or in what their people call the company.

        There, words are found by their beginning, whatever case and accents. Raises ``Interrupted`` when ``given_up``.
        """
        sought = one_line(words).casefold()
        if not sought:
            return domains
        selection = Selection(Term("company", sought))
        called = self._db.read(lambda db: companies.called(db, selection), given_up=given_up)
        return [domain for domain in domains if sought in domain or domain in called]

    def describe(self, domains: Iterable[str]) -> tuple[Company, ...]:
        """The companies of these domains, in their order; those without people are left out."""
        return tuple(self._db.read(lambda db: companies.described(db, domains)))

    def get(self, domain: str) -> Company:
        """Raises ``NotFound``, also for a mail service's domain."""
        wanted = one_line(domain).lower().removeprefix("www.").rpartition("@")[2]
        found = self._db.read(lambda db: companies.described(db, [wanted]))
        if not found or is_free_mail(wanted):
            hint = "It is a mail service: its people belong to no company." if found else "See: aicmo company list"
            raise NotFound(f"There is no company {shown(domain)}.", hint=hint)
        return found[0]

    def people(self, domain: str, *, limit: int = 1000) -> tuple[Contact, ...]:
        """Whoever has an address there, by when they came."""
        selection = Selection(Term("domain", domain))
        return tuple(self._db.read(lambda db: contacts.window(db, selection, 0, limit)))
