"""Airtable as a person has it open in a browser: what they do there while we are not looking."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from aicmo.config import Config
from aicmo.crm.syncing import SyncOptions, SyncResult
from aicmo.paths import Paths
from aicmo.sandbox import RunningSandbox
from aicmo.workspace import Workspace, open_workspace

BASE = "appSandboxAAAAAAA"
ID = "AICMO ID"


class There:
    def __init__(self, sandbox: RunningSandbox) -> None:
        sandbox.set_account("airtable", requests_per_second=100_000)
        self._http = httpx.Client(
            base_url=f"{sandbox.http['airtable'].base_url}/{BASE}",
            headers={"authorization": f"Bearer {sandbox.keys['airtable']}"},
            trust_env=False,
            timeout=10,
        )

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, table: str = "Contacts") -> list[dict[str, Any]]:
        """Every record, by its id."""
        found: list[dict[str, Any]] = []
        offset: dict[str, str] = {}
        while True:
            page = self._ask("GET", f"/{table}", params=offset)
            found += page["records"]
            if "offset" not in page:
                return sorted(found, key=lambda row: str(row["id"]))
            offset = {"offset": page["offset"]}

    def row(self, email: str) -> dict[str, Any]:
        """The one record of that address."""
        (found,) = [row for row in self.rows() if row["fields"].get("Email") == email]
        return found

    def cells(self, email: str) -> dict[str, Any]:
        return {name: value for name, value in self.row(email)["fields"].items() if name not in (ID, "Last modified")}

    def add(self, *people: Mapping[str, Any], table: str = "Contacts") -> list[str]:
        ids: list[str] = []
        for start in range(0, len(people), 10):
            records = [{"fields": dict(cells)} for cells in people[start : start + 10]]
            ids += [row["id"] for row in self._ask("POST", f"/{table}", json={"records": records})["records"]]
        return ids

    def edit(self, email: str, **cells: Any) -> None:
        """``First_name="Ada"``: an underscore stands for a space."""
        self.change(self.row(email)["id"], {name.replace("_", " "): value for name, value in cells.items()})

    def change(self, record_id: str, cells: Mapping[str, Any], table: str = "Contacts") -> None:
        self._ask("PATCH", f"/{table}", json={"records": [{"id": record_id, "fields": dict(cells)}]})

    def delete(self, ids: Sequence[str], table: str = "Contacts") -> None:
        for start in range(0, len(ids), 10):
            self._ask("DELETE", f"/{table}", params={"records[]": list(ids[start : start + 10])})

    def clear(self) -> None:
        for table in ("Contacts", "Interactions"):
            self.delete([row["id"] for row in self.rows(table)], table)


# --- here -------------------------------------------------------------------------------------------------------------


def config(sandbox: RunningSandbox, *, chain: tuple[str, ...] = ("airtable",), **settings: Any) -> Config:
    block = {
        "kind": "airtable",
        "base_url": sandbox.http["airtable"].base_url,
        "api_key": sandbox.keys["airtable"],
        "base_id": BASE,
        "limits": {"second": 10_000},
        "timeout_seconds": 5,
        **settings,
    }
    sender = {"name": "Ada", "email": "ada@example.com", "postal_address": "x"}
    return Config.model_validate(
        {"sender": sender, "chains": {"crm_sync": list(chain)}, "providers": {"airtable": block}}
    )


@asynccontextmanager
async def home(folder: Path, sandbox: RunningSandbox, **settings: Any) -> AsyncIterator[Workspace]:
    paths = Paths(config_file=folder / "config.toml", data_dir=folder / "data")
    async with open_workspace(paths, config(sandbox, **settings)) as workspace:
        yield workspace


async def sync(workspace: Workspace, **options: Any) -> SyncResult:
    return await workspace.sync.sync(SyncOptions(**options))


def everybody(workspace: Workspace) -> dict[str, dict[str, Any]]:
    return {
        each.address: {
            "First name": each.first_name,
            "Company": each.company,
            "Tags": set(each.tags),
        }
        for each in workspace.crm.iterate()
    }


def base(there: There) -> dict[str, dict[str, Any]]:
    return {
        cells["Email"].lower(): {
            "First name": cells.get("First name", ""),
            "Company": cells.get("Company", ""),
            "Tags": set(cells.get("Tags", ())),
        }
        for cells in (row["fields"] for row in there.rows())
    }
