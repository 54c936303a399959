"""The program in docs/auditors.md verifies the exported hash chain of a ledger, and the page documents its format."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.integrity.chain import LinkEntry
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import full

PAGE = (Path(__file__).parents[2] / "docs/auditors.md").read_text("utf-8")
PROGRAM = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
QUERIES = re.findall(r'"(SELECT [^"]+)"', PAGE)


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """The links of a ledger with three observations, exported by the query of the page."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for name in "123":
        ledger.append(*full(name))
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        return [row[0] for row in connection.execute(QUERIES[0])]


def check(tmp_path: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    (tmp_path / "chain.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(tmp_path / "chain.txt")], capture_output=True, text=True, check=False)


def test_both_exports_use_the_same_query() -> None:
    assert len(QUERIES) == 2
    assert len(set(QUERIES)) == 1


def test_program_accepts_an_exported_chain(tmp_path: Path, lines: list[str]) -> None:
    checked = check(tmp_path, lines)
    assert (checked.returncode, checked.stdout) == (0, f"3 links, head {lines[-1].split()[0]}\n")


@pytest.mark.parametrize(("tampered", "message"), [
    ([0, 2], "link 2 does not follow the link before it"),
    ([1, 2], "link 1 does not follow the link before it"),
    ([0, 2, 1], "link 2 does not follow the link before it"),
])
def test_program_names_the_first_link_that_does_not_follow(
    tmp_path: Path, lines: list[str], tampered: list[int], message: str
) -> None:
    checked = check(tmp_path, [lines[number] for number in tampered])
    assert (checked.returncode, checked.stderr) == (1, f"{message}\n")


def test_program_names_an_edited_link(tmp_path: Path, lines: list[str]) -> None:
    edited = lines[1].replace('"kind":"observation"', '"kind":"acknowledgement"')
    checked = check(tmp_path, [lines[0], edited, lines[2]])
    assert (checked.returncode, checked.stderr) == (1, "link 2 was edited\n")


def test_page_documents_every_field_of_a_link() -> None:
    table = PAGE.split("An entry has these fields:")[1].split("\n\n")[1]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == list(LinkEntry.model_fields)
