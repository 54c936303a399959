"""Test sites with the two sides in two databases, or with several shards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.mapping.model import MappingConfig, Shard
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline_tests.support.operations.site import READER, Site, fast_mapping, make_site

Connect = Callable[[str], psycopg.Connection[Any]]
LEGACY = ("teams", "team_members")
V23 = ("org_units", "org_unit_memberships")
NAMES = ("ap1", "eu1", "us1")
MEMBERSHIPS = "org_unit_memberships"
NO_SELECT, SELECT = (f"{verb} SELECT ON public.teams {way} {READER}" for verb, way in (
    ("REVOKE", "FROM"), ("GRANT", "TO")))


@dataclass
class TwoDatabases(Site):
    """``admin`` and ``dsn`` are of the source; statements on the v2.3 tables run in the target."""

    target_dsn: str = ""
    target_admin: psycopg.Connection[Any] = None  # type: ignore[assignment]

    def run(self, *statements: str) -> None:
        for statement in statements:
            on_target = any(f"public.{table}" in statement for table in V23)
            (self.target_admin if on_target else self.admin).execute(statement)

    @property
    def context(self) -> Context:
        return Context(self.mapping, self.ledger, self.directory / "reports",
                       environ={"DATABASE_URL": self.dsn, "ORGRECON_TARGET_DATABASE_URL": self.target_dsn})


def make_two_databases(
    source: psycopg.Connection[Any], source_dsn: str, target: psycopg.Connection[Any], target_dsn: str, directory: Path
) -> TwoDatabases:
    """Fill two databases with the same company, and drop the tables of the other side in each."""
    source_site, target_site = make_site(source, source_dsn, directory), make_site(target, target_dsn, directory)
    for admin, tables in ((source, V23), (target, ("tenants", *LEGACY))):
        for table in tables:
            admin.execute(f"DROP TABLE public.{table}")
    return TwoDatabases(
        source, source_site.dsn, source_site.ledger, directory, target_dsn=target_site.dsn, target_admin=target)


@dataclass
class ShardedSite(Site):
    """Several shards; ``admin`` and ``dsn`` are of the first one."""

    admins: dict[str, psycopg.Connection[Any]] = field(default_factory=dict)
    dsns: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        return Context(self.mapping, self.ledger, self.directory / "reports",
                       environ={f"{name.upper()}_URL": dsn for name, dsn in self.dsns.items()})

    def tenants(self, name: str) -> list[str]:
        """Return the tenants with rows in a shard."""
        return [tenant for (tenant,) in self.admins[name].execute(
            "SELECT DISTINCT tenant_id FROM public.teams ORDER BY tenant_id")]


def sharded_mapping(names: tuple[str, ...], **scan: Any) -> MappingConfig:
    """Return the default mapping with shards of these names and short timeouts."""
    shards = tuple(Shard(name=n, source_env=f"{n.upper()}_URL", target_env=f"{n.upper()}_URL") for n in names)
    return fast_mapping(**scan).model_copy(update={"shards": shards})


def make_shards(
    names: tuple[str, ...], new_database: Callable[..., str], template: str, connect: Connect, directory: Path,
    **scan: Any
) -> ShardedSite:
    """Fill each shard with a company of four tenants, whose names start with the name of the shard."""
    admins, dsns, ledger = {}, {}, None
    for name in names:
        dsn = new_database(template)
        admins[name] = connect(dsn)
        site = make_site(admins[name], dsn, directory, tenants=4)
        dsns[name], ledger = site.dsn, site.ledger
        for table in (*LEGACY, *V23):
            admins[name].execute(f"UPDATE public.{table} SET tenant_id = '{name}-' || tenant_id")
        admins[name].execute(f"UPDATE public.tenants SET id = '{name}-' || id")
    assert ledger is not None
    mapping = sharded_mapping(names, **scan)
    return ShardedSite(admins[names[0]], dsns[names[0]], ledger, directory, mapping, admins, dsns)


def delete_row(shards: ShardedSite, name: str, table: str = MEMBERSHIPS) -> None:
    """Delete one row of a shard."""
    shards.admins[name].execute(f"DELETE FROM public.{table} WHERE ctid = (SELECT min(ctid) FROM public.{table})")


def reused_shards(after: Observation) -> set[str]:
    """Return the shards that were not compared again."""
    return {name for name, facts in after.compared["shards"].items() if "reused_from" in facts}
