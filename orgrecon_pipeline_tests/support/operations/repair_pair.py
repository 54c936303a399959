"""A company that falls ill and is healed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline.operations.repair import RepairPlan, repair_sql

BOTH = {name: name for name in ("tenant_id", "k", "v")}
UNITS, MEMBERSHIPS = "org_units", "org_unit_memberships"
IMPATIENT = {"scan": {"settle_seconds": 0.0, "rechecks": 1}}


class Patient:
    """One company, one ledger, one observer."""

    def __init__(self, admin: psycopg.Connection[Any], dsn: str, place: Path) -> None:
        self.admin, self.dsn, self.place = admin, dsn, place
        self.mapping_file = place / "orgrecon.yaml"
        self.use(default_mapping())
        self.tenants = list(seed(admin, tenants=12, users_per_tenant=8).tenants)
        self.ledger: Ledger = open_ledger(self.settings.ledger_url)

    def use(self, mapping: MappingConfig, **entities: dict[str, Any]) -> None:
        """Compare by this mapping, with parts of its targets replaced."""
        value = mapping.model_dump(by_alias=True, mode="json")
        value["scan"] |= IMPATIENT["scan"]
        for name, parts in entities.items():
            for side, changes in parts.items():
                [relation] = value["entities"][name][side]
                relation |= {**changes, "columns": {**relation["columns"], **changes.get("columns", {})}}
        self.mapping = MappingConfig.model_validate(value)
        self.mapping_file.write_text(self.mapping.model_dump_json(by_alias=True))

    @property
    def settings(self) -> Settings:
        return read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{self.place / 'ledger.db'}",
                              "ORGRECON_MAPPING": str(self.mapping_file), "DATABASE_URL": self.dsn})

    def observe(self) -> Observation:
        context = Context(self.mapping, self.ledger, self.place / "reports", environ=self.settings.environ)
        return observe(context, Clock().today()).observation

    def healing(self) -> RepairPlan:
        """The repair of an observation that has to be a FAIL."""
        assert self.observe().verdict is Verdict.FAIL
        return repair_sql(self.settings, None)

    def apply(self, sql: str, options: str = "") -> list[str]:
        """What the server said of each step that did something."""
        said: list[str] = []
        with psycopg.connect(self.dsn, autocommit=True, options=options) as connection:
            connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
            connection.execute(sql.encode())
        return [line for line in said if not line.endswith(": 0")]

    def heal(self) -> None:
        self.apply(self.healing().repair.sql)

    def rows(self, table: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Rows with the transaction that wrote them: another one, and they were touched."""
        return self.admin.execute(
            f"SELECT xmin::text, ctid::text, x.* FROM public.{table} AS x WHERE {where} ORDER BY x::text"
        ).fetchall()

    def everything(self, where: str = "true") -> list[Any]:
        return [self.rows(table, where) for table in ("teams", "team_members", UNITS, MEMBERSHIPS)]


def entity(source: Any = "public.s", target: Any = "public.t", columns: dict[str, str] | None = None,
           **parts: Any) -> dict[str, Any]:
    """An entity with the key ``k`` and the compared column ``v``; a side is its ``from``, or the whole relation."""
    sides = {name: {"from": side, "columns": columns or BOTH} if isinstance(side, str) else {"columns": BOTH, **side}
             for name, side in (("source", source), ("target", target))}
    return {"key": ["k"], "compare": ["v"], **sides, **parts}


class Pair(Patient):
    """Tables of a test's own, ``s`` and ``t`` most often, in place of the company's."""

    def __init__(self, admin: psycopg.Connection[Any], dsn: str, place: Path, entities: dict[str, Any]) -> None:
        self.admin, self.dsn, self.place = admin, dsn, place
        self.mapping_file = place / "orgrecon.yaml"
        self.use(MappingConfig.model_validate({"version": 1, "entities": entities}))
        self.ledger = open_ledger(self.settings.ledger_url)

    def table(self, query: str) -> list[tuple[Any, ...]]:
        """What a query says, in some lasting order."""
        return sorted(self.admin.execute(query.encode()).fetchall(), key=str)
