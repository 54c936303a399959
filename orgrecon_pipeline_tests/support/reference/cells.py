"""Markdown of generated tables: descriptions of the code become cells of the house style."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from orgrecon_pipeline.cli.app import app

_COMMANDS = "|".join(str(command.name) for command in app.registered_commands)

#: Options, environment variables, commands, paths, and names with a dot or an underscore are code.
_CODE = re.compile(rf"""(?<![\w`/.-])(
    --[a-z][a-z-]+ | \$[A-Z]+(?:_[A-Z]+)* | DATABASE_URL | ORGRECON_[A-Z_]+ | orgrecon\ (?:{_COMMANDS})
    | [a-z]+=[a-z_]+ | \.?[a-z]*(?:[._/][a-z0-9_-]+)+(?:/[A-Z]+)?
)(?![\w`-])""", re.VERBOSE)

#: Where a term of the descriptions is explained.
_TERMS = {
    "given way": "concepts.md#giving-way", "gives way": "concepts.md#giving-way",
    "a backup": "runbooks/reproduce-a-verdict.md", "a slower hash": "benchmarks.md#fingerprints-in-the-ledger",
    "identity": "concepts.md#identity", "hash chain": "concepts.md#hash-chain",
    "tenant gates": "concepts.md#tenant-gate", "ledger id": "concepts.md#ledger-id", "epoch": "concepts.md#epoch",
    "context columns": "mapping.md#context-columns", "drift kind": "concepts.md#drift",
}
_TERM = re.compile(rf"\b({'|'.join(_TERMS)})\b", re.IGNORECASE)

#: The page of each section to which a description refers.
_PAGES = {"Standbys": "mapping.md", "Reasons": "record.md", "Warnings": "record.md", "Mapping changes": "record.md"}
_SEE = re.compile(r"\(see ([A-Z][a-z ]+)\)")


def sentence(description: str) -> str:
    """Return a description of the code with its names as code and its terms as links."""
    text = _CODE.sub(lambda code: f"`{code[0].removeprefix('$')}`", " ".join(description.split()))
    text = _TERM.sub(lambda term: f"[{term[0]}]({_TERMS[term[0].lower()]})", text, count=1)
    text = _SEE.sub(lambda see: f"(see [{see[1]}]({_PAGES[see[1]]}#{see[1].lower().replace(' ', '-')}))", text)
    return text.replace("|", "\\|")


def cell(description: str) -> str:
    """Return a description as a cell: in lower case, and without its last full stop."""
    if re.match(r"(?!Prometheus|Dagster|Citus)[A-Z][a-z]*\b", description):
        description = description[0].lower() + description[1:]
    return sentence(description.removesuffix("."))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def either(values: Sequence[str]) -> str:
    """Return values as ``a``, ``b`` or ``c``."""
    names = [f"`{value}`" for value in values]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
