"""Hook of MkDocs for the search: reference tables rank first, pages about how orgrecon was made rank last."""

from __future__ import annotations

from typing import Any

#: Rank by the beginning of the path. To the search, a word of a heading weighs as much as a thousand words of text.
RANKS = {
    "mapping.md": 8, **dict.fromkeys(("cli.md", "environment.md", "json.md", "metrics.md", "record.md"), 6),
    **dict.fromkeys(("concepts.md", "how-to/questions.md"), 4),
    **dict.fromkeys(("architecture.md", "benchmarks.md", "decisions/", "reliability.md", "scaling.md"), 0.001),
}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Set the rank of a page."""
    ranks = [rank for path, rank in RANKS.items() if page.file.src_uri.startswith(path)]
    page.meta["search"] = {"boost": ranks[0] if ranks else 1}
    return markdown
