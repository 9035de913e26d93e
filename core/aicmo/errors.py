"""Everything that can go wrong here, as one tree.

::

    AicmoError                      exit 1   something we did not foresee in ourselves
     ├── InvalidInput               exit 6   what was given cannot be used; nothing was changed
     │    ├── ConfigInvalid                  a file, key or value of the configuration
     │    ├── QueryInvalid                   a contact query; points at the column
     │    ├── TemplateInvalid                a text that cannot be filled for somebody
     │    ├── EditConflict                   somebody else changed the same field meanwhile
     │    └── IllegalTransition              a campaign, delivery or person asked to go where it cannot
     ├── NotFound                   exit 3   no record, file or name like that
     ├── AuthNeeded                 exit 4   a credential is missing or refused
     ├── ApprovalNeeded             exit 9   the content has not been approved as it now stands
     ├── ProviderUnavailable        exit 7   nobody of a capability's chain can serve now
     ├── OutcomeUnknown             exit 8   something may or may not have happened; a person decides
     ├── Interrupted                exit 130 the person stopped it
     └── StoreError                 exit 6   the database cannot be used as it is; nothing was changed
          ├── StoreNewer                     written by a newer program
          ├── StoreReadOnly                  the file or folder cannot be written
          ├── StoreDamaged                   not a database, or a broken one
          └── StoreLocked           exit 75  another program holds it; trying again helps

An outside service's failure is not an exception: it is an ``Attempt`` (see ``gateways.attempt``), because the chain has
to reason about it. An error leaves here only when a person has to hear of it.
"""

from __future__ import annotations

from collections.abc import Mapping


class VerbHint(str):
    """A hint that names a verb. As text it is a command line; the app, where none can be typed, says the same by the
    key that does it."""

    def __new__(cls, words: str, verb: str) -> VerbHint:
        """``VerbHint("Go on with", "campaign resume 3")``: the verb as it is typed after ``aicmo``."""
        hint = super().__new__(cls, f"{words}: aicmo {verb}")
        hint.words, hint.verb = words, verb
        return hint

    words: str
    verb: str


class AicmoError(Exception):
    """What went wrong in one sentence, and what to do about it in another."""

    exit_code = 1
    code = "unexpected"
    retryable = False
    """Whether the same call can succeed later with nothing changed by a person."""

    def __init__(self, message: str, *, hint: str = "", retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable

    def as_dict(self) -> dict[str, object]:
        """The document that ``--json`` prints on stderr."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable, "hint": self.hint}


class InvalidInput(AicmoError):
    exit_code = 6
    code = "invalid"


class ConfigInvalid(InvalidInput):
    code = "config_invalid"


class QueryInvalid(InvalidInput):
    """``column`` is the 0-based place in ``query``, as it was read, where reading stopped."""

    code = "query_invalid"

    def __init__(self, message: str, *, column: int = 0, hint: str = "", query: str = "") -> None:
        super().__init__(message, hint=hint)
        self.column, self.query = column, query

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "query": self.query, "column": self.column}


class TemplateInvalid(InvalidInput):
    code = "template_invalid"


class EditConflict(InvalidInput):
    """``conflicts`` says of each field what is wanted (``mine``), what stands there now (``theirs``), and what stood
    there when the edit began (``original``)."""

    code = "edit_conflict"

    def __init__(self, message: str, conflicts: Mapping[str, Mapping[str, str]], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.conflicts = conflicts

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "conflicts": {name: dict(three) for name, three in self.conflicts.items()}}


class IllegalTransition(InvalidInput):
    code = "illegal_transition"


class NotFound(AicmoError):
    exit_code = 3
    code = "not_found"


class AuthNeeded(AicmoError):
    exit_code = 4
    code = "auth_needed"


class ApprovalNeeded(AicmoError):
    exit_code = 9
    code = "approval_needed"


class ProviderUnavailable(AicmoError):
    exit_code = 7
    code = "provider_unavailable"
    retryable = True


class OutcomeUnknown(AicmoError):
    exit_code = 8
    code = "outcome_unknown"


class Interrupted(AicmoError):
    exit_code = 130
    code = "interrupted"
    retryable = True


class StoreError(AicmoError):
    exit_code = 6
    code = "store"


class StoreNewer(StoreError):
    code = "store_newer"


class StoreReadOnly(StoreError):
    code = "store_read_only"


class StoreDamaged(StoreError):
    code = "store_damaged"


class StoreLocked(StoreError):
    exit_code = 75
    code = "store_locked"
    retryable = True
