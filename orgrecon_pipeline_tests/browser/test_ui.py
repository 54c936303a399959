"""The real UI in a real browser: graph, partitions, gate, report, plots, and a backfill to its end."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.browser.stage import CHROMIUM, browser, served, story
from orgrecon_pipeline_tests.support.browser.walk import small, walk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.mark.skipif(
    (find_spec("playwright") is None or not Path(CHROMIUM).exists()) and not os.environ.get("CI"),
    reason="needs Debian's Chromium and Playwright",
)
def test_a_person_finds_everything(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    # Not in pytest's own directory: only root itself may pass through it, and PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory(prefix="orgrecon-browser-") as place, story(Path(place)) as told, \
            served(told) as url, browser(told.environ) as page:
        try:
            walk(told, url, page, lambda page, name: small(page, pictures / f"{name}.png"))
        except BaseException:
            small(page, pictures / "failed.png")
            raise
    sizes = {path.name: path.stat().st_size for path in pictures.glob("*.png")}
    assert len(sizes) == 9
    assert min(sizes.values()) > 10_000, sizes
