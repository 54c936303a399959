"""Script that writes the golden reports: ``python -m orgrecon_pipeline_tests.support.report.update_golden``.

If a golden report changes other than by its sentences, existing reports no longer verify: that needs a new schema.
"""

from __future__ import annotations

from pathlib import Path

from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.report.cases import golden_cases

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

if __name__ == "__main__":
    for old in GOLDEN.glob("*.md"):
        old.unlink()
    for name, record in golden_cases().items():
        (GOLDEN / f"{name}.md").write_bytes(render(record).encode())
