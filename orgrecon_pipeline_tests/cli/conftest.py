"""Whatever a command was run for: the password that it had is nowhere afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.secret_canary import found_in


@pytest.fixture(autouse=True)
def _no_password_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(found_in(tmp_path)) == []
