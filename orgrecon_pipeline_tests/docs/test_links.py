"""Tests that links, paths and commands in the documentation exist."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md", "SECURITY.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not page.name.startswith("2")),
]
# Paths in the documentation that a contributor creates.
CREATED = {
    "docs/runbooks/alerts/NewAlert.md", "docs/runbooks/org-v23__prod-reconciliation-reports",
    "deploy/kustomize/company", "deploy/kustomize/company/kustomization.yaml",
}
TEST_FILE = re.compile(r"\w+(/\w+)*/test_\w+(\.py)?")


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub builds them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_of_a_page_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = (page.parent / parts.path).resolve() if parts.path else page
        assert file.exists(), f"{page.name} links to {target}, which does not exist"
        if parts.fragment:
            assert parts.fragment in anchors(file), f"{page.name} links to {target}, which has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_code_spans_of_a_page_exist(page: Path) -> None:
    roots = ("orgrecon_pipeline/", "orgrecon_pipeline_tests/", "deploy/", "docs/", ".github/")
    for span in re.findall(r"`([^`\s]+)`", page.read_text("utf-8")):
        path, _, test = span.partition("::")
        path = path.rstrip("/")
        if set(span) & set("*{}<>…") or span in CREATED or not (path.startswith(roots) or TEST_FILE.fullmatch(path)):
            continue
        file = ROOT / path
        if not file.exists():  # relative to the tests, with or without suffix
            file = ROOT / f"orgrecon_pipeline_tests/{path.removesuffix('.py')}.py"
        assert file.exists(), f"{page.name} names {span}, which does not exist"
        if test and page.name != "reliability.md":  # which has its own test
            assert f"def {test}(" in file.read_text("utf-8"), f"{page.name} names {span}, which does not exist"


def test_code_comments_refer_to_existing_pages_and_headings() -> None:
    for file in sorted((ROOT / "orgrecon_pipeline").rglob("*")):
        if file.suffix in (".py", ".sql", ".j2", ".yaml"):
            for name in re.findall(r"\bdocs/[\w./-]+\w", file.read_text("utf-8")):
                if "org-v23-reconciliation-reports" not in name:
                    assert (ROOT / name).exists(), f"{file.relative_to(ROOT)} refers to {name}, which does not exist"


def test_index_links_every_page_of_its_folder() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, f"docs/README.md does not link {page.name}"


def test_decision_index_lists_every_decision() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text("utf-8")
    numbers = []
    for page in sorted(folder.glob("*.md")):
        if page.name == "README.md":
            continue
        text = page.read_text("utf-8")
        for section in text.split("\n## ")[1:]:
            title = section.splitlines()[0]
            numbers.append(title.split(".")[0])
            for part in ("Context", "Decision", "Consequence"):
                assert section.count(f"**{part}.**") == 1, f"{page.name}: {title}: needs one paragraph {part}"
            if title[0].isdigit():
                assert f"({page.name}#{re.sub(r'[^a-z0-9_ -]', '', title.lower()).replace(' ', '-')})" in index, title
        assert f"({page.name}" in index, page.name
    assert len(numbers) == len(set(numbers))
