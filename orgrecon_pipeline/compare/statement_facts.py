"""What a statement contains that can hide rows, taken from its tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from orgrecon_pipeline.postgres.node_tree import Node, Value, constant

#: Codes of what a statement can depend on, besides the rows.
SETTING, ROLE, TIME, CHANCE = "depends_on_setting", "depends_on_role", "depends_on_time", "depends_on_chance"
CODES = (SETTING, ROLE, TIME, CHANCE)

# OIDs of built-in functions. Volatile ones, such as clock_timestamp, are refused by their volatility.
_CURRENT_SETTING = {2077, 3294}
_TIME_FUNCTIONS = {1299: "now", 2647: "transaction_timestamp", 2648: "statement_timestamp", 1386: "age", 2059: "age"}
# Numbers of the functions without parentheses.
_TIME_VALUES = {0: "current_date", 1: "current_time", 2: "current_time", 3: "current_timestamp",
                4: "current_timestamp", 5: "localtime", 6: "localtime", 7: "localtimestamp", 8: "localtimestamp"}
_ROLE_VALUES = {9: "current_role", 10: "current_user", 11: "user", 12: "session_user"}
_ROLE_FUNCTION = re.compile(
    r"current_user|session_user|getpgusername|system_user|pg_has_role|has_\w+_privilege|row_security_active|"
    r"inet_client_(?:addr|port)|pg_backend_pid")
# In the text of a function's body, which the server analyses only in a call.
_WORDS = {
    SETTING: re.compile(r"\bcurrent_setting\b", re.IGNORECASE),
    ROLE: re.compile(r"\b(?:current_user|session_user|current_role|pg_has_role|has_\w+_privilege)\b", re.IGNORECASE),
    TIME: re.compile(r"\b(?:now(?=\s*\()|current_date|current_time(?:stamp)?|localtime(?:stamp)?|"
                     r"(?:transaction|statement)_timestamp)\b", re.IGNORECASE),
    CHANCE: re.compile(r"\b(?:clock_timestamp|timeofday|random(?=\s*\()|gen_random_uuid|nextval|tablesample)\b",
                       re.IGNORECASE),
}
_LIMITS = re.compile(r"\b(?:limit|offset|fetch)\b", re.IGNORECASE)

# A time that the server computes when it analyses the statement, so that only the text shows it.
_TIME_LITERAL = re.compile(r"'\s*(now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_TIME_TYPES = {1082, 1083, 1114, 1184, 1266}
# The length before the bytes of a text.
_TEXT_HEADER = 4

# Subqueries that return a value instead of rows: EXISTS, comparisons, (SELECT …) and ARRAY(SELECT …).
_VALUE_SUBQUERIES = {0, 3, 4, 6}


@dataclass
class StatementFacts:
    """What a statement contains that can hide rows.

    Attributes:
        functions: OIDs of the functions that it calls, also through operators.
        names: what it depends on besides the rows, as a user knows it, by code.
        samples: whether it has a TABLESAMPLE.
        limits: whether it has a LIMIT, OFFSET or FETCH that can drop rows.
        times: whether it has a constant date or time.
    """

    functions: set[int] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=lambda: {code: set() for code in CODES})
    samples: bool = False
    limits: bool = False
    times: bool = False

    def add_tree(self, tree: Value, text: str = "") -> StatementFacts:
        """Add what a tree contains; ``text`` is its SQL, if that is known. Return self."""
        pending: list[tuple[Value, bool]] = [(tree, False)]
        while pending:
            value, may_limit = pending.pop()
            if isinstance(value, Node):
                self._add_node(value, may_limit)
                pending += _children(value)
            elif isinstance(value, list):
                pending += [(item, may_limit) for item in value]
        if self.times:
            self.names[TIME] |= {f"'{word.lower()}'" for word in _TIME_LITERAL.findall(text)}
        return self

    def add_body(self, text: str, *, returns_rows: bool) -> None:
        """Add what the text of a function's body mentions."""
        for code, words in _WORDS.items():
            self.names[code] |= {word.lower() for word in words.findall(text)}
        if returns_rows:
            self.names[CHANCE] |= {word.lower() for word in _LIMITS.findall(text)}

    def add_call(self, name: str) -> None:
        """Add a call of a built-in function."""
        if _ROLE_FUNCTION.fullmatch(name):
            self.names[ROLE].add(name)

    def _add_node(self, node: Node, may_limit: bool) -> None:
        functions = {node.number(name) for name in ("funcid", "opfuncid", "winfnoid", "aggfnoid")} - {0}
        self.functions |= functions
        self.names[TIME] |= {name for oid, name in _TIME_FUNCTIONS.items() if oid in functions}
        if functions & _CURRENT_SETTING:
            self.names[SETTING].add(_setting_name(node))
        if node.label == "QUERY":
            self.limits |= not may_limit and _drops_rows(node)
        elif node.label == "TABLESAMPLECLAUSE":
            self.samples = True
        elif node.label == "CONST":
            self.times |= node.number("consttype") in _TIME_TYPES
        elif node.label == "SQLVALUEFUNCTION":
            for code, values in ((TIME, _TIME_VALUES), (ROLE, _ROLE_VALUES)):
                if name := values.get(node.number("op")):
                    self.names[code].add(name)


def _children(node: Node) -> Iterator[tuple[Value, bool]]:
    """Yield what is in each field of a node, and whether a LIMIT is harmless there."""
    for name, value in node.fields.items():
        yield value, (name == "subselect" and node.number("subLinkType") in _VALUE_SUBQUERIES) or (
            name == "subquery" and node.fields.get("lateral") == "true" and _is_first_row(node.child(name)))


def _is_first_row(query: Node | None) -> bool:
    """Return whether a query returns its first row in an explicit order, as in a join with the latest version."""
    return (query is not None and query.is_set("sortClause") and not query.is_set("limitOffset")
            and int.from_bytes(constant(query.child("limitCount")) or b"", "little") == 1)


def _drops_rows(query: Node) -> bool:
    count, offset = query.child("limitCount"), query.child("limitOffset")
    return (count is not None and not _is_null(count)) or (  # LIMIT ALL and OFFSET 0 only affect the plan
        offset is not None and not _is_null(offset) and any(constant(offset) or b"\1"))


def _is_null(node: Node) -> bool:
    return node.label == "CONST" and node.fields.get("constisnull") == "true"


def _setting_name(call: Node) -> str:
    """Return the name of the setting that a call of ``current_setting`` reads, if it is a constant."""
    arguments = call.fields.get("args")
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    text = constant(first) if isinstance(first, Node) else None
    return text[_TEXT_HEADER:].decode("utf-8", "replace") if text else "current_setting"
