"""The stored text of a key is JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.drift.key import key_text


@given(st.lists(st.text()))
def test_text_of_any_key_is_compact_json(key: list[str]) -> None:
    assert key_text(key) == json.dumps(key, ensure_ascii=False, separators=(",", ":"))
