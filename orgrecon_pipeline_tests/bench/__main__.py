"""``make bench``: the engine beside other ways to compare the same tables, in one run, as ratios.

``BENCH_ROWS`` (default ``100000,1000000``) are memberships a side, ``BENCH_ROUNDS`` (default 3) rounds, of which the
median counts. Data is built in an embedded server whose settings are PostgreSQL's defaults but for durability.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import create_schema
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.source.compare import compare
from orgrecon_pipeline.source.dsn import Dsn

TENANT_ROWS = 2_000
UNIT_ROWS = 50

SEED = """
INSERT INTO tenants SELECT 'tenant-' || t FROM generate_series(1, %(tenants)s) t;
INSERT INTO teams SELECT 'tenant-' || t, u, 'team ' || u, CASE WHEN u > 1 THEN 1 END, NULL
    FROM generate_series(1, %(tenants)s) t, generate_series(1, %(units)s) u;
INSERT INTO org_units (tenant_id, id, legacy_id, kind, name, parent_id)
    SELECT tenant_id, md5(tenant_id || id)::uuid, id, 'team', name, md5(tenant_id || parent_team_id)::uuid FROM teams;
INSERT INTO team_members SELECT tenant_id, id, md5(tenant_id || id || m)::uuid, 'member'
    FROM teams, generate_series(1, %(members)s) m;
INSERT INTO org_unit_memberships SELECT tenant_id, md5(tenant_id || team_id)::uuid, user_id, role FROM team_members;
"""
DRIFT = """
UPDATE org_unit_memberships SET role = 'owner' WHERE (tenant_id, user_id) IN (
    SELECT tenant_id, min(user_id::text)::uuid FROM org_unit_memberships
    WHERE substr(tenant_id, 8)::int <= %(drifting)s GROUP BY tenant_id)
"""
SOURCE = "SELECT tenant_id, team_id AS unit_id, user_id, role FROM team_members"
TARGET = ("SELECT m.tenant_id, u.legacy_id AS unit_id, m.user_id, m.role FROM org_unit_memberships m "
          "JOIN org_units u ON u.id = m.org_unit_id AND u.tenant_id = m.tenant_id")
OTHERS = {
    "count(*) of the tables": "SELECT (SELECT count(*) FROM team_members), (SELECT count(*) FROM org_unit_memberships)",
    "one FULL JOIN": f"SELECT count(*) FROM ({SOURCE}) s FULL JOIN ({TARGET}) t USING (tenant_id, unit_id, user_id) "
                     "WHERE s.role IS DISTINCT FROM t.role",
    "EXCEPT ALL both ways": f"SELECT count(*) FROM (({SOURCE} EXCEPT ALL {TARGET}) UNION ALL "
                            f"({TARGET} EXCEPT ALL {SOURCE})) AS d",
}


def memberships_only() -> Mapping:
    """The packaged mapping, memberships alone, without waiting."""
    mapping = default_mapping()
    return mapping.model_copy(update={
        "entities": {"org_unit_memberships": mapping.entities["org_unit_memberships"]},
        "scan": mapping.scan.model_copy(update={"settle_seconds": 0.0, "rechecks": 0}),
    })


def merged(dsn: str) -> None:
    """The comparison as pandas does it."""
    with psycopg.connect(dsn) as connection:
        sides = [pd.DataFrame(connection.execute(query).fetchall(), columns=["tenant", "unit", "user", "role"])
                 for query in (SOURCE, TARGET)]
    both = sides[0].merge(sides[1], how="outer", on=["tenant", "unit", "user"], indicator=True)
    both[(both["_merge"] != "both") | (both["role_x"] != both["role_y"])].groupby("tenant").size()


def median(run: Callable[[], Any], rounds: int) -> float:
    """Seconds, the median of several rounds after one that warms up."""
    taken = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def measure(server: EmbeddedServer, rows: int, percent: int, rounds: int) -> None:
    """One table of results."""
    name = f"bench_{rows}_{percent}"
    dsn = server.create_database(name)
    tenants = max(1, rows // TENANT_ROWS)
    sizes = {"tenants": tenants, "units": TENANT_ROWS // UNIT_ROWS, "members": UNIT_ROWS,
             "drifting": max(1, tenants * percent // 100) if percent else 0}
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        create_schema(connection)
        connection.execute(SEED, sizes)
        connection.execute(DRIFT, sizes)
        connection.execute("VACUUM ANALYZE")
        mapping, parsed = memberships_only(), Dsn.parse(dsn, "DATABASE_URL")
        runs: dict[str, Callable[[], Any]] = {
            label: (lambda query=query: connection.execute(query).fetchall()) for label, query in OTHERS.items()
        }
        runs["orgrecon"] = lambda: compare(mapping, parsed, "DATABASE_URL")
        runs["orgrecon --exact"] = lambda: compare(mapping, parsed, "DATABASE_URL", exact=True)
        if rows <= 1_000_000:
            runs["pandas outer merge"] = lambda: merged(dsn)
        seconds = {label: median(run, rounds) for label, run in runs.items()}
    server.drop_database(name)
    floor, join = seconds["count(*) of the tables"], seconds["one FULL JOIN"]
    print(f"\n{rows:,} memberships a side, {tenants:,} tenants, {percent} % of them drift\n")
    print("| what | median s | ÷ count(*) | ÷ FULL JOIN |\n| --- | ---: | ---: | ---: |")
    for label, taken in seconds.items():
        print(f"| {label} | {taken:.2f} | {taken / floor:.1f} | {taken / join:.2f} |", flush=True)


def main() -> None:
    """Measure all sizes and shares of drift."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as place, EmbeddedServer(Path(place)) as server:
        for rows in map(int, os.environ.get("BENCH_ROWS", "100000,1000000").split(",")):
            for percent in (0, 1, 100):
                measure(server, rows, percent, rounds)


if __name__ == "__main__":
    main()
