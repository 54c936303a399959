"""Writes the golden reports again: ``python orgrecon_pipeline_tests/report/update_golden.py``, then read the diff.

A golden report that changes means that reports in every audit trail no longer verify: that is a new schema.
"""

from __future__ import annotations

from pathlib import Path

from report_cases import golden_cases

from orgrecon_pipeline.report.render import render

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

if __name__ == "__main__":
    for old in GOLDEN.glob("*.md"):
        old.unlink()
    for name, record in golden_cases().items():
        (GOLDEN / f"{name}.md").write_bytes(render(record).encode())
