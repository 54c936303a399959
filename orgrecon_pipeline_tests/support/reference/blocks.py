"""Generated tables of the reference pages: ``python -m orgrecon_pipeline_tests.support.reference.blocks`` writes them.

A table stands between two comments, ``<!-- generated: KIND ARGUMENT… -->`` and ``<!-- end -->``. The text around it is
written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pymdownx.slugs import slugify

from orgrecon_pipeline_tests.support.reference.alerts import alerts
from orgrecon_pipeline_tests.support.reference.commands import command, commands, exit_codes
from orgrecon_pipeline_tests.support.reference.fields import fields
from orgrecon_pipeline_tests.support.reference.metrics import metrics

DOCS = Path(__file__).parents[3] / "docs"

#: What writes a block, by its kind. The last argument is the heading above each block of the page, as an anchor.
KINDS: dict[str, Callable[..., str]] = {
    "commands": commands, "command": command, "exit-codes": exit_codes, "fields": fields, "metrics": metrics,
    "alerts": alerts}

_BLOCK = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_slug = slugify(case="lower")


def pages() -> list[Path]:
    """Return the pages that have generated tables."""
    return [page for page in sorted(DOCS.rglob("*.md")) if _BLOCK.search(page.read_text("utf-8"))]


def blocks(text: str) -> dict[str, str]:
    """Return the anchor of the heading above each block of a page."""
    return {block[2]: _slug(re.findall(r"^#+ (.+)$", text[:block.start()], re.MULTILINE)[-1], "-")
            for block in _BLOCK.finditer(text)}


def regenerate(text: str) -> str:
    """Return a page with its tables generated again."""
    anchors = blocks(text)

    def table(block: re.Match[str]) -> str:
        kind, *arguments = block[2].split()
        return f"{block[1]}\n{KINDS[kind](*arguments, anchors=anchors)}\n\n{block[3]}"

    return _BLOCK.sub(table, text)


if __name__ == "__main__":
    for page in pages():
        page.write_text(regenerate(page.read_text("utf-8")), "utf-8")
