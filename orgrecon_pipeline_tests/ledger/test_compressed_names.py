"""Compressed names are decompressed unchanged, and other bytes are refused."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.ledger.statements.compressed_names import compress_names, decompress_names

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
UUIDS = st.uuids().map(str)


@given(st.one_of(st.lists(NAMES), st.lists(UUIDS), st.lists(st.one_of(UUIDS, UUIDS.map(str.upper), NAMES))))
def test_compressed_names_are_decompressed_unchanged(names: list[str]) -> None:
    packed = TenantNames.of(names).packed
    assert decompress_names(compress_names(packed)) == packed


def test_uuids_take_sixteen_bytes() -> None:
    packed = TenantNames.of(str(uuid.UUID(int=2**120 + 7919**5 * n)) for n in range(70_000)).packed
    compressed = compress_names(packed)
    assert len(compressed) == 70_000 * 16 + 1
    assert decompress_names(compressed) == packed


@pytest.mark.parametrize("compressed", [b"", b"z", b"zx", b"u12345", b"?", compress_names(b"a\0") + b"x"])
def test_other_bytes_are_no_names(compressed: bytes) -> None:
    with pytest.raises(ValueError, match=r"names|Error"):
        decompress_names(compressed)
