from __future__ import annotations

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm.mapping import FIELDS, IGNORED, MAX_CUSTOM_FIELDS, SYNONYMS, custom_key, map_columns, split_name
from aicmo.errors import InvalidInput


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("E-Mail-Adresse;Vorname;Nachname;Firma;Position;Telefon", "email first_name last_name company title phone"),
        (
            "Adresse électronique;Prénom;Nom;Société;Fonction;Étiquettes",
            "email first_name last_name company title tags",
        ),
        (
            "Correo electrónico;Nombre;Apellidos;Empresa;Cargo;Teléfono",
            "email first_name last_name company title phone",
        ),
        ("Indirizzo e-mail;Nome;Cognome;Azienda;Ruolo;Telefono", "email first_name last_name company title phone"),
        (
            "E-mail Address;First Name;Last Name;Company;Job Title;Labels",
            "email first_name last_name company title tags",
        ),
        ("EMAIL;FULL_NAME;Organization;Mobile Phone;tags", "email name company phone tags"),
        ("email;name;stage", "email name stage"),
    ],
)
def test_headers_are_understood_in_several_languages(header: str, fields: str) -> None:
    mapping = map_columns(header.split(";"))
    assert mapping.fields == {field: column for column, field in enumerate(fields.split())}
    assert mapping.custom == {}


def test_no_synonym_means_two_fields() -> None:
    words = [word.strip() for field in SYNONYMS for word in SYNONYMS[field].split(",")]
    assert len(words) == len(set(words))
    assert set(SYNONYMS) == set(FIELDS)


def test_what_the_person_says_wins() -> None:
    mapping = map_columns(
        ["Mail", "Work mail", "Code", "Secret"],
        explicit={"work mail": "email", "Code": "Kunden-Nr.", "Secret": IGNORED},
    )
    assert mapping.fields == {"email": 1}
    assert mapping.custom == {"kunden_nr": 2, "email_2": 0}


def test_a_column_nobody_knows_becomes_a_custom_field() -> None:
    mapping = map_columns(["email", "Ville d’été", "2nd pet", "城市", "", "city", "City", "email"])
    assert list(mapping.custom) == ["ville_d_ete", "field_2nd_pet", "城市", "column_5", "city", "city_2", "email_2"]


def test_too_many_columns_are_left_out_by_name() -> None:
    mapping = map_columns(["email", *(f"c{n}" for n in range(MAX_CUSTOM_FIELDS + 2))])
    assert len(mapping.custom) == MAX_CUSTOM_FIELDS
    assert mapping.left_out == (f"c{MAX_CUSTOM_FIELDS}", f"c{MAX_CUSTOM_FIELDS + 1}")


def test_the_address_column_is_found_by_what_it_holds() -> None:
    assert (
        map_columns(["who", "where"], [["Ann", "ann@acme.example"], ["Bob", "bob@acme.example"]]).fields["email"] == 1
    )


def test_another_programs_stages_are_a_custom_field() -> None:
    assert map_columns(["email", "stage"], [["a@b.example", "Hot lead"]]).custom == {"stage_2": 1}


@pytest.mark.parametrize(
    ("header", "explicit", "sentence"),
    [
        (["name", "city"], {}, "No column holds the e-mail address"),
        (["ann@acme.example", "Ann"], {}, "The first line holds an address"),
        (["email"], {"Mail": "email"}, "There is no column “Mail”"),
        (["a", "b"], {"a": "email", "b": "email"}, "Two columns are mapped to “email”"),
    ],
)
def test_a_table_without_a_clear_address_column_is_refused(
    header: list[str], explicit: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        map_columns(header, explicit=explicit)


@given(st.text(max_size=80))
def test_every_custom_key_can_stand_in_a_template(title: str) -> None:
    key = custom_key(title)
    assert jinja2.Environment(autoescape=True).from_string("{{ " + key + " }}").render({key: "value"}) == "value"
    assert custom_key(key) == key


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("Lovelace, Ada", "Ada", "Lovelace"),
        ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
        ("Ursula von der Leyen", "Ursula", "von der Leyen"),
        ("Jean Luc Picard", "Jean Luc", "Picard"),
        ("王伟", "王伟", ""),
        ("Cher", "Cher", ""),
        ("", "", ""),
        ("Van Morrison", "Van", "Morrison"),
    ],
)
def test_a_whole_name_is_split(name: str, first: str, last: str) -> None:
    assert split_name(name) == (first, last)
