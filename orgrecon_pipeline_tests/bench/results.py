"""Results of benchmarks: tables in a JSON file, from which the page is generated."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from orgrecon_pipeline.version import __version__

#: The file in the repository.
RESULTS = Path(__file__).parents[2] / "docs" / "benchmarks.json"
#: Instead of a version: a table that was measured without PostgreSQL.
NO_SERVER = "–"


@dataclass(frozen=True)
class Table:
    """One table, whose rows were measured in one run.

    Attributes:
        name: name within the results, by which the page shows the table.
        title: heading of the table.
        columns: headings of the columns.
        rows: cells as text.
        numbers: the figures behind plots, by series.
        environment: machine, versions and day.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: dict[str, Any]
    environment: dict[str, str]

    @property
    def markdown(self) -> str:
        """The table in markdown: the first column to the left, figures to the right."""
        align = ["---", *["---:"] * (len(self.columns) - 1)]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in (self.columns, align, *self.rows))

    @property
    def measured(self) -> str:
        """When and where the table was measured, in one line."""
        facts = self.environment
        server = "" if facts["postgres"] == NO_SERVER else f"PostgreSQL {facts['postgres']}, "
        return (f"{facts['day']}, {facts['cores']} cores ({facts['processor']}), {server}"
                f"Python {facts['python']}, load {facts['load']} before")


def table(
    name: str, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: dict[str, Any] | None = None,
    load: float | None = None,
) -> Table:
    """Return a table with the environment of this process; the version of the server is added when it is stored."""
    return Table(name, title, tuple(columns), tuple(map(tuple, rows)), numbers or {}, {
        "day": datetime.now(timezone.utc).date().isoformat(),
        "cores": str(os.cpu_count()), "processor": platform.machine(),
        "postgres": NO_SERVER, "python": platform.python_version(), "orgrecon": __version__,
        "load": f"{os.getloadavg()[0] if load is None else load:.1f}",
    })


def read() -> dict[str, Table]:
    """Return the stored tables, by name."""
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {each["name"]: Table(**{
        **each, "columns": tuple(each["columns"]), "rows": tuple(map(tuple, each["rows"]))}) for each in stored}


def store(measured: Table, postgres: str) -> None:
    """Replace a table in the file. ``postgres`` is the version of the server, or :data:`NO_SERVER`."""
    measured = replace(measured, environment={**measured.environment, "postgres": postgres})
    known = (read() if RESULTS.exists() else {}) | {measured.name: measured}
    text = json.dumps([asdict(known[name]) for name in sorted(known)], indent=1, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def median_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """Return a median, with the smallest and the largest value if there are several."""
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"
