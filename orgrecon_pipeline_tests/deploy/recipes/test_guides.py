"""The guides show the recipes as they are tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.deploy.tools import ROOT

RECIPES = sorted(file for file in (ROOT / "deploy/recipes").iterdir() if file.is_file())
GUIDES = "\n".join(page.read_text() for page in (ROOT / "docs/how-to").glob("*.md"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.name)
def test_guide_shows_the_recipe_unchanged(file: Path) -> None:
    assert f"\n{file.read_text()}```\n" in GUIDES, f"copy {file.name} into its page in docs/how-to"
    assert f"(../../deploy/recipes/{file.name})" in GUIDES
