"""Hook of MkDocs for links: to the repository if a file is not in docs/, and to the index if the file is a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return the page with links that the site can follow."""
    folder, docs, repository = Path(page.file.abs_src_path).parent, Path(config.docs_dir), config.extra["repository"]
    return LINK.sub(lambda link: site_link(link[0], folder, docs, repository), markdown)


def site_link(link: str, folder: Path, docs: Path, repository: str) -> str:
    """Return what a link of a page in `folder` must be on the site."""
    parts = urlsplit(link)
    file = (folder / parts.path).resolve()
    if parts.scheme or not parts.path or not file.exists():
        return link  # MkDocs reports files that do not exist
    if not file.is_relative_to(docs):
        kind = "tree" if file.is_dir() else "blob"
        return f"{repository}/{kind}/main/{file.relative_to(ROOT)}{'#' if parts.fragment else ''}{parts.fragment}"
    return f"{parts.path.rstrip('/')}/README.md" if file.is_dir() else link
