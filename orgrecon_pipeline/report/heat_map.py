"""The verdicts of all days as a picture: one column per week, one square per day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from orgrecon_pipeline.domain.evidence import Provenance, Verdict

_CELL, _LEFT, _TOP = 14, 34, 40
_WEEKDAYS = ((0, "Mon"), (2, "Wed"), (4, "Fri"))
_COLOURS = {Verdict.PASS: "#2da44e", Verdict.INCONCLUSIVE: "#d4a72c", Verdict.MISSING: "#d0d7de"}
# For a FAIL, by the number of digits of its drifting keys.
_REDS = ("#ff8182", "#fa4549", "#cf222e", "#a40e26", "#660018")

#: A day, its verdict, its drifting keys if they are known, and its provenance.
HeatMapDay = tuple[date, Verdict, "int | None", "Provenance | None"]


def heat_map(title: str, days: Sequence[HeatMapDay]) -> str:
    """Return an SVG picture of consecutive days, oldest first, at least one."""
    first = days[0][0] - timedelta(days=days[0][0].weekday())
    weeks = (days[-1][0] - first).days // 7 + 1
    squares = [{
        "x": _LEFT + (day - first).days // 7 * _CELL, "y": _TOP + day.weekday() * _CELL,
        "colour": _colour(verdict, keys), "baseline": provenance is Provenance.BASELINE,
        "text": f"{day} {verdict.value}" + (f", {keys} drifting" if keys else "")
                + (f" ({provenance.value})" if provenance else ""),
    } for day, verdict, keys, provenance in days]
    months = [{"x": _LEFT + (day - first).days // 7 * _CELL, "text": f"{day:%b}"} for day, *_ in days if day.day == 1]
    template = (files("orgrecon_pipeline.report") / "templates" / "heat_map.svg.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              keep_trailing_newline=True)
    return environment.from_string(template).render(
        title=title, first=days[0][0], last=days[-1][0], squares=squares, months=months, size=_CELL - 2,
        width=max(260, _LEFT + (weeks + 1) * _CELL), height=_TOP + 7 * _CELL + 12,
        weekdays=[{"y": _TOP + number * _CELL + 10, "text": name} for number, name in _WEEKDAYS])


def _colour(verdict: Verdict, keys: int | None) -> str:
    if verdict is Verdict.FAIL:
        return _REDS[min(len(str(keys or 1)), len(_REDS)) - 1]
    return _COLOURS[verdict]
