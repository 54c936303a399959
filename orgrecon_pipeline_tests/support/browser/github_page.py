"""A report as GitHub shows it, for the picture in the README."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

import cmarkgfm

_STYLE = ("github-markdown-css@5.9.0", "package/github-markdown-light.css")
_ICON = ("@primer/octicons@19.42.0", "package/build/svg/stop-16.svg")


def github_page(report: str) -> str:
    """Return a page with a FAIL report, rendered as GitHub does, with its style sheet and icon from npm."""
    body = cmarkgfm.github_flavored_markdown_to_html(report)
    icon = _from_npm(*_ICON).replace("<svg ", '<svg class="octicon" ', 1)
    # The library does not know alerts, which GitHub makes of quotes that begin with [!CAUTION]: all quotes of a FAIL.
    alert = f'<div class="markdown-alert markdown-alert-caution"><p class="markdown-alert-title">{icon}Caution</p>'
    body = body.replace("<blockquote>\n<p>[!CAUTION]</p>", alert).replace("<blockquote>\n<p>[!CAUTION]", f"{alert}<p>")
    body = body.replace("</blockquote>", "</div>")
    return (f"<!doctype html><meta charset=utf-8><style>{_from_npm(*_STYLE)} body {{ margin: 24px 32px }} "
            f".octicon {{ margin-right: 8px }}</style><article class=markdown-body>{body}</article>")


def _from_npm(package: str, file: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["npm", "pack", "--silent", package], cwd=directory, check=True, stdout=subprocess.DEVNULL)
        [archive] = Path(directory).glob("*.tgz")
        with tarfile.open(archive) as contents:
            content = contents.extractfile(file)
            assert content is not None, file
            return content.read().decode()
