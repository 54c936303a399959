"""Private names of Dagster: isolated in one module of the package, and checked against the installed version."""

from __future__ import annotations

from pathlib import Path

import dagster

from orgrecon_pipeline.defs.dagster_internals import CHECKED_VERSION

ROOT = Path(__file__).parents[2]
PRIVATE = ("from dagster._", "import dagster._")


def test_installed_dagster_has_the_minor_version_that_the_private_imports_were_checked_against() -> None:
    """When this fails, read the code behind each import in dagster_internals again, then raise CHECKED_VERSION."""
    assert dagster.__version__.split(".")[:2] == CHECKED_VERSION.split(".")[:2]


def test_private_dagster_names_are_imported_in_one_module_of_the_package_and_one_of_the_tests() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for package in ("orgrecon_pipeline", "orgrecon_pipeline_tests") for path in (ROOT / package).rglob("*.py")
        if any(line.startswith(PRIVATE) for line in path.read_text(encoding="utf-8").splitlines())
    }
    processes = {"orgrecon_pipeline_tests/defs/test_tick.py", "orgrecon_pipeline_tests/support/deploy/run_pod.py"}
    assert importing - processes == {
        "orgrecon_pipeline/defs/dagster_internals.py", "orgrecon_pipeline_tests/support/defs/displayed_check.py"}
