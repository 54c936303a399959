"""Walk through the Dagster UI, with assertions about what each page shows.

``python -m orgrecon_pipeline_tests.support.browser.walk`` writes the screenshots in ``docs/images``, and a picture of a
report.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline_tests.support.browser.github_page import github_page
from orgrecon_pipeline_tests.support.browser.stage import Stage, browser, company_history, daemon, served
from orgrecon_pipeline_tests.support.defs.processes import eventually, graphql

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).parents[3] / "docs/images"

#: Takes a screenshot of a page, under a name.
Shoot = Callable[["Page", str], None]


def walk(stage: Stage, url: str, page: Page, shoot: Shoot) -> None:
    """See the gate fail, run today, see it pass; then look at graph, days and report, and backfill two old days."""
    from playwright.sync_api import expect

    first, fail, missing, today = stage.days[0], stage.days[1], stage.days[2], stage.days[-1]

    page.goto(f"{url}/assets/drift_gate?view=checks")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(page.get_by_text(f"6 of 7 clean days: {missing} is MISSING: no report")).to_be_visible()
    shoot(page, "gate-closed")

    stage.run(today)
    page.goto(f"{url}/assets/drift_gate?view=checks")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    expect(page.get_by_text("7 consecutive clean days (0 live, 0 baseline, 7 simulated)")).to_be_visible()
    shoot(page, "gate-open")
    page.goto(f"{url}/assets/drift_gate?view=overview")
    for name in ("tenants_ready", "tenants_total", "tenant_gates"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()

    page.set_viewport_size({"width": 2000, "height": 860})  # wide enough for the text of the nodes
    page.goto(f"{url}/asset-groups")
    for name in ("tenant_drift", "daily_summary", "rolling_window", "markdown_report", "drift_gate"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("^Loading"))).to_have_count(0)
    page.wait_for_timeout(3_000)  # animation of the graph
    shoot(page, "asset-graph")
    page.set_viewport_size({"width": 1280, "height": 800})

    page.goto(f"{url}/assets/daily_summary?view=partitions&partition={fail}")
    expect(page.get_by_text("Missing (1)")).to_be_visible()
    expect(page.get_by_text("Materialized (9)")).to_be_visible()
    expect(page.get_by_text("FAIL", exact=True).first).to_be_visible()
    shoot(page, "partitions")
    page.goto(f"{url}/assets/daily_summary?view=partitions&partition={missing}")
    expect(page.get_by_text("No metadata entries")).to_be_visible()

    page.goto(f"{url}/assets/markdown_report?view=partitions&partition={fail}")
    page.get_by_text("[Show Markdown]").click()
    expect(page.get_by_role("heading", name="Summary")).to_be_visible()
    expect(page.get_by_text("Missing org_unit_memberships rows")).to_be_visible()
    page.wait_for_timeout(500)  # animation of the dialog
    shoot(page, "report")

    page.goto(f"{url}/assets/tenant_drift?view=overview")
    page.get_by_role("button", name="Plots").or_(page.get_by_text("Plots", exact=True)).first.click()
    expect(page.locator("canvas").first).to_be_visible()
    page.wait_for_timeout(1_500)  # animation of the plots
    shoot(page, "plots")

    page.goto(f"{url}/automation")
    for name in ("every_utc_day", "owed_days", "gate_is_current"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    page.wait_for_timeout(3_000)  # each row loads its state
    shoot(page, "automation")

    backfill(stage, url, page, shoot, f"[{first}...{fail}]")


def backfill(stage: Stage, url: str, page: Page, shoot: Shoot, selection: str) -> None:
    """Launch a backfill of two old days in the UI; assert that it renders the same bytes."""
    from playwright.sync_api import expect

    files = [stage.reports / f"{day}.md" for day in stage.days[:2]]
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    with daemon(stage):
        eventually(lambda: healthy(url), 120)
        page.goto(f"{url}/assets/markdown_report?view=partitions")
        page.get_by_role("button", name="Materialize").first.click()
        dialog = page.get_by_role("dialog")
        field = dialog.get_by_placeholder(re.compile("partitions")).or_(dialog.locator("input[type=text]")).first
        field.fill(selection)
        field.press("Enter")
        expect(dialog.get_by_text("2 partitions")).to_be_visible()
        shoot(page, "backfill-launch")
        dialog.get_by_role("button", name="Launch").click()
        page.wait_for_timeout(2_000)
        page.goto(f"{url}/runs?view=backfills")
        expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=180_000)
        shoot(page, "backfill-done")
    assert [path.read_bytes() for path in files] == before


def healthy(url: str) -> bool:
    """Return whether the backfill daemon is healthy."""
    response = graphql(url, '{instance {daemonHealth {daemonStatus(daemonType: "BACKFILL") {healthy}}}}')
    return bool(response["instance"]["daemonHealth"]["daemonStatus"]["healthy"])


def take_picture(page: Page, path: Path) -> None:
    """Write a screenshot in CSS pixels, which keeps the file small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, scale="css", animations="disabled")


def main() -> None:
    """Write the pictures of the documentation."""
    with tempfile.TemporaryDirectory(prefix="orgrecon-browser-") as directory, \
            company_history(Path(directory)) as stage, served(stage) as url, browser(stage.environ) as page:
        walk(stage, url, page, lambda page, name: take_picture(page, IMAGES / f"dagster-{name}.png"))
        page.set_viewport_size({"width": 1100, "height": 690})
        page.set_content(github_page((stage.reports / f"{stage.days[1]}.md").read_text("utf-8")))
        take_picture(page, IMAGES / "report.png")


if __name__ == "__main__":
    main()
