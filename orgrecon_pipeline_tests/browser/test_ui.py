"""The Dagster UI in a real browser: gate, graph, partitions, report, plots, and a backfill."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.browser.stage import CHROMIUM, browser, company_history, served
from orgrecon_pipeline_tests.support.browser.walk import take_picture, walk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.mark.skipif(
    (find_spec("playwright") is None or not Path(CHROMIUM).exists()) and not os.environ.get("CI"),
    reason="needs Debian's Chromium and Playwright",
)
def test_walk_through_the_ui_shows_every_page_and_completes_a_backfill(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    # Not in pytest's directory: PostgreSQL, running as another user than root, cannot enter it.
    with tempfile.TemporaryDirectory(prefix="orgrecon-browser-") as directory, \
            company_history(Path(directory)) as stage, served(stage) as url, browser(stage.environ) as page:
        try:
            walk(stage, url, page, lambda page, name: take_picture(page, pictures / f"{name}.png"))
        except BaseException:
            take_picture(page, pictures / "failed.png")
            raise
    sizes = {path.name: path.stat().st_size for path in pictures.glob("*.png")}
    assert len(sizes) == 9
    assert min(sizes.values()) > 10_000, sizes
