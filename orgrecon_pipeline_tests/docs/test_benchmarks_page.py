"""The page with the benchmarks shows the stored results, and nothing that was typed by hand."""

from __future__ import annotations

from orgrecon_pipeline_tests.bench import page, results


def test_page_is_generated_from_the_stored_results() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(results.read())


def test_page_shows_every_stored_table() -> None:
    text = page.PAGE.read_text(encoding="utf-8")

    assert [table.name for table in results.read().values() if table.markdown not in text] == []
