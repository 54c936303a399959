"""Cost of shards on four servers.

In the first row each shard mostly waits, as for a disk, a lock or the network: four shards take as long as one. In the
second row each shard only computes, so that on one machine the four servers share its cores.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.bench.data import fill
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.shapes import SHAPES
from orgrecon_pipeline_tests.support.default_identity import open_ledger

_ROWS = 200_000
_WAIT_SECONDS = 4.0
_NAMES = ("one", "two", "three", "four")
# The scan of a side evaluates this once: the shard waits for as long as the table says.
_WAITING = "(SELECT pg_catalog.pg_sleep(seconds) FROM public.waits) IS NOT NULL"


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table. It starts servers of its own."""
    load, rows = os.getloadavg()[0], []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orgrecon-shards-")))
        directory.chmod(0o711)
        dsns = {name: _shard(stack.enter_context(EmbeddedServer(directory / name)), name) for name in _NAMES}
        for label, waits in ((f"waits {_WAIT_SECONDS:g} s, then computes", _WAIT_SECONDS), ("only computes", 0.0)):
            for dsn in dsns.values():
                with psycopg.connect(dsn, autocommit=True) as admin:
                    admin.execute("UPDATE waits SET seconds = %s", (waits,))
            taken = [_seconds(directory, dsns, names, at_once)
                     for names, at_once in ((_NAMES[:1], 4), (_NAMES, 4), (_NAMES, 1))]
            rows.append([label, *(f"{seconds:.1f}" for seconds in taken)])
    yield table("shards", f"Four servers, {_ROWS:,} rows per side and shard: elapsed seconds of an observation",
                ("each shard", "one alone", "four at once", "four, `shards_at_once: 1`"), rows, load=load)


def _shard(server: EmbeddedServer, name: str) -> str:
    dsn = server.create_database("shard")
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as admin:
        fill(admin, SHAPES["joined"], _ROWS, prefix=f"{name}-")
        admin.execute("CREATE TABLE waits AS SELECT 0.0::double precision AS seconds")
        admin.execute("VACUUM ANALYZE")
    return dsn


def _seconds(directory: Path, dsns: dict[str, str], names: tuple[str, ...], at_once: int) -> float:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=directory) as ledger:
        context = Context(
            _sharded(names, at_once), open_ledger(f"sqlite:///{ledger}/ledger.db"), directory / "reports",
            environ={f"{name.upper()}_URL": dsns[name] for name in names})
        observation = observe(context, context.clock.today()).observation
    if not observation.tenants_scanned or observation.tenants_with_drift:
        raise SystemExit(f"{observation.verdict.value}: {observation.reason}")
    return time.perf_counter() - started


def _sharded(names: tuple[str, ...], at_once: int) -> MappingConfig:
    config = SHAPES["joined"].mapping().model_dump(by_alias=True, mode="json")
    source = next(iter(config["entities"].values()))["source"][0]
    source["where"] = " AND ".join(filter(None, (source["where"], _WAITING)))
    return MappingConfig.model_validate({
        **config, "scan": {**config["scan"], "shards_at_once": at_once, "workers": 1},
        "shards": [{"name": name, "source_env": f"{name.upper()}_URL", "target_env": f"{name.upper()}_URL"}
                   for name in names]})

