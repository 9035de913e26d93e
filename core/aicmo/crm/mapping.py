"""Which column is which field.

A header is looked up in ``SYNONYMS`` without regard to case, accents and punctuation; what the person says with
``--map`` wins; what nobody knows becomes a custom field whose key can stand in a template.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aicmo.errors import InvalidInput
from aicmo.store.contacts import STAGES
from aicmo.text import shown

FIELDS = ("email", "first_name", "last_name", "name", "company", "title", "phone", "stage", "tags")
"""What a column can be. ``name`` is a whole name, split when no other column says it."""
IGNORED = "-"
"""``--map COLUMN=-`` leaves a column out."""
MAX_CUSTOM_FIELDS = 50
MAX_VALUE = 10_000
"""Characters in a value of any field."""
MAX_KEY = 60
"""Characters in a custom field's key."""

# In the spelling `fold` makes: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish.
SYNONYMS: dict[str, str] = {
    "email": """
        email,e mail,mail,email address,e mail address,mail address,address email,work email,business email,email 1,
        e mail 1 value,primary email,contact email,email id,
        e mail adresse,email adresse,mailadresse,emailadresse,
        courriel,adresse email,adresse e mail,adresse mail,adresse electronique,adresse de courriel,
        correo,correo electronico,direccion de correo,direccion de correo electronico,
        posta elettronica,indirizzo email,indirizzo e mail,indirizzo di posta elettronica,
        endereco de email,endereco de e mail,correio eletronico,
        e mailadres,emailadres,adres email,adres e mail""",
    "first_name": """
        first name,firstname,first,given name,givenname,forename,
        vorname,rufname,prenom,nombre,nombre de pila,primer nombre,nome,primeiro nome,voornaam,imie""",
    "last_name": """
        last name,lastname,last,surname,family name,familyname,
        nachname,familienname,zuname,nom,nom de famille,apellido,apellidos,
        cognome,sobrenome,apelido,achternaam,nazwisko""",
    "name": """
        name,full name,fullname,contact name,contact,display name,person,
        vollstandiger name,ansprechpartner,kontakt,nom complet,nom et prenom,prenom et nom,
        contacto,nombre completo,nombre y apellidos,nome completo,nome e cognome,
        volledige naam,naam,imie i nazwisko""",
    "company": """
        company,company name,organization,organisation,organization name,organisation name,account,account name,
        employer,organization 1 name,firma,unternehmen,firmenname,arbeitgeber,
        entreprise,societe,nom de l entreprise,raison sociale,empresa,compania,organizacion,nombre de la empresa,
        azienda,societa,ditta,nome da empresa,bedrijf,bedrijfsnaam,nazwa firmy""",
    "title": """
        title,job title,jobtitle,job,position,role,occupation,organization 1 title,
        berufsbezeichnung,stelle,funktion,beruf,jobtitel,poste,fonction,intitule du poste,metier,
        cargo,puesto,profesion,ruolo,posizione,qualifica,mansione,funcao,functie,functietitel,stanowisko""",
    "phone": """
        phone,phone number,telephone,telephone number,tel,mobile,mobile phone,cell,cell phone,work phone,phone 1 value,
        telefon,telefonnummer,handy,mobiltelefon,mobil,rufnummer,numero de telephone,portable,
        telefono,numero de telefono,movil,celular,cellulare,numero di telefono,telefone,telemovel,
        telefoon,telefoonnummer,numer telefonu""",
    "stage": "stage",
    "tags": """
        tags,tag,labels,label,groups,group,categories,category,keywords,
        schlagworte,schlagworter,etiketten,kategorien,kategorie,gruppen,etiquettes,etiquette,categorie,groupes,
        etiquetas,etiqueta,categorias,grupos,etichette,gruppi,marcadores,tagi,etykiety""",
}

# What else has a meaning in a template or a query; a custom field of that name would hide it.
_RESERVED = frozenset(
    "address domain id fields created_at updated_at sender campaign unsubscribe postal_address web_view text "
    "and or not if elif else in is for true false none loop self super import from".split()
)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column, counted from 0, holds what."""

    fields: Mapping[str, int]
    """Of ``FIELDS``; ``email`` always among them."""
    custom: Mapping[str, int]
    """Custom field's key to column."""
    left_out: tuple[str, ...]
    """Headers beyond ``MAX_CUSTOM_FIELDS``, which nobody chose to leave out."""
    ignored: frozenset[int] = frozenset()
    """Columns that somebody did choose to leave out."""


def map_columns(
    header: Sequence[str], sample: Sequence[Sequence[str]] = (), explicit: Mapping[str, str] | None = None
) -> ColumnMapping:
    """Decide every column of ``header``.

    ``explicit`` maps headers to a field, a custom key or ``IGNORED``. ``sample`` holds the first rows: they name the
    address column when no header does. Of two columns for one field the first gets it and the other becomes custom.
    Raises ``InvalidInput`` for a header that is not there, two columns for one field, or no address column.
    """
    chosen = _explicit(header, explicit or {})
    fields: dict[str, int] = {}
    custom: dict[str, int] = {}
    for column, what in chosen.items():
        if what in fields or what in custom:
            raise InvalidInput(f"Two columns are mapped to {shown(what)}.")
        if what in FIELDS:
            fields[what] = column
        elif what != IGNORED:
            custom[what] = column
    unknown: list[int] = []
    for column, title in enumerate(header):
        if column in chosen:
            continue
        known = _FIELD_OF.get(fold(title))
        if known == "stage" and not _holds_stages(sample, column):
            known = None
        if known is None or known in fields:
            unknown.append(column)
        else:
            fields[known] = column
    if "email" not in fields:
        fields["email"] = _column_with_addresses(header, sample, unknown, "Say which: --map COLUMN=email")
        unknown = [column for column in unknown if column != fields["email"]]
    room = MAX_CUSTOM_FIELDS - len(custom)
    for column in unknown[: max(room, 0)]:
        custom[_free_key(header[column] or f"column {column + 1}", custom)] = column
    ignored = frozenset(column for column, what in chosen.items() if what == IGNORED)
    return ColumnMapping(fields, custom, tuple(header[column] for column in unknown[max(room, 0) :]), ignored)


def address_column(header: Sequence[str], sample: Sequence[Sequence[str]]) -> int:
    """Which column holds the addresses: by its title, else by what stands in it. Raises ``InvalidInput``."""
    for column, title in enumerate(header):
        if _FIELD_OF.get(fold(title)) == "email":
            return column
    return _column_with_addresses(header, sample, range(len(header)), "Name the right one email in the first line.")


def custom_key(name: str) -> str:
    """``name`` as the key of a custom field: letters, digits and underscores, an identifier in a template.

    A name that means a field of ours gives that field's name.
    """
    folded = fold(name)
    if known := _FIELD_OF.get(folded):
        return known
    key = folded.replace(" ", "_")
    if not key.isidentifier() or key in _RESERVED:
        key = f"field_{key}"
    return key[:MAX_KEY].rstrip("_")


# A name's particles belong to the last name: Ludwig | van Beethoven.
_PARTICLES = frozenset("von vom van der den de del della di da dos das du la le ten ter zu bin ibn al el".split())


def split_name(name: str) -> tuple[str, str]:
    """First and last name of a whole one: ``Last, First`` as well as ``First Last``; a single word is a first name."""
    last, comma, first = name.partition(",")
    if comma and first.strip() and last.strip():
        return first.strip(), last.strip()
    words = name.split()
    if len(words) < 2:
        return name, ""
    cut = len(words) - 1
    while cut > 1 and words[cut - 1].lower() in _PARTICLES:
        cut -= 1
    return " ".join(words[:cut]), " ".join(words[cut:])


def fold(title: str) -> str:
    """Lower case, Latin letters without accents, one space for every run of anything but letters and digits."""
    text = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", title).casefold()).strip()
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return bare if bare.isascii() else text


_FIELD_OF = {
    word.strip(): field for field, words in SYNONYMS.items() for word in (*words.split(","), field.replace("_", " "))
}


def _explicit(header: Sequence[str], explicit: Mapping[str, str]) -> dict[int, str]:
    columns: dict[str, int] = {}
    for column, title in enumerate(header):
        columns.setdefault(fold(title), column)
    chosen: dict[int, str] = {}
    for title, field in explicit.items():
        if fold(title) not in columns:
            raise InvalidInput(
                f"There is no column {shown(title)}.", hint="The columns are: " + ", ".join(map(shown, header[:30]))
            )
        chosen[columns[fold(title)]] = IGNORED if field.strip() == IGNORED else custom_key(field)
    return chosen


def _column_with_addresses(
    header: Sequence[str], sample: Sequence[Sequence[str]], unknown: Sequence[int], hint: str
) -> int:
    """The one column whose values look like addresses. ``hint``: what to do when it cannot be told."""
    if any("@" in title for title in header):
        raise InvalidInput(
            "The first line holds an address, not the columns' names.",
            hint="Put a line above it that names the columns, such as: email,first_name,last_name",
        )
    found = [column for column in unknown if _mostly_addresses(sample, column)]
    if len(found) != 1:
        which = "No column holds" if not found else "More than one column may hold"
        raise InvalidInput(
            f"{which} the e-mail address. The columns are: " + ", ".join(map(shown, header[:30])) + ".",
            hint=hint,
        )
    return found[0]


def _cells(sample: Sequence[Sequence[str]], column: int) -> list[str]:
    return [row[column].strip() for row in sample if column < len(row) and row[column].strip()]


def _mostly_addresses(sample: Sequence[Sequence[str]], column: int) -> bool:
    cells = _cells(sample, column)
    return bool(cells) and 2 * sum("@" in cell[1:-1] for cell in cells) > len(cells)


def _holds_stages(sample: Sequence[Sequence[str]], column: int) -> bool:
    """Another program's stages are a custom field; only ours are the field."""
    return all(cell.upper() in STAGES for cell in _cells(sample, column))


def _free_key(title: str, taken: Mapping[str, int]) -> str:
    key = base = custom_key(title)
    number = 2
    while key in taken or key in FIELDS:
        key = f"{base}_{number}"
        number += 1
    return key
