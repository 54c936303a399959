"""Reader of the trees that PostgreSQL prints."""

from __future__ import annotations

import pytest

from orgrecon_pipeline.postgres.node_tree import Node, constant, read_tree


def test_tree_is_read_with_its_escapes() -> None:
    tree = read_tree(r'{QUERY :resname :limitCount :name a\ b\} :list (1 "x" {VAR :varno 2}) :none <> :empty ""}')
    assert tree == Node("QUERY", {
        "resname": ":limitCount", "name": r"a\ b\}", "list": ["1", '"x"', Node("VAR", {"varno": "2"})], "none": "<>",
        "empty": '""'})


def test_deep_tree_is_read() -> None:
    depth = 50_000
    assert isinstance(read_tree("{OPEXPR :args (" * depth + "1" + ")}" * depth), Node)


@pytest.mark.parametrize("text", ["", "{QUERY", "{QUERY :a (1}", "}", "1 2"])
def test_text_that_is_no_tree_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="the tree"):
        read_tree(text)


@pytest.mark.parametrize(("text", "expected"), [
    ("{CONST :constvalue 4 [ 50 0 -1 0 ]}", bytes((50, 0, 255, 0))),
    ("{FUNCEXPR :funcid 481 :args ({CONST :constvalue 2 [ 1 0 ]})}", bytes((1, 0))),
    ("{CONST :constisnull true :constvalue <>}", None), ("{VAR :varno 1}", None), ("{FUNCEXPR :args <>}", None),
])
def test_constant_is_found_within_casts(text: str, expected: bytes | None) -> None:
    node = read_tree(text)
    assert isinstance(node, Node)
    assert constant(node) == expected
