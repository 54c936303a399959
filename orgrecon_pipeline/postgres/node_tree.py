"""Reader of the trees of statements that PostgreSQL prints (``pg_node_tree``)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

#: A token, a list, or a node.
Value: TypeAlias = "str | list[Value] | Node"

# A backslash protects the next character. Strings, names and numbers are tokens alike.
_TOKEN = re.compile(r"[(){}]|(?:\\.|[^\s(){}\\])+", re.DOTALL)
_NULL = "<>"


@dataclass
class Node:
    """A node, such as ``{QUERY :commandType 1 …}``: its label and fields."""

    label: str
    fields: dict[str, Value] = field(default_factory=dict)

    def child(self, name: str) -> Node | None:
        """Return the node in a field; None if it is empty or holds no node."""
        value = self.fields.get(name)
        return value if isinstance(value, Node) else None

    def is_set(self, name: str) -> bool:
        """Return whether a field holds anything."""
        return self.fields.get(name, _NULL) != _NULL

    def number(self, name: str) -> int:
        """Return the number in a field; 0 if it has none."""
        value = self.fields.get(name)
        return int(value) if isinstance(value, str) and value.isdecimal() else 0


def read_tree(text: str) -> Value:
    """Return the tree that a text contains; raise ValueError if it is not a tree."""
    opened: list[list[Value]] = [[]]  # not recursive: a long chain of operators is a deep tree
    brackets: list[str] = []
    for token in _TOKEN.findall(text):
        if token in ("(", "{"):
            opened.append([])
            brackets.append(token)
        elif token in (")", "}"):
            if not brackets or brackets.pop() + token not in ("()", "{}"):
                raise ValueError("the tree has a wrong bracket")
            items = opened.pop()
            opened[-1].append(items if token == ")" else _node(items))
        else:
            opened[-1].append(token)
    if brackets or len(opened[0]) != 1:
        raise ValueError("the tree is cut off")
    return opened[0][0]


def _node(items: list[Value]) -> Node:
    node = Node(str(items[0]) if items else "")
    position = 1
    while position + 1 < len(items):
        name, end = items[position], position + 2  # a field has at least one value, which can start with a colon too
        while end < len(items) and not _is_name(items[end]):
            end += 1
        values = items[position + 1:end]
        node.fields[str(name).removeprefix(":")] = values[0] if len(values) == 1 else values
        position = end
    return node


def _is_name(item: Value) -> bool:
    return isinstance(item, str) and item.startswith(":")


def queries(tree: Value) -> list[Node]:
    """Return the queries of a tree, which can be a list of them."""
    return [node for node in (tree if isinstance(tree, list) else [tree]) if isinstance(node, Node)]


def constant(node: Node | None) -> bytes | None:
    """Return the bytes of a constant, which may be within a cast; None if it is NULL or no constant."""
    while node is not None and node.label == "FUNCEXPR":
        arguments = node.fields.get("args")
        first = arguments[0] if isinstance(arguments, list) and len(arguments) == 1 else None
        node = first if isinstance(first, Node) else None
    if node is None or node.label != "CONST":
        return None
    value = node.fields.get("constvalue")  # its length, and its bytes in brackets
    return bytes(int(byte) & 255 for byte in value[2:-1] if isinstance(byte, str)) if isinstance(value, list) else None
