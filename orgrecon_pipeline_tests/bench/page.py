"""Generate ``docs/benchmarks.md`` from the results: ``python -m orgrecon_pipeline_tests.bench.page``."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orgrecon_pipeline_tests.bench import results
from orgrecon_pipeline_tests.bench.results import Table
from orgrecon_pipeline_tests.bench.ways import BY_TENANT, FLOOR, ORGRECON

#: The generated page.
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
# The ways in the charts, and colours that light and dark pages have in common.
_LINES = {FLOOR: "#888888", ORGRECON: "#1f8ceb", BY_TENANT: "#e8820c"}
_COLOURS = {"backgroundColor": "transparent", "plotColorPalette": ", ".join(_LINES.values()), "titleColor": "#888888",
            **{f"{axis}Axis{part}Color": "#888888" for axis in "xy" for part in ("Label", "Title", "Tick", "Line")}}
_INIT = f"init: {json.dumps({'themeVariables': {'xyChart': _COLOURS}})}"


def render(tables: dict[str, Table]) -> str:
    """Return the page. Raise KeyError if a table that it shows was not measured."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True)
    return environment.get_template("benchmarks.md.jinja").render(
        cell=lambda name, row, column: _cell(tables[name], row, column),
        table=lambda name: _section(tables[name]), plot=lambda name: _plot(tables[name]),
        sizes=[row[0] for row in tables["growth joined"].rows][-2:],
        shapes=[each for name, each in tables.items() if name.endswith((" 2", " 100"))])


def write() -> None:
    """Generate the page from the stored results."""
    PAGE.write_text(render(results.read()), encoding="utf-8")


def _section(table: Table) -> str:
    return f"### {table.title[:1].upper()}{table.title[1:]}\n\n{table.markdown}\n\n*{table.measured}.*"


def _cell(table: Table, row: str, column: str) -> str:
    """Return the cell of the row with this first cell."""
    [cells] = (cells for cells in table.rows if cells[0] == row)
    return cells[table.columns.index(column)]


def _plot(table: Table) -> str:
    """Return a Mermaid chart of the growth, with one line for each way."""
    sizes = ", ".join(f'"{size:,}"' for size in table.numbers["sizes"])
    top = max(max(table.numbers[way]) for way in _LINES) * 1.1
    lines = "\n".join(f"    line [{', '.join(f'{value:.3f}' for value in table.numbers[way])}]" for way in _LINES)
    return (f"```mermaid\n%%{{{_INIT}}}%%\nxychart-beta\n    title \"{table.title}\"\n"
            f"    x-axis \"rows per side\" [{sizes}]\n"
            f"    y-axis \"CPU seconds\" 0 --> {top:.2f}\n{lines}\n```")


if __name__ == "__main__":
    write()
