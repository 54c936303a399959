"""The commands ``exporter`` and ``metrics``, which publish the evidence as Prometheus metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orgrecon_pipeline.cli import terminal
from orgrecon_pipeline.cli.options import MappingFile, settings_from


def exporter(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - scraped from outside the pod
    mapping: MappingFile = None,
) -> None:
    """Serve Prometheus metrics (/metrics, /healthz). The ledger is read at every scrape."""
    from orgrecon_pipeline.metrics.collector import open_collector
    from orgrecon_pipeline.metrics.exporter import make_exporter, serve

    server = make_exporter(open_collector(settings_from(mapping)), host=host, port=port)
    terminal.say(f"metrics at http://{host}:{server.server_port}/metrics")
    serve(server)


def metrics(
    textfile: Annotated[Path, typer.Option(metavar="F", help="File to write, such as orgrecon.prom.")],
    mapping: MappingFile = None,
) -> None:
    """Write the current metrics to a file, atomically."""
    from orgrecon_pipeline.metrics.collector import open_collector
    from orgrecon_pipeline.metrics.exporter import write_textfile

    write_textfile(textfile, open_collector(settings_from(mapping)))
