"""orgrecon next to other ways to compare the same tables: every shape, and one shape in every size."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.bench.data import database
from orgrecon_pipeline_tests.bench.results import Table, median_and_spread, table
from orgrecon_pipeline_tests.bench.settings import ROUNDS, SHAPE_ROWS, SIZES
from orgrecon_pipeline_tests.bench.shapes import FLAT, JOINED, SHAPES, Shape
from orgrecon_pipeline_tests.bench.ways import BY_TENANT, FLOOR, ORGRECON, Sample, ways

_COLUMNS = ("way", "elapsed s", "CPU s: server", "CPU s: process", "CPU ÷ `count(*)`", "CPU ÷ join by tenant",
            "temporary files MB", "largest server process MB", "process MB")
_DRIFTING = 2  # percent of the tenants


def shapes(server: EmbeddedServer) -> Iterator[Table]:
    """Yield a table for each shape, and for the flat and the joined one if every tenant drifts."""
    for shape in SHAPES.values():
        yield measure_shape(server, shape, SHAPE_ROWS, _DRIFTING)
    for shape in (FLAT, JOINED):
        yield measure_shape(server, shape, SHAPE_ROWS, 100)


def growth(server: EmbeddedServer) -> Iterator[Table]:
    """Yield the flat and the joined shape in every size."""
    for shape in (FLAT, JOINED):
        yield _growth(server, shape)


def measure_shape(server: EmbeddedServer, shape: Shape, rows: int, percent: int) -> Table:
    """Return the table of one shape."""
    with database(server, shape, rows, tenants_percent=percent) as dsn:
        load, samples = _measure(server, dsn, shape, rows)
    drifting = "every tenant drifts" if percent == 100 else f"{percent} % of the tenants drift"
    title = f"{shape.name.replace('_', ' ')}: {shape.title}; {rows:,} rows per side; {drifting}"
    return table(f"{shape.name} {percent}", title, _COLUMNS, [_row(way, samples) for way in samples],
                 {way: [sample.cpu for sample in runs] for way, runs in samples.items()}, load)


def _growth(server: EmbeddedServer, shape: Shape) -> Table:
    """Return the CPU time of each way per million rows of a side, by size."""
    cells, series = list[list[str]](), dict[str, list[float]]()
    for rows in SIZES:
        with database(server, shape, rows, tenants_percent=_DRIFTING) as dsn:
            _, samples = _measure(server, dsn, shape, rows)
        medians = {way: statistics.median(sample.cpu for sample in samples[way]) * 1e6 / rows
                   for way in (FLOOR, ORGRECON, BY_TENANT)}
        ratios = [_ratios(samples, ORGRECON, base) for base in (FLOOR, BY_TENANT)]
        memory = [max(getattr(sample, name) for sample in samples[ORGRECON]) for name in ("server_mb", "process_mb")]
        cells.append([f"{rows:,}", *(f"{value:.2f}" for value in medians.values()), median_and_spread(ratios[0]),
                      median_and_spread(ratios[1], 2), *(f"{value:.0f}" for value in memory)])
        for way, value in medians.items():
            series.setdefault(way, []).append(value)
    return table(
        f"growth {shape.name}", f"CPU seconds per 1,000,000 rows of a side, {shape.name} mapping",
        ("rows per side", FLOOR, ORGRECON, BY_TENANT, "orgrecon ÷ `count(*)`", "orgrecon ÷ join by tenant",
         "orgrecon: largest server process MB", "process MB"),
        cells, {"sizes": list(SIZES), **series})


def _measure(
    server: EmbeddedServer, dsn: str, shape: Shape, rows: int
) -> tuple[float, dict[str, list[Sample]]]:
    """Return the load before, and the samples of each way.

    All ways take turns in each round, so that a change of the machine's speed meets all of them. The first round only
    warms up.
    """
    load, samples = os.getloadavg()[0], dict[str, list[Sample]]()
    for number in range(ROUNDS + 1):
        for way, run in ways(server, dsn, shape, rows).items():
            if way.startswith("reladiff") and number != ROUNDS:  # needs minutes
                continue
            sample = run()
            if number:
                samples.setdefault(way, []).append(sample)
    return load, samples


def _row(way: str, samples: dict[str, list[Sample]]) -> list[str]:
    runs = samples[way]

    def median(name: str, digits: int) -> str:
        value = statistics.median(getattr(run, name) for run in runs)
        return f"{value:.{digits}f}" if value else ""

    return [
        way, median("seconds", 2), median("server_cpu", 2), median("process_cpu", 2),
        median_and_spread(_ratios(samples, way, FLOOR)), median_and_spread(_ratios(samples, way, BY_TENANT), 2),
        median("temp_mb", 0), median("server_mb", 0), median("process_mb", 0)]


def _ratios(samples: dict[str, list[Sample]], way: str, base: str) -> list[float]:
    """Return the ratio of CPU times in each round."""
    bases = samples[base][-len(samples[way]):]
    return [run.cpu / max(of_base.cpu, 0.001) for run, of_base in zip(samples[way], bases, strict=True)]
