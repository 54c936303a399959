"""A database with drift, observed into a ledger, whose repair script a test runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline.operations.repair import RepairPlan, plan_repair
from orgrecon_pipeline_tests.support.ledger.cases import new_sqlite_ledger

COLUMNS = {name: name for name in ("tenant_id", "k", "v")}
UNITS, MEMBERSHIPS = "org_units", "org_unit_memberships"
QUICK_SCAN = {"settle_seconds": 0.0, "rechecks": 1}


class RepairScenario:
    """One database, one mapping and one ledger."""

    def __init__(self, admin: psycopg.Connection[Any], dsn: str, directory: Path, mapping: MappingConfig) -> None:
        self.admin, self.dsn, self.directory = admin, dsn, directory
        self.mapping_file = directory / "orgrecon.yaml"
        self.use_mapping(mapping)
        self.ledger = new_sqlite_ledger(directory / "ledger.db")

    def use_mapping(self, mapping: MappingConfig, **entities: dict[str, Any]) -> None:
        """Compare under this mapping, with parts of the relations of its entities replaced."""
        value = mapping.model_dump(by_alias=True, mode="json")
        value["scan"] |= QUICK_SCAN
        for name, sides in entities.items():
            for side, changes in sides.items():
                [relation] = value["entities"][name][side]
                relation |= {**changes, "columns": {**relation["columns"], **changes.get("columns", {})}}
        self.mapping = MappingConfig.model_validate(value)
        self.mapping_file.write_text(self.mapping.model_dump_json(by_alias=True))

    @property
    def settings(self) -> Settings:
        return read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{self.directory / 'ledger.db'}",
                              "ORGRECON_MAPPING": str(self.mapping_file), "DATABASE_URL": self.dsn})

    def observe(self) -> Observation:
        """Compare today and store the observation."""
        context = Context(self.mapping, self.ledger, self.directory / "reports", environ=self.settings.environ)
        return observe(context, Clock().today()).observation

    def plan(self) -> RepairPlan:
        """Plan the repair of a new observation, which must be a FAIL."""
        assert self.observe().verdict is Verdict.FAIL
        return plan_repair(self.settings, None)

    def repair_sql(self) -> str:
        """Return the repair script of a new observation, which must be a FAIL."""
        return self.plan().script.sql

    def apply(self, sql: str, options: str = "") -> list[str]:
        """Run a repair script and return the notice of each step that changed or skipped something."""
        notices: list[str] = []
        with psycopg.connect(self.dsn, autocommit=True, options=options) as connection:
            connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
            connection.execute(sql.encode())
        return [notice for notice in notices if not notice.endswith(": 0")]

    def repair(self) -> list[str]:
        """Observe, then run the repair script; see :meth:`apply`."""
        return self.apply(self.repair_sql())

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, in a stable order."""
        return sorted(self.admin.execute(query.encode()).fetchall(), key=str)


class CompanyScenario(RepairScenario):
    """The demo's company, without drift at first."""

    def __init__(self, admin: psycopg.Connection[Any], dsn: str, directory: Path) -> None:
        super().__init__(admin, dsn, directory, default_mapping())
        self.tenants = [tenant for (tenant,) in admin.execute("SELECT id FROM public.tenants ORDER BY ctid")]

    def rows(self, table: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Return rows with their transaction and physical address, which change if a row is written at all."""
        return self.admin.execute(
            f"SELECT xmin::text, ctid::text, x.* FROM public.{table} AS x WHERE {where} ORDER BY x::text"
        ).fetchall()

    def all_rows(self, where: str = "true") -> list[Any]:
        """Return the rows of all compared tables; see :meth:`rows`."""
        return [self.rows(table, where) for table in ("teams", "team_members", UNITS, MEMBERSHIPS)]


#: Creates tables and returns a scenario over them; see the fixture ``make_tables``.
MakeTables = Callable[..., RepairScenario]


def entity(source: Any = "public.s", target: Any = "public.t", columns: dict[str, str] | None = None,
           **fields: Any) -> dict[str, Any]:
    """Return an entity with the key ``k`` and the compared column ``v``.

    Args:
        source: the ``from`` of the source, or parts of its relation.
        target: the same for the target.
        columns: the columns of both sides.
        fields: further fields of the entity.
    """
    sides = {name: {"from": side, "columns": columns or COLUMNS} if isinstance(side, str) else
             {"columns": COLUMNS, **side} for name, side in (("source", source), ("target", target))}
    return {"key": ["k"], "compare": ["v"], **sides, **fields}


def table_scenario(
    admin: psycopg.Connection[Any], dsn: str, directory: Path, entities: dict[str, Any]
) -> RepairScenario:
    """Return a scenario over the tables of a test, usually ``s`` and ``t``."""
    return RepairScenario(admin, dsn, directory, MappingConfig.model_validate({"version": 1, "entities": entities}))
