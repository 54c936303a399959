"""A company in two databases, or in shards: each of them with what it holds and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.mapping import MappingConfig, Shard
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline_tests.support.operations.site import READER, Site, quick, site_of

Connect = Callable[[str], psycopg.Connection[Any]]
LEGACY = ("teams", "team_members")
V23 = ("org_units", "org_unit_memberships")
NAMES = ("ap1", "eu1", "us1")
MEMBERSHIPS = "org_unit_memberships"
NO_SELECT, SELECT = (f"{verb} SELECT ON public.teams {way} {READER}" for verb, way in (
    ("REVOKE", "FROM"), ("GRANT", "TO")))


@dataclass
class TwoSites(Site):
    """``admin`` and ``dsn`` are the source's; statements on the tables of v2.3 are for the target."""

    target_dsn: str = ""
    target_admin: psycopg.Connection[Any] = None  # type: ignore[assignment]

    def run(self, *statements: str) -> None:
        for statement in statements:
            of_target = any(f"public.{table}" in statement for table in V23)
            (self.target_admin if of_target else self.admin).execute(statement)

    @property
    def context(self) -> Context:
        return Context(self.mapping, self.ledger, self.directory / "reports",
                       environ={"DATABASE_URL": self.dsn, "ORGRECON_TARGET_DATABASE_URL": self.target_dsn})


def split_site(source: psycopg.Connection[Any], source_dsn: str, target: psycopg.Connection[Any], target_dsn: str,
               place: Path) -> TwoSites:
    """The same company in two databases that have the tables, and of each side only one of them has any."""
    one, other = site_of(source, source_dsn, place), site_of(target, target_dsn, place)
    for admin, tables in ((source, V23), (target, ("tenants", *LEGACY))):
        for table in tables:
            admin.execute(f"DROP TABLE public.{table}")
    return TwoSites(source, one.dsn, one.ledger, place, target_dsn=other.dsn, target_admin=target)


@dataclass
class Shards(Site):
    """Several databases; ``admin`` and ``dsn`` are those of the first."""

    admins: dict[str, psycopg.Connection[Any]] = field(default_factory=dict)
    dsns: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        return Context(self.mapping, self.ledger, self.directory / "reports",
                       environ={f"{name.upper()}_URL": dsn for name, dsn in self.dsns.items()})

    def tenants(self, name: str) -> list[str]:
        """The tenants that have rows in a shard."""
        return [tenant for (tenant,) in self.admins[name].execute(
            "SELECT DISTINCT tenant_id FROM public.teams ORDER BY tenant_id")]


def sharded(names: tuple[str, ...], **scan: Any) -> MappingConfig:
    """The default mapping over shards of these names, impatient."""
    shards = tuple(Shard(name=n, source_env=f"{n.upper()}_URL", target_env=f"{n.upper()}_URL") for n in names)
    return quick(**scan).model_copy(update={"shards": shards})


def shards_of(
    names: tuple[str, ...], new_database: Callable[..., str], template: str, connect: Connect, place: Path,
    **scan: Any
) -> Shards:
    """A company of four tenants in each shard, whose names begin with the shard's."""
    admins, dsns, ledger = {}, {}, None
    for name in names:
        dsn = new_database(template)
        admins[name] = connect(dsn)
        site = site_of(admins[name], dsn, place, tenants=4)
        dsns[name], ledger = site.dsn, site.ledger
        for table in (*LEGACY, *V23):
            admins[name].execute(f"UPDATE public.{table} SET tenant_id = '{name}-' || tenant_id")
        admins[name].execute(f"UPDATE public.tenants SET id = '{name}-' || id")
    assert ledger is not None
    return Shards(admins[names[0]], dsns[names[0]], ledger, place, sharded(names, **scan), admins, dsns)


def lose(shards: Shards, name: str, table: str = MEMBERSHIPS) -> None:
    """One row of that shard goes missing."""
    shards.admins[name].execute(f"DELETE FROM public.{table} WHERE ctid = (SELECT min(ctid) FROM public.{table})")


def reused(after: Observation) -> set[str]:
    """The shards that were not compared again."""
    return {name for name, facts in after.compared["shards"].items() if "reused_from" in facts}
