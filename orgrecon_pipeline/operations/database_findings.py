"""Everything that can be said of a database before a comparison, without comparing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from psycopg import sql

from orgrecon_pipeline.compare.engine import choose_digest, open_reader
from orgrecon_pipeline.compare.lockable_tables import require_lockable
from orgrecon_pipeline.compare.preflight import SIDES, Examined, examine, sizes
from orgrecon_pipeline.compare.self_test import run_self_test
from orgrecon_pipeline.compare.statements import EntityStatements, statements_of
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, MappingConfig
from orgrecon_pipeline.postgres.dsn import Endpoint, Endpoints
from orgrecon_pipeline.postgres.session import Deadline, Session
from orgrecon_pipeline.postgres.sql_files import load_sql

# Rows a second of the fingerprint pass, warm, on two cores: a rule of thumb, and for the portable digest an estimate.
_ROWS_PER_SECOND = {"native": 5_000_000, "portable": 1_500_000}
# Below this a sequential scan is what a good plan does.
_SMALL = 10_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. Only a ``problem`` stands in the way of a comparison."""

    level: Literal["ok", "warning", "problem"]
    topic: str
    text: str


def diagnose(mapping: MappingConfig, places: Endpoints) -> Iterator[Finding]:
    """Findings in the order in which a comparison would meet them; it stops at the first problem of a database."""
    if places.one_database:
        yield from _of_database(mapping, places.source, SIDES)
        return
    sound = True
    for side in SIDES:
        for finding in _of_database(mapping, getattr(places, side), (side,)):
            sound = sound and finding.level != "problem"
            yield replace(finding, topic=f"{side}: {finding.topic}")
    if sound:
        yield from _of_both(mapping, places)


def _of_both(mapping: MappingConfig, places: Endpoints) -> Iterator[Finding]:
    try:
        reader = open_reader(mapping, places, Deadline(mapping.scan.deadline_seconds))
        try:
            reader.examine()
            with reader.snapshot():
                reader.run_self_test(tenants=0)
        finally:
            reader.close()
    except CannotDecide as failure:
        yield Finding("problem", "comparison", failure.reason)
        return
    why = "hash a row alike" if reader.digest.native else "hash a row differently, which makes it slower"
    yield Finding("ok", "both databases", f"have the same types, and {why}: the {reader.digest.name} digest is used")
    if not mapping.scan.rechecks:
        yield Finding("warning", "rechecks", "scan.rechecks is 0: two databases have no common snapshot, and a dual "
                                             "write in between them would count as drift")


def _of_database(mapping: MappingConfig, place: Endpoint, sides: tuple[str, ...]) -> Iterator[Finding]:
    deadline = Deadline(mapping.scan.deadline_seconds)
    try:
        session = Session(place, mapping.scan, deadline)
    except CannotDecide as failure:
        yield Finding("problem", "connection", failure.reason)
        return
    try:
        yield Finding("ok", "connection", f"{place.variable} answers")
        examined = examine(session, mapping, sides)
        yield from _identity(session, mapping, examined)
        require_lockable(session, examined)
        yield Finding("ok", "row-level security", "hides nothing from this role")
        for name, types in examined.types.items():
            listed = ", ".join(f"{column} {kind.name}" for column, kind in types.items())
            where = "on both sides" if sides == SIDES else "wherever they are mapped"
            yield Finding("ok", f"columns of {name}", f"of the same type {where}: {listed}")
        yield from _costs(session, mapping, examined)
    except CannotDecide as failure:
        yield Finding("problem", "comparison", failure.reason)
    finally:
        session.close()


def _identity(session: Session, mapping: MappingConfig, examined: Examined) -> Iterator[Finding]:
    identity = examined.identity
    kind = "standby" if identity.in_recovery else "primary"
    yield Finding("ok", "identity", (
        f"database {identity.database} on server {identity.system_identifier}, PostgreSQL {identity.server_version}, "
        f"{kind}, clock {identity.observed_at:%F %T} UTC"
    ))
    if lag := identity.lag(mapping.scan.max_replica_lag_seconds):
        yield Finding("problem", "replica lag", lag)
    elif identity.heartbeat:
        yield Finding("ok", "heartbeat", f"{identity.heartbeat.age_seconds:.1f} s old")
    if identity.simulated:
        yield Finding("warning", "identity", "marked as simulated: evidence of this database never opens a real gate")
    with session.transaction():
        role = session.query(load_sql("compare", "role.sql"), "reading the role")[0]
        by_oid = {row["oid"]: row for row in sizes(session, examined.tables)}
    writable = sorted(t.name for t in examined.tables if by_oid[t.oid]["may_write"])
    if role["superuser"] or writable:
        what = "is a superuser" if role["superuser"] else f"may write {', '.join(writable[:5])}"
        yield Finding("warning", "role", f"{role['role']} {what}: SELECT is all that is needed")
    else:
        yield Finding("ok", "role", f"{role['role']} can only read")
    for table in examined.tables:
        if table.kind == "f":
            yield Finding("warning", "tables",
                          f"{table.schema}.{table.name} is a foreign table: it is not part of the snapshot")


def _costs(session: Session, mapping: MappingConfig, examined: Examined) -> Iterator[Finding]:
    digest = choose_digest()
    with session.transaction(examined.lockable):
        session.identify()
        run_self_test(session, digest)
        yield Finding("ok", "self-test", "finds exactly the drift that it plants")
        rows = {row["oid"]: row["estimated_rows"] for row in sizes(session, examined.tables)}
        by_name = {(table.schema, table.name): rows[table.oid] for table in examined.tables}
        for name, statements in statements_of(mapping, examined.types, digest).items():
            for side in examined.sides:
                scanned = sorted(_scanned_whole(session, statements, side, by_name))
                if scanned:
                    yield Finding("warning", f"indexes of {name}.{side}",
                                  f"{', '.join(scanned)} is read whole for every drifting batch of tenants: an index "
                                  f"that begins with {entity_tenant(mapping, name, side)} makes that faster")
    seconds = examined.estimated_rows / _ROWS_PER_SECOND[digest.name]
    yield Finding("ok", "estimated time", (
        f"about {examined.estimated_rows:,} rows by the server's statistics: some {max(1, round(seconds))} s with the "
        f"{digest.name} digest when the tables are in memory"
    ))


def entity_tenant(mapping: MappingConfig, name: str, side: str) -> str:
    """The expression of the tenant on one side of an entity."""
    relations = getattr(mapping.entities[name], side)
    return str(relations[0].columns[TENANT_COLUMN])


def _scanned_whole(session: Session, statements: EntityStatements, side: str,
                   rows: dict[tuple[str, str], int]) -> set[str]:
    """Large tables that the planner reads whole to find one tenant: asked of the planner, not guessed from SQL."""
    relations = getattr(statements.entity, side)
    query = sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE) {}").format(statements.side(relations, of_tenants=True))
    tenant = session.query(
        sql.SQL("SELECT tenant_id::text AS tenant FROM ({}) AS r LIMIT 1").format(statements.side(relations)),
        statements.name,
    )
    wanted = {"tenants": [row["tenant"] for row in tenant]}
    plan = session.query(query, statements.name, wanted)[0]["QUERY PLAN"]
    found: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        if node.get("Node Type") == "Seq Scan" and rows.get((node["Schema"], node["Relation Name"]), 0) > _SMALL:
            found.add(f"{node['Schema']}.{node['Relation Name']}")
        for child in node.get("Plans", ()):
            walk(child)

    for root in json.loads(plan) if isinstance(plan, str) else plan:
        walk(root["Plan"])
    return found
