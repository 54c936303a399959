"""The heat map in the documentation is what the program draws."""

from __future__ import annotations

from orgrecon_pipeline_tests.support.report.history_picture import PICTURE, picture


def test_committed_heat_map_has_the_bytes_of_a_new_one() -> None:
    assert PICTURE.read_bytes() == picture().encode(), (
        "write it again: python -m orgrecon_pipeline_tests.support.report.history_picture")
