"""Tests that the reference pages agree with the commands, schemas, metrics, alerts and environment variables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orgrecon_pipeline.config.settings import DEFAULT_LEDGER_URL, DEFAULT_OUTPUT_DIR
from orgrecon_pipeline.schemas.generate import DOCUMENTS, path_of
from orgrecon_pipeline_tests.support.reference.blocks import DOCS, blocks, pages, regenerate
from orgrecon_pipeline_tests.support.reference.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = {str(page.relative_to(DOCS)): page.read_text("utf-8") for page in pages()}

#: The page of each published format.
FORMATS = {"mapping": "mapping.md", "record": "record.md", "gate": "json.md", "drift": "json.md"}


@pytest.mark.parametrize("page", PAGES)
def test_generated_tables_agree_with_the_code(page: str) -> None:
    again = "run python -m orgrecon_pipeline_tests.support.reference.blocks"
    assert regenerate(PAGES[page]) == PAGES[page], again


def test_cli_page_has_the_table_of_every_command() -> None:
    anchors = blocks(PAGES["cli.md"])
    assert {name: anchors.get(f"command {name}") for name in COMMANDS} == {name: name for name in COMMANDS}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_reference_page_has_the_table_of_every_object(document: str) -> None:
    schema = json.loads(path_of(document).read_text("ascii"))
    objects = {name for name, part in schema["$defs"].items() if "properties" in part}
    tables = {block.split()[2] for block in blocks(PAGES[FORMATS[document]])
              if block.startswith(f"fields {document} ")}
    assert tables == objects


@pytest.mark.parametrize(("page", "kind"), [
    ("cli.md", "commands"), ("cli.md", "exit-codes"), ("metrics.md", "metrics"),
    ("runbooks/alerts/README.md", "alerts"),
])
def test_page_has_the_table_of_its_subject(page: str, kind: str) -> None:
    assert kind in blocks(PAGES[page])


def environment_page() -> dict[str, str]:
    """Return the default of each environment variable in the table of the page."""
    page = (DOCS / "environment.md").read_text("utf-8")
    return dict(re.findall(r"^\| `([A-Z_]+)` \| .+ \| (.+) \|$", page, re.MULTILINE))


def test_environment_page_lists_every_environment_variable() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "orgrecon_pipeline").rglob("*.py"))
    used = set(re.findall(r"\"((?:ORGRECON_|DATABASE_URL|DAGSTER_HOME)[A-Z_]*)\"", code))
    internal = {"ORGRECON_SIMULATED_NOW_FILE"}  # for tests and demos, see docs/dagster.md
    assert used - internal == environment_page().keys()


def test_environment_page_names_the_default_directory_and_ledger() -> None:
    defaults = environment_page()
    assert defaults["ORGRECON_OUTPUT_DIR"] == f"`{DEFAULT_OUTPUT_DIR}`"
    assert defaults["ORGRECON_LEDGER_URL"] == f"`{DEFAULT_LEDGER_URL}`"
