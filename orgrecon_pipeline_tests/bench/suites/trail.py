"""Cost of checking a trail of reports, by the number of reports."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.publish import publish
from orgrecon_pipeline_tests.bench.commands import measure_commands
from orgrecon_pipeline_tests.bench.results import Table, table
from orgrecon_pipeline_tests.bench.settings import ROUNDS
from orgrecon_pipeline_tests.bench.suites.rendering import LAST, fill
from orgrecon_pipeline_tests.support.default_identity import open_ledger

_REPORTS = (100, 400)
_ORGRECON = str(Path(sys.executable).parent / "orgrecon")


def tables(server: EmbeddedServer) -> Iterator[Table]:
    """Yield one table. The ledgers are SQLite files, so the server is not used."""
    rows = []
    for count in _REPORTS:
        with tempfile.TemporaryDirectory(prefix="orgrecon-bench-") as name:
            directory = Path(name)
            days = [LAST - timedelta(days=back) for back in reversed(range(count))]
            url = f"sqlite:///{directory / 'ledger.db'}"
            fill(url, days)
            context = Context(default_mapping(), open_ledger(url), directory / "reports", environ={})
            for day in days:
                publish(context, day)
            size = sum(path.stat().st_size for path in context.output_dir.iterdir()) / count
            costs = measure_commands({
                "`verify`": [_ORGRECON, "verify", str(context.output_dir)],
                "`gate --output-dir`": [_ORGRECON, "gate", "--output-dir", str(context.output_dir)],
            }, ROUNDS, directory, {})
            rows += [[command, str(count), f"{size / 1000:.0f}", f"{cost.median:.2f}", f"{cost.peak_mb:.0f}"]
                     for command, cost in costs.items()]
    yield table("trail", "Checking a trail of FAIL reports",
                ("command", "reports", "KB per report", "CPU s", "peak MB"), rows)
