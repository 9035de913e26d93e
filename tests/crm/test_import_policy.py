"""What a row may do to somebody known, what is planned for it, and what is remembered of a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aicmo.crm import CRMRepository, ImportResult
from aicmo.crm.fields import Fields
from aicmo.crm.importing import PLANNED_ROWS, Policies, parse_policies
from aicmo.errors import InvalidInput
from aicmo.store import Database, stages

Import = Callable[..., ImportResult]

KNOWN = "email,first_name,company,city,stage,tags\nann@acme.example,Ann,Acme,Rome,ENGAGED,old\n"
ROW = "email,first_name,company,city,stage,tags\nANN@acme.example,Anna,Apex,Bonn,CONVERTED,new\n"


def test_policies_are_said_for_all_fields_and_for_one() -> None:
    policies = parse_policies(["keep", "Firma=overwrite", "name=fill", "Kunden-Nr.=fill", "city = overwrite"])
    assert policies == Policies(
        "keep",
        {"company": "overwrite", "first_name": "fill", "last_name": "fill", "kunden_nr": "fill", "city": "overwrite"},
    )
    assert parse_policies([]) == Policies("fill")
    with pytest.raises(InvalidInput, match="There is no policy “replace”"):
        parse_policies(["company=replace"])


def test_a_policy_for_a_field_that_neither_the_file_nor_anybody_has_is_refused(
    crm: CRMRepository, imported: Import
) -> None:
    crm.add("bob@acme.example", fields={"country": "Italy"})
    for known in ("city", "country", "phone"):
        imported(ROW, policy=parse_policies([f"{known}=keep"]), dry_run=True)
    with pytest.raises(InvalidInput, match="There is no field “citty”") as refused:
        imported(ROW, policy=parse_policies(["citty=keep"]), mapping={"city": "City"})
    assert refused.value.hint == "Did you mean city?"
    assert crm.count() == 1


@pytest.mark.parametrize(
    ("policies", "first_name", "company", "city", "stage", "tags"),
    [
        (["fill"], "Ann", "Acme", "Rome", "ENGAGED", ("new", "old")),
        (["overwrite"], "Anna", "Apex", "Bonn", "CONVERTED", ("new", "old")),
        (["fill", "company=overwrite", "tags=keep"], "Ann", "Apex", "Rome", "ENGAGED", ("old",)),
        (["keep", "city=overwrite"], "Ann", "Acme", "Bonn", "ENGAGED", ("old",)),
        (["overwrite", "stage=keep"], "Anna", "Apex", "Bonn", "ENGAGED", ("new", "old")),
    ],
)
def test_each_field_has_its_own_policy(
    crm: CRMRepository,
    imported: Import,
    policies: list[str],
    first_name: str,
    company: str,
    city: str,
    stage: str,
    tags: tuple[str, ...],
) -> None:
    imported(KNOWN)
    assert imported(ROW, policy=parse_policies(policies)).counts.updated == 1
    ann = crm.get("ann@acme.example")
    assert (ann.first_name, ann.company, ann.fields["city"], ann.stage, ann.tags) == (
        first_name,
        company,
        city,
        stage,
        tags,
    )


def test_an_import_moves_nobody_back_whatever_the_policy(db: Database, crm: CRMRepository, imported: Import) -> None:
    imported("email,stage\nann@acme.example,ENGAGED\nbob@acme.example,DISQUALIFIED\n")
    for policy in ("fill", "overwrite"):
        result = imported("email,stage\nann@acme.example,NEW\nbob@acme.example,CONVERTED\n", policy=policy)
        assert (result.counts.unchanged, result.counts.stages_kept, result.counts.conflicts) == (2, 2, 0)
        assert any("an import moves nobody back" in each for each in result.warnings)
    assert [each.stage for each in crm.list()] == ["ENGAGED", "DISQUALIFIED"]


def test_every_step_of_a_stage_has_its_receipt(db: Database, crm: CRMRepository, imported: Import) -> None:
    imported("email,stage\nann@acme.example,VERIFIED\nbob@acme.example,\n")
    imported("email,stage\nann@acme.example,ENGAGED\n", policy="overwrite")
    ann, bob = crm.list()
    receipts = db.read(lambda c: stages.history(c, ann.id))
    assert [(each.from_stage, each.to_stage, each.cause) for each in receipts] == [
        ("NEW", "VERIFIED", "import of people.csv"),
        ("VERIFIED", "ENGAGED", "import of people.csv"),
    ]
    assert db.read(lambda c: stages.history(c, bob.id)) == []


def test_a_dry_run_plans_every_row_with_the_reason_and_both_values_of_a_conflict(
    crm: CRMRepository, imported: Import, tmp_path: Path
) -> None:
    imported("email,first_name,company\nann@x.example,Ann,Acme\nbob@x.example,Bob,\ncyd@x.example,Cyd,\n")
    plan = tmp_path / "plan.csv"
    rows = (
        "email,first_name,company\nann@x.example,Anna,=Apex\nbob@x.example,Bobby,Bolt\ncyd@x.example,Cyd,\n"
        "\ndi@x.example,Di,\nnobody,,\n"
    )
    result = imported(rows, dry_run=True, plan_file=plan)
    assert result.counts.as_dict() == {
        "rows": 5, "created": 1, "updated": 1, "unchanged": 2, "skipped": 0, "rejected": 1,
    }  # fmt: skip
    assert result.counts.conflicts == 2
    assert [(each.row, each.action, each.reason) for each in result.plan] == [
        (1, "conflict", ""),
        (2, "update", "changes company"),
        (3, "unchanged", ""),
        (5, "create", ""),
        (6, "reject", "no @"),
    ]
    with plan.open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[1:4] == [
        ["1", "conflict", "ann@x.example", "", "first_name", "Ann", "Anna"],
        ["1", "conflict", "ann@x.example", "", "company", "Acme", "'=Apex"],
        ["2", "update", "bob@x.example", "changes company", "first_name", "Bob", "Bobby"],
    ]
    assert plan.stat().st_mode & 0o777 == 0o600
    kept = imported(rows, dry_run=True, policy="keep").plan
    assert [each.action for each in kept] == ["skip", "skip", "skip", "create", "reject"]
    with pytest.raises(InvalidInput, match="A plan is what a dry run writes"):
        imported(rows, plan_file=plan)


def test_a_result_shows_the_first_rows_of_a_plan_and_the_file_has_all(imported: Import, tmp_path: Path) -> None:
    rows = "email\n" + "".join(f"p{n}@x.example\n" for n in range(50))
    result = imported(rows, dry_run=True, plan_file=tmp_path / "plan.csv", batch_rows=7)
    assert [each.row for each in result.plan] == list(range(1, PLANNED_ROWS + 1))
    assert len((tmp_path / "plan.csv").read_text().splitlines()) == 51


def test_a_mapping_is_remembered_for_files_with_the_same_header(crm: CRMRepository, imported: Import) -> None:
    header = "Kontakt,Mail,Wer\n"
    imported(header + "Ann Lee,ann@x.example,vip\n", mapping={"Wer": "tags", "Kontakt": "-"})
    result = imported(header + "Bob Ray,bob@x.example,vip\n")
    assert result.warnings == ("The columns are mapped as they were for “people.csv”: “Wer” is tags, “Kontakt” is -.",)
    assert [(each.name, each.tags) for each in crm.list()] == [("", ("vip",)), ("", ("vip",))]
    assert imported(header + "Cyd Fox,cyd@x.example,vip\n", saved_mapping=False).warnings == ()
    assert crm.get("cyd@x.example").fields == {"wer": "vip"}
    assert imported("Mail,Wer\ndi@x.example,vip\n").warnings == ()
    imported(header, mapping={"Wer": "city"}, dry_run=True)
    assert "“Wer” is tags" in imported(header + "Ed,ed@x.example,\n").warnings[0]


def test_a_typed_field_takes_what_fits_in_its_one_form(db: Database, crm: CRMRepository, imported: Import) -> None:
    Fields(db).add("seats", "number")
    result = imported("email,Seats\nann@x.example,0012.50\nbob@x.example,a dozen\n")
    assert (result.counts.created, result.counts.rejected) == (1, 1)
    assert crm.get("ann@x.example").fields == {"seats": "12.5"}
    assert [each.startswith("seats: ") for each in result.reasons] == [True]


def test_an_address_that_was_merged_away_lands_on_its_survivor(
    db: Database, crm: CRMRepository, imported: Import
) -> None:
    imported("email,first_name\nann@new.example,Ann\n")
    ann = crm.get("ann@new.example")
    db.write(lambda c: c.execute("INSERT INTO alias VALUES ('ann@old.example', ?, NULL)", (ann.id,)))
    rows = "email,first_name,phone,status\nAnn@old.example,Anna,12,unsubscribed\nann@new.example,,,\n"
    dry = imported(rows, policy="overwrite", dry_run=True)
    result = imported(rows, policy="overwrite")
    assert dry.counts == result.counts
    assert (result.counts.updated, result.counts.unchanged) == (1, 1)
    survivor = crm.get("ann@new.example")
    assert (crm.count(), survivor.email, survivor.first_name, survivor.phone) == (1, "ann@new.example", "Anna", "12")
    assert db.read(lambda c: c.execute("SELECT count(*) FROM suppression").fetchone()[0]) == 2


def test_what_decides_an_import_is_written_down_with_it(db: Database, imported: Import) -> None:
    imported(KNOWN, tags=["b", "a"], mapping={"city": "town"}, policy="keep")
    options = json.loads(db.read(lambda c: c.execute("SELECT options FROM import").fetchone()[0]))
    assert options == {"mapping": {"city": "town"}, "policy": {"*": "keep"}, "tags": ["a", "b"], "encoding": None}
