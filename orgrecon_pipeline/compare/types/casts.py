"""Casts between the columns of tables and those of a mapping, from the trees of the mapping's SQL and of its views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orgrecon_pipeline.postgres.node_tree import Node, Value, constant

# By OID of a function: the types from and to which it casts. The same type twice stands for a change of length.
CastFunctions = Mapping[int, list[tuple[int, int]]]

# Fields with the type of a node's result, and with the length or precision of it.
_TYPE_FIELDS = ("vartype", "funcresulttype", "resulttype", "consttype", "opresulttype", "casetype", "coalescetype",
                "minmaxtype", "aggtype", "wintype", "array_typeid", "row_typeid", "refrestype", "refelemtype",
                "paramtype", "typeId", "type")
_LENGTH_FIELDS = ("vartypmod", "resulttypmod", "consttypmod", "reftypmod", "typeMod")
# Kinds of entries of a range table.
_RELATION, _SUBQUERY, _JOIN, _VALUES, _CTE = 0, 1, 2, 5, 6
# Lists with the expressions of a join's or a group's columns.
_ALIASES = ("joinaliasvars", "groupexprs")
_NO_LENGTH = -1


@dataclass(frozen=True)
class Cast:
    """A cast of a value to another type, or to another length of the same type.

    Attributes:
        source: OID of the type of the value.
        target: OID of the type to which it is cast.
        length: the length or precision that the cast sets, as in ``pg_attribute.atttypmod``; -1 if it sets none.
        before: OID of the type that the value had before another cast made it a ``source``; 0 if there was none.
        length_before: the length or precision of the value, if it is known; else -1.
        view: OID of the view that contains the cast; 0 if it is in the mapping.
    """

    source: int
    target: int
    length: int
    before: int
    length_before: int
    view: int


@dataclass(frozen=True)
class _Scope:
    """Where a tree is: its query, the queries around that, the innermost last, and the view that contains it."""

    queries: tuple[Node, ...]
    view: int = 0


def casts_by_column(query: Node, views: Mapping[int, Node], functions: CastFunctions) -> list[list[Cast]]:
    """Return the casts that each column of a query passes through, given the queries of the views by OID."""
    walk = _Walk(views, functions)
    return [sorted(set(walk.casts(_Scope((query,)), position)), key=repr)
            for position in range(1, len(_entries(query, "targetList")) + 1)]


class _Walk:
    def __init__(self, views: Mapping[int, Node], functions: CastFunctions) -> None:
        self._views, self._functions = views, functions

    def casts(self, scope: _Scope, position: int) -> Iterator[Cast]:
        """Yield the casts of one column of the innermost query, from 1."""
        pending: list[tuple[Value, _Scope]] = list(self._column(scope, position))
        visited: set[tuple[int, int]] = set()  # a recursive query refers to itself
        while pending:
            value, scope = pending.pop()
            if isinstance(value, list):
                pending += [(item, scope) for item in value]
                continue
            if not isinstance(value, Node):
                continue
            if value.label == "VAR":
                for expression, inner in self._origin(value, scope):
                    if (id(expression), len(inner.queries)) not in visited:
                        visited.add((id(expression), len(inner.queries)))
                        pending.append((expression, inner))
            elif value.label == "SUBLINK":
                if isinstance(subquery := value.child("subselect"), Node):
                    pending += self._column(_Scope((*scope.queries, subquery), scope.view), 1)
            else:
                if cast := self._cast(value, scope.view):
                    yield cast
                # The condition of a CASE chooses a value, but is none.
                pending += [(field, scope) for name, field in value.fields.items()
                            if (value.label, name) not in (("CASEWHEN", "expr"), ("WHEN", "expr"))]

    def _cast(self, node: Node, view: int) -> Cast | None:
        argument = _argument(node)
        if argument is None or argument.label == "CONST":
            return None
        source, target = _type(argument), _type(node)
        if node.label == "FUNCEXPR":
            pairs = self._functions.get(node.number("funcid"), [])
            if not pairs:
                return None
            if all(pair != (source, target) for pair in pairs):  # of a domain, or of a type that the tree does not say
                source, target = next((pair for pair in pairs if pair[1] == target), pairs[0])
        elif node.label not in ("COERCEVIAIO", "RELABELTYPE"):
            return None
        inner = _argument(argument)
        before = _type(inner) if inner is not None and self._casts(argument) else 0
        return Cast(source, target, _length(node), before, _length(argument), view)

    def _casts(self, node: Node) -> bool:
        return node.label in ("COERCEVIAIO", "RELABELTYPE") or node.number("funcid") in self._functions

    def _column(self, scope: _Scope, position: int) -> Iterator[tuple[Value, _Scope]]:
        """Yield the expressions of one column of the innermost query."""
        query = scope.queries[-1]
        if query.child("setOperations"):  # its range table has the queries that it unites
            for entry in _entries(query, "rtable"):
                if subquery := entry.child("subquery"):
                    yield from self._column(_Scope((*scope.queries, subquery), scope.view), position)
            return
        targets = _list(query, "targetList")
        # They are usually in order, and a wide entity has hundreds.
        for target in (*targets[max(position - 1, 0):max(position, 0)], *targets):
            if isinstance(target, Node) and target.number("resno") == position:
                yield target.fields["expr"], scope
                return

    def _origin(self, var: Node, scope: _Scope) -> Iterator[tuple[Value, _Scope]]:
        """Yield the expressions behind a reference to a column."""
        queries = scope.queries[:len(scope.queries) - var.number("varlevelsup")]
        table = _entries(queries[-1], "rtable") if queries else []
        if not 0 < var.number("varno") <= len(table):
            return
        entry, position = table[var.number("varno") - 1], var.number("varattno")
        kind = entry.number("rtekind")
        if kind == _RELATION:
            if view := self._views.get(entry.number("relid")):
                yield from self._column(_Scope((view,), entry.number("relid")), position)
        elif kind == _SUBQUERY:
            if subquery := entry.child("subquery"):
                yield from self._column(_Scope((*queries, subquery), scope.view), position)
        elif kind == _CTE:
            outer = queries[:len(queries) - entry.number("ctelevelsup")]
            for cte in _entries(outer[-1], "cteList") if outer else []:
                if cte.fields.get("ctename") == entry.fields.get("ctename") and (query := cte.child("ctequery")):
                    yield from self._column(_Scope((*outer, query), scope.view), position)
        elif kind == _VALUES:
            for row in _list(entry, "values_lists"):
                if isinstance(row, list) and position <= len(row):
                    yield row[position - 1], _Scope(queries, scope.view)
        else:
            for name in _ALIASES:
                if 0 < position <= len(aliases := _list(entry, name)):
                    yield aliases[position - 1], _Scope(queries, scope.view)


def _list(node: Node, name: str) -> list[Value]:
    value = node.fields.get(name)
    return value if isinstance(value, list) else []


def _entries(node: Node, name: str) -> list[Node]:
    return [entry for entry in _list(node, name) if isinstance(entry, Node)]


def _argument(node: Node) -> Node | None:
    if node.label == "FUNCEXPR":
        return next(iter(_entries(node, "args")), None)
    return node.child("arg")


def _type(node: Node) -> int:
    return next((oid for name in _TYPE_FIELDS if (oid := node.number(name))), 0)


def _length(node: Node) -> int:
    """Return the length or precision of a value; a cast by a function has it as its second argument."""
    if node.label == "FUNCEXPR":
        arguments = _entries(node, "args")
        number = constant(arguments[1]) if len(arguments) > 1 else None
        return int.from_bytes(number[:4], "little", signed=True) if number else _NO_LENGTH
    text = next((value for name in _LENGTH_FIELDS if isinstance(value := node.fields.get(name), str)), "-1")
    return int(text)
