"""What sampled values say about two columns."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.proposal.sample.agreement import agreement

_ENDS = [f"2024-01-{day:02}" for day in range(1, 31)]
_NAMES = [f"name {number}" for number in range(40)]
_ROLES = ["lead", "member", "member", "member"] * 10


@pytest.mark.parametrize(("source", "target", "side"), [
    ([*_ENDS, *["9999-12-31"] * 9], [*_ENDS, *[None] * 9], "source"),
    ([*_ENDS, *[None] * 9], [*_ENDS, *["9999-12-31"] * 9], "target"),
    ([*_ENDS, "9999-12-31"], [*_ENDS, None], ""),
    (_NAMES, [None, *_NAMES[1:]], ""),
    ([*_ROLES, *["member"] * 6], [*_ROLES, *[None] * 6], ""),
    ([*_NAMES, *_ROLES[:8]], [*_NAMES, *[None] * 8], ""),
], ids=["open ends of the source", "of the target", "one open end", "one lost write", "lost writes of a usual value",
        "several values"])
def test_value_for_null_is_recognised_only_if_it_always_goes_with_null(
    source: list[str | None], target: list[str | None], side: str
) -> None:
    assert agreement(source, target).filled == side
