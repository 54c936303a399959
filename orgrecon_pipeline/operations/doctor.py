"""The ``doctor`` checks: connection, identity, role, row-level security, tables, types, indexes and estimated time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from psycopg import sql

from orgrecon_pipeline.compare.catalog import table_sizes
from orgrecon_pipeline.compare.engine import new_row_hash, open_reader
from orgrecon_pipeline.compare.failures.cause import name_cause
from orgrecon_pipeline.compare.preflight import Preflight, require_lockable, run_preflight
from orgrecon_pipeline.compare.queries.statements import EntityStatements, statements_by_entity
from orgrecon_pipeline.compare.query_plan import explain
from orgrecon_pipeline.compare.self_test import run_self_test
from orgrecon_pipeline.config.settings import DEFAULT_LEDGER_URL
from orgrecon_pipeline.domain.duration import EarlierComparison, Prediction, in_words, predict
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import SIDES, TENANT_COLUMN, MappingConfig
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.table_sizes import SizeCollector, last_comparison
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints
from orgrecon_pipeline.postgres.identity import identify
from orgrecon_pipeline.postgres.locks.give_way import give_way
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql

# A good plan scans a table of fewer rows sequentially.
_LARGE_TABLE_ROWS = 10_000


@dataclass(frozen=True)
class Finding:
    """Result of one check. Only a ``problem`` prevents a comparison."""

    level: Literal["ok", "warning", "problem"]
    topic: str
    text: str


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order of the checks, and the predicted duration of the next comparison if it can run."""

    findings: tuple[Finding, ...]
    prediction: Prediction | None = None

    @property
    def ready(self) -> bool:
        """Whether a comparison can run."""
        return all(finding.level != "problem" for finding in self.findings)

    @property
    def cannot_compare(self) -> bool:
        """Whether a database accepts connections, but not the comparison of the mapping."""
        return any(finding.level == "problem" and finding.topic.endswith("comparison") for finding in self.findings)

    def warned(self, topic: str, texts: Iterable[str]) -> Diagnosis:
        """Return this diagnosis with one more warning for each text."""
        return replace(self, findings=(*self.findings, *(Finding("warning", topic, text) for text in texts)))

    def as_json_value(self) -> dict[str, Any]:
        """Return the diagnosis as JSON values."""
        return {"ready": self.ready, "findings": [asdict(finding) for finding in self.findings],
                "prediction": self.prediction and self.prediction.as_json_value()}


def diagnose(context: Context) -> Diagnosis:
    """Check the databases of every shard, and where the ledger is.

    Raises:
        ConfigurationError: if the environment names no usable database.
    """
    sizes = SizeCollector()
    endpoints = context.endpoints()
    findings = [
        replace(finding, topic=f"shard {name}: {finding.topic}") if name else finding
        for name, of_shard in endpoints.items()
        for finding in _check_endpoints(context.mapping, of_shard, sizes)]
    prediction = None
    if all(finding.level != "problem" for finding in findings):
        earlier = last_comparison(context.ledger, context.mapping)
        scan = context.mapping.scan
        prediction = predict(
            sizes.sides, earlier, analysed=not sizes.unknown, waits=scan.rechecks * scan.settle_seconds,
            at_once=min(len(endpoints), scan.shards_at_once))
        findings.append(Finding("ok", "estimated time", _describe(prediction, earlier, sizes.unknown)))
    return Diagnosis((*findings, *_check_ledger(context.environ)), prediction)


def _describe(prediction: Prediction, earlier: EarlierComparison | None, unknown: Iterable[str]) -> str:
    if prediction.seconds is None or prediction.seconds_if_drift is None:
        return f"unknown: the server has no statistics of {', '.join(sorted(unknown))}, so run ANALYZE"
    rows = "" if prediction.rows is None else " for 1 row" if prediction.rows == 1 else (
        f" for about {prediction.rows:,} rows (by the server's statistics)")
    basis = "if the tables are in memory" if earlier is None else (
        f"as the last comparison took {earlier.seconds:.1f} s for {counted(earlier.rows, 'row')}")
    words, if_drift = in_words(prediction.seconds), in_words(prediction.seconds_if_drift)
    waits = "" if if_drift == words else f"; {if_drift} if keys drift, because each recheck waits first"
    return f"{words}{rows}, {basis}{waits}"


def _check_ledger(environ: Mapping[str, str]) -> Iterator[Finding]:
    url = environ.get("ORGRECON_LEDGER_URL") or DEFAULT_LEDGER_URL
    if environ.get("KUBERNETES_SERVICE_HOST") and not Dsn.is_postgres(url):
        yield Finding("warning", "ledger", (
            "is an SQLite file in a pod: if its volume is lost, so is the knowledge of which tenants existed, and with "
            "it the detection of lost coverage; set ORGRECON_LEDGER_URL to a Postgres database"))


def _check_endpoints(mapping: MappingConfig, endpoints: Endpoints, sizes: SizeCollector) -> list[Finding]:
    """Return the findings in the order of a comparison; the checks of a database end at its first problem."""
    def check(deadline: Deadline) -> tuple[list[Finding], SizeCollector]:
        of_attempt = SizeCollector()
        return list(_check_within(deadline, mapping, endpoints, of_attempt)), of_attempt

    try:
        findings, read = give_way(check, endpoints, mapping.scan, Deadline(mapping.scan.deadline_seconds)).result
        sizes.add(read)
        return findings
    except CannotDecide as failure:
        return [Finding("problem", "comparison", str(failure))]


def _check_within(
    deadline: Deadline, mapping: MappingConfig, endpoints: Endpoints, sizes: SizeCollector
) -> Iterator[Finding]:
    if endpoints.one_database:
        yield from _check_database(deadline, mapping, endpoints.source, SIDES, sizes)
        return
    ready = True
    for side in SIDES:
        for finding in _check_database(deadline, mapping, getattr(endpoints, side), (side,), sizes):
            ready = ready and finding.level != "problem"
            yield replace(finding, topic=f"{side}: {finding.topic}")
    if ready:
        yield from _check_both_databases(deadline, mapping, endpoints, sizes)


def _check_both_databases(
    deadline: Deadline, mapping: MappingConfig, endpoints: Endpoints, sizes: SizeCollector
) -> Iterator[Finding]:
    try:
        with closing(open_reader(mapping, endpoints, deadline)) as reader:
            reader.run_preflight()
            with reader.snapshot():
                reader.run_self_test(tenants=0)
    except CannotDecide as failure:
        yield Finding("problem", "comparison", str(failure))
        return
    sizes.set_digest(reader.row_hash.name)
    hashing = "hash rows alike" if reader.row_hash.native else "hash rows differently (slower)"
    yield Finding("ok", "both databases",
                  f"have the same column types and {hashing}: the {reader.row_hash.name} digest is used")
    if not mapping.scan.rechecks:
        yield Finding("warning", "rechecks", "scan.rechecks is 0, but two databases have no common snapshot: a "
                                             "dual write between the snapshots would count as drift; set it to 1")


def _check_database(
    deadline: Deadline, mapping: MappingConfig, endpoint: Endpoint, sides: tuple[str, ...], sizes: SizeCollector
) -> Iterator[Finding]:
    topic = "connection"
    try:
        with closing(Session(endpoint, mapping.scan, deadline)) as session:
            yield Finding("ok", topic, f"the database of {endpoint.variable} accepts connections")
            topic = "comparison"
            try:
                yield from _check_comparison(session, mapping, sides, sizes)
            except CannotDecide as failure:
                raise name_cause(dict.fromkeys(sides, session), mapping, failure, show_role=True) from None
    except CannotDecide as failure:
        yield Finding("problem", topic, str(failure))


def _check_comparison(
    session: Session, mapping: MappingConfig, sides: tuple[str, ...], sizes: SizeCollector
) -> Iterator[Finding]:
    preflight = run_preflight(session, mapping, sides)
    yield from _check_identity_and_role(session, mapping, preflight)
    require_lockable(session, preflight)
    yield Finding("ok", "row-level security", "hides no rows from this role")
    for name, types in preflight.types.items():
        columns = ", ".join(f"{column} {column_type.name}" for column, column_type in types.items())
        where = "on both sides" if sides == SIDES else "wherever they are mapped"
        yield Finding("ok", f"columns of {name}", f"have the same type {where}: {columns}")
    yield from _check_speed(session, mapping, preflight, sizes)


def _check_identity_and_role(session: Session, mapping: MappingConfig, preflight: Preflight) -> Iterator[Finding]:
    identity = preflight.identity
    kind = "standby" if identity.in_recovery else "primary"
    yield Finding("ok", "identity", (
        f"database {identity.database} on server {identity.system_identifier}, PostgreSQL {identity.server_version}, "
        f"{f'Citus {identity.citus}, ' if identity.citus else ''}{kind}, clock {identity.observed_at:%F %T} UTC"))
    if lag := identity.lag(mapping.scan.max_replica_lag_seconds):
        yield Finding("problem", "replica lag", lag)
    elif identity.heartbeat:
        yield Finding("ok", "heartbeat", f"{identity.heartbeat.age_seconds:.1f} s old")
    if identity.simulated:
        yield Finding("warning", "identity", "the database is marked as simulated: it never opens a real gate")
    with session.transaction():
        role = session.query(load_sql("compare/sql/role.sql"), "reading the role")[0]
        sizes_by_oid = {row["oid"]: row for row in table_sizes(session, preflight.tables)}
    writable = sorted(table.name for table in preflight.tables if sizes_by_oid[table.oid]["may_write"])
    if role["superuser"] or writable:
        excess = "is a superuser" if role["superuser"] else f"may write to {', '.join(writable[:5])}"
        yield Finding("warning", "role", f"{role['role']} {excess}: use a role with only SELECT on the mapped tables")
    else:
        yield Finding("ok", "role", f"{role['role']} can only read")
    for warning in preflight.warnings:
        yield Finding("warning", "mapping", warning["text"])


def _check_speed(
    session: Session, mapping: MappingConfig, preflight: Preflight, sizes: SizeCollector
) -> Iterator[Finding]:
    row_hash = new_row_hash()
    with session.transaction(preflight.lockable):
        identify(session)
        session.query(load_sql("postgres/sql/export_snapshot.sql"), "exporting the snapshot")
        run_self_test(session, row_hash)
        yield Finding("ok", "self-test", "the comparison finds exactly the known drift")
        tables = {table.oid: (table.schema, table.name) for table in preflight.tables}
        size_of = {tables[row["oid"]]: row for row in table_sizes(session, preflight.tables)}
        rows_by_name = {name: size["estimated_rows"] / size["shards"] for name, size in size_of.items()}
        distributed = frozenset(preflight.sides if session.citus_version else ())
        statements_of = statements_by_entity(mapping, preflight.types, row_hash, distributed=distributed)
        for name, statements in statements_of.items():
            for side in preflight.sides:
                sizes.measure(session, statements, side, size_of)
                if scanned := sorted(_scanned_tables(session, statements, side, rows_by_name)):
                    tenant = getattr(mapping.entities[name], side)[0].columns[TENANT_COLUMN]
                    yield Finding("warning", f"indexes of {name}.{side}", (
                        f"each batch of drifting tenants scans {' and '.join(scanned)} sequentially: an index that "
                        f"starts with {tenant} makes this faster"))


def _scanned_tables(session: Session, statements: EntityStatements, side: str,
                    rows_by_name: dict[tuple[str, str], float]) -> set[str]:
    """Return the large tables that the planner scans sequentially to read one tenant.

    Given are the rows of a table or, if it is distributed, of a shard of it. All columns of the first row are computed,
    so that a function that cannot run fails here.
    """
    first = session.query(
        sql.SQL("SELECT tenant_id::text AS tenant, pg_catalog.length(r::text) FROM ({}) AS r LIMIT 1").format(
            statements.side(side)), statements.name)
    parameters = {"tenants": [row["tenant"] for row in first]}
    scans = explain(session, statements.side(side, of_tenants=True), statements.name, parameters)
    scanned = {(scan.schema, scan.name) for scan in scans if scan.sequential}
    return {".".join(name) for name in scanned if rows_by_name.get(name, 0) > _LARGE_TABLE_ROWS}
