"""Tests of the documentation site: every page, its links, its search, and that it looks like the page on GitHub."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cmarkgfm
import pytest

from orgrecon_pipeline_tests.support.deploy.tools import ROOT, from_venv

DOCS = ROOT / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if not page.name.startswith("2"))
ELEMENTS = ("a", "code", "h1", "h2", "h3", "h4", "img", "li", "pre", "strong", "tr")


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORGRECON_")}
    return subprocess.run([from_venv("mkdocs"), "build", *arguments], cwd=ROOT, capture_output=True, text=True,
                          env={**environment, "NO_MKDOCS_2_WARNING": "1"}, timeout=240)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = build("--site-dir", str(folder))
    assert built.returncode == 0, built.stderr
    return folder


def html_file(site: Path, page: str) -> Path:
    path = Path(page)
    return site / (path.parent if path.name == "README.md" else path.with_suffix("")) / "index.html"


def content(html: str) -> str:
    """Return what is written in the page, without the links that the theme adds to it."""
    [article] = re.findall(r"<article.*?</article>", html, re.DOTALL)
    return re.sub(r'<a [^>]*class="(?:headerlink|md-content__button)[^"]*".*?</a>', "", article, flags=re.DOTALL)


def counted(html: str) -> dict[str, int]:
    return {name: len(re.findall(rf"<{name}[ >]", html)) for name in ELEMENTS}


@pytest.mark.parametrize("page", PAGES)
def test_page_has_the_elements_that_github_shows(site: Path, page: str) -> None:
    github = cmarkgfm.github_flavored_markdown_to_html((DOCS / page).read_text("utf-8"))
    assert counted(content(html_file(site, page).read_text("utf-8"))) == counted(github)


def test_links_and_anchors_of_the_site_resolve(site: Path) -> None:
    texts = {file: file.read_text("utf-8") for file in site.rglob("*.html") if file.name != "404.html"}
    names = {file: set(re.findall(r' id="([^"]+)"', text)) for file, text in texts.items()}
    assert len(texts) == len(PAGES)
    for file, text in texts.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{file.relative_to(site)} links to {link}"
            assert target not in names or not parts.fragment or unquote(parts.fragment) in names[target], link


def test_links_to_the_repository_name_existing_files(site: Path) -> None:
    link = re.compile(r'"https://github.com/you/orgrecon/(?:blob|tree)/main/([^"#]+)')
    linked = {path for file in site.rglob("*.html") for path in link.findall(file.read_text("utf-8"))}
    assert "deploy/recipes/gitlab-ci.yml" in linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("term", ["--require-live", "ORGRECON_LEDGER_URL", "settle_seconds", "orgrecon_gate_open"])
def test_search_index_holds_reference_terms(site: Path, term: str) -> None:
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    assert any(term in entry["text"] for entry in index["docs"])


def test_pages_load_nothing_from_other_servers(site: Path) -> None:
    for file in site.rglob("*.html"):
        for tag in re.findall(r"<(?:link|script|img|iframe)\b[^>]*>", file.read_text("utf-8")):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), f"{file.relative_to(site)}: {tag}"


def test_dead_links_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/README.md").write_text("# Title\n\n[page](lost.md), [heading](#lost), [file](../lost.py)\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT}/mkdocs.yml\nhooks: [{ROOT}/deploy/ci/site_links.py]\ndocs_dir: docs\nnav: [README.md]\n")
    built = build("--config-file", str(tmp_path / "mkdocs.yml"), "--site-dir", str(tmp_path / "site"))
    assert built.returncode == 1
    for link in ("lost.md", "#lost", "../lost.py"):
        assert f"'{link}'" in built.stderr
