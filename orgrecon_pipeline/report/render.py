"""Rendering of a record to its page: the same record gives the same bytes on any machine at any time."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.page.view import view_of

if TYPE_CHECKING:
    from jinja2 import Template

#: Start and end of the last line of every report, which holds the record.
RECORD_PREFIX = "<!-- orgrecon-record: "
RECORD_SUFFIX = " -->"

_TEMPLATE = "report_v1.md.j2"


def render(record: Record, line: str | None = None) -> str:
    """Return the whole text of a report, which ends with its record and a newline.

    ``line`` is :meth:`Record.line`, if the caller has it.
    """
    return _template().render(
        page=view_of(record), github=True, record_prefix=RECORD_PREFIX, record_suffix=RECORD_SUFFIX,
        record_line=record.line() if line is None else line)


def render_plain(record: Record) -> str:
    """Return the text for people, in Markdown that needs no GitHub: without alerts and without the record."""
    return _template().render(page=view_of(record), github=False)


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported here because most gates are decided without a page.
    from jinja2 import Environment, StrictUndefined

    text = (files("orgrecon_pipeline.report") / "templates" / _TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        # The view holds finished Markdown, in which HTML escapes would be wrong.
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        newline_sequence="\n")
    return environment.from_string(text)
