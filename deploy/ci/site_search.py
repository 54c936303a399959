"""Hook of MkDocs for the search: reference pages rank first, pages about how orgrecon was made rank last."""

from __future__ import annotations

from typing import Any

REFERENCE = ("cli.md", "concepts.md", "environment.md", "how-to/questions.md", "json.md", "mapping.md", "metrics.md",
             "record.md")
DESIGN = ("architecture.md", "benchmarks.md", "decisions/", "reliability.md", "scaling.md")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Set the rank of a page. To the search, a word of a heading weighs as much as a thousand words of text."""
    path = page.file.src_uri
    page.meta["search"] = {"boost": 3 if path.startswith(REFERENCE) else 0.001 if path.startswith(DESIGN) else 1}
    return markdown
