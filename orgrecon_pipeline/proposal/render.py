"""Text of the mapping file: the proposal as YAML, with comments. Names of tables are data, never markup."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from importlib import resources

from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN
from orgrecon_pipeline.proposal.catalog.tables import printable
from orgrecon_pipeline.proposal.proposal import Proposal, ProposedEntity

_WIDTH = 118
# Scalars that every YAML parser reads as this text: no special characters, and no word such as no or null.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(?: [A-Za-z_=][A-Za-z0-9_.=]*)*")
_SPECIAL = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_LISTED_TABLES = 60


def render_mapping(proposal: Proposal) -> str:
    """Return the text of the mapping file."""
    from jinja2 import Environment, StrictUndefined  # slow to import

    template = resources.files("orgrecon_pipeline.proposal").joinpath("templates/mapping.yaml.j2").read_text("utf-8")
    environment = Environment(  # noqa: S701 - YAML; every value passes through one of the filters
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(scalar=scalar, comment=comment, block=_block, commented=_commented, todo=_todo)
    listed = proposal.left_out[:_LISTED_TABLES]
    return environment.from_string(template).render(
        proposal=proposal, left_out=listed, more=len(proposal.left_out) - len(listed))


def scalar(text: str) -> str:
    """Return a text as a YAML scalar that every parser reads as this text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _SPECIAL:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def comment(text: str, indent: int = 0, first: str = "# ") -> str:
    """Return a text as comment lines. Of an item of a list, further lines are indented."""
    start = f"{' ' * indent}{first}"
    return textwrap.fill(
        printable(text), _WIDTH, initial_indent=start, subsequent_indent=start if first == "# " else f"{start}  ",
        break_long_words=False, break_on_hyphens=False)


def _todo(reason: str) -> str:
    return scalar(f"TODO: {printable(reason)}")


def _commented(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def _block(entity: ProposedEntity) -> str:
    """Return the block of an entity, indented by two."""
    return "\n".join(_lines(entity))


def _lines(entity: ProposedEntity) -> Iterator[str]:
    tables = f"{entity.source_table} and {entity.target_table}"
    yield comment(f"{tables}, confidence {entity.confidence}: {entity.reason}.", 2)
    for note in entity.notes:
        yield comment(note, 2)
    yield f"  {scalar(entity.name)}:"
    yield f"    key: {_names(entity.key)}"
    if entity.compare:
        yield f"    compare: {_names(entity.compare)}"
    for name in (*entity.key, *entity.compare, TENANT_COLUMN):
        if remark := entity.remarks.get(name):
            yield comment(f"{name}: {remark}", 4, "#   ")
    if entity.left_out:
        yield "    # Not compared:"
        for column in entity.left_out:
            yield comment(f"{column.side}.{column.column}: {column.reason}", 4, "#   ")
    for side, relation in (("source", entity.source), ("target", entity.target)):
        yield f"    {side}:"
        yield f"      from: {scalar(relation.from_)}"
        yield "      columns:"
        for name, expression in relation.columns.items():
            yield f"        {scalar(name)}: {scalar(expression)}"
        if relation.where:
            yield f"      where: {scalar(relation.where)}"


def _names(names: Iterable[str]) -> str:
    return f"[{', '.join(map(scalar, names))}]"
