"""Shards on four servers at once: ``python -m orgrecon_pipeline_tests.bench.shards [MEMBERSHIPS]`` prints a table.

Once each shard mostly waits, as it does for its disk, its locks or the network: the wall time of four is that of one.
Once each shard only computes: on one machine the four servers share its cores, and nobody can show more than that.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo.company import create_schema
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.bench.company import SEED, Size, mapping

_ROWS = 500_000
_WAIT_SECONDS = 4.0
_NAMES = ("one", "two", "three", "four")
# Read once by the scan of a side: how long this shard waits before it begins.
_WAITING = "(SELECT pg_catalog.pg_sleep(seconds) FROM public.waits) IS NOT NULL"


def main() -> None:
    """Build four shards, measure, and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else _ROWS
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orgrecon-shards-")))
        place.chmod(0o711)
        dsns = {name: _shard(stack.enter_context(EmbeddedServer(place / name)), name, rows) for name in _NAMES}
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; {rows:,} memberships a side and shard, "
              "seconds of the whole observation\n")
        print("| each shard | one alone | four at once | four, `shards_at_once: 1` | load after |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for label, waits in ((f"waits {_WAIT_SECONDS:g} s, then computes", _WAIT_SECONDS), ("only computes", 0.0)):
            for dsn in dsns.values():
                with psycopg.connect(dsn, autocommit=True) as admin:
                    admin.execute("UPDATE waits SET seconds = %s", (waits,))
            taken = [_seconds(place, dsns, names, at_once)
                     for names, at_once in ((_NAMES[:1], 4), (_NAMES, 4), (_NAMES, 1))]
            print(f"| {label} | {' | '.join(f'{seconds:.1f}' for seconds in taken)} | {os.getloadavg()[0]:.1f} |")


def _shard(server: EmbeddedServer, name: str, rows: int) -> str:
    dsn = server.create_database("shard")
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as admin:
        create_schema(admin)
        for statement in SEED.strip().rstrip(";").split(";\n"):
            admin.execute(statement.replace("'tenant-'", f"'{name}-'").encode(), Size(rows).parameters())
        admin.execute("CREATE TABLE waits AS SELECT 0.0::double precision AS seconds")
        admin.execute("VACUUM ANALYZE")
    return dsn


def _seconds(place: Path, dsns: dict[str, str], names: tuple[str, ...], at_once: int) -> float:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=place) as ledger:
        context = Context(
            _sharded(names, at_once), open_ledger(f"sqlite:///{ledger}/ledger.db"), place / "reports",
            environ={f"{name.upper()}_URL": dsns[name] for name in names})
        found = observe(context, context.clock.today()).observation
    if not found.tenants_scanned or found.tenants_with_drift:
        raise SystemExit(f"{found.verdict.value}: {found.reason}")
    return time.perf_counter() - started


def _sharded(names: tuple[str, ...], at_once: int) -> MappingConfig:
    value = mapping("joined").model_dump(by_alias=True, mode="json")
    source = next(iter(value["entities"].values()))["source"][0]
    source["where"] = " AND ".join(filter(None, (source["where"], _WAITING)))
    return MappingConfig.model_validate({
        **value, "scan": {**value["scan"], "shards_at_once": at_once, "workers": 1},
        "shards": [{"name": n, "source_env": f"{n.upper()}_URL", "target_env": f"{n.upper()}_URL"} for n in names]})


if __name__ == "__main__":
    main()
