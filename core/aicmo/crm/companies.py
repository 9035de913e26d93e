"""Companies, by the registrable domain of their people's addresses. Who has a free mail address belongs to none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from aicmo.crm.address import domain_of
from aicmo.crm.domains import is_free_mail
from aicmo.errors import NotFound, VerbHint
from aicmo.store import Database, companies, contacts
from aicmo.store.companies import Company
from aicmo.store.contacts import Contact
from aicmo.store.selection import Selection, Term
from aicmo.text import one_line, shown


class Directory:
    """Every company at one moment, to be asked again and again, from any thread.

    Which there are is read at once; what they are called, when that is first asked for.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._names: Mapping[str, str] | None = None
        self._reading = Lock()
        self.domains: Sequence[str] = [domain for domain in db.read(companies.domains) if not is_free_mail(domain)]
        """The one with the most people first."""

    def among(self, words: str) -> Sequence[str]:
        """The domains that have ``words`` in them or in what their people call the company, whatever the case."""
        sought = one_line(words).casefold()
        if not sought:
            return self.domains
        names = self.names()
        return [domain for domain in self.domains if sought in domain or sought in names.get(domain, "")]

    def names(self) -> Mapping[str, str]:
        """What each is called, by domain and for comparing only: folded, and all of it in one text."""
        with self._reading:
            if self._names is None:
                self._names = {domain: name.casefold() for domain, name in self._db.read(companies.names).items()}
            return self._names


class Companies:
    """Read only: a company is what its people's records say."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def list(self, words: str = "", *, limit: int = 100, offset: int = 0) -> tuple[Company, ...]:
        """The largest first; with ``words``, those that have them in the domain or in a name."""
        return self.describe(self.directory().among(words)[offset : offset + limit])

    def count(self, words: str = "") -> int:
        """How many there are."""
        return len(self.directory().among(words))

    def directory(self) -> Directory:
        """All of them, as they are now."""
        return Directory(self._db)

    def describe(self, domains: Iterable[str]) -> tuple[Company, ...]:
        """The companies of these domains, in their order; those without people are left out."""
        return tuple(self._db.read(lambda db: companies.described(db, domains)))

    def get(self, domain: str) -> Company:
        """The one of a domain, of a host under it, or of an address.

        Raises ``NotFound``, also for a mail service's domain.
        """
        wanted = domain_of(domain)
        found = self._db.read(lambda db: companies.described(db, [wanted]))
        if not found or is_free_mail(wanted):
            hint = (
                "It is a mail service: its people belong to no company." if found else VerbHint("See", "company list")
            )
            raise NotFound(f"There is no company {shown(domain)}.", hint=hint)
        return found[0]

    def people(self, domain: str, *, limit: int = 1000) -> tuple[Contact, ...]:
        """Whoever has an address there, by when they came."""
        selection = Selection(Term("domain", domain))
        return tuple(self._db.read(lambda db: contacts.window(db, selection, 0, limit)))
