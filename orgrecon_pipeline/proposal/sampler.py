"""Bounded samples: how many keys of one side the other has, and how many values agree. No value leaves this module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.catalog import types_by_oid
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.draft import Agreement, Draft, Measurement
from orgrecon_pipeline.proposal.write import RelationSql

#: Keys that are looked up in each direction.
SAMPLE_KEYS = 200
#: Time limit of a statement.
STATEMENT_SECONDS = 5.0

# Approximate number of blocks that are read from a larger table.
_SAMPLED_BLOCKS = 256
# 100 MB: a larger table is not scanned, so keys are looked up only through an index.
_SCANNED_BLOCKS = 12_800
_TEXT_LENGTH = 200
_ACTION = "reading a sample"
# format_type without a length names a type of one letter or bit.
_UNLIMITED = {"character": "pg_catalog.bpchar", "bit": "pg_catalog.varbit"}
_COMMA = sql.SQL(", ")


class Sampler:
    """Reads samples of both sides, each in a read-only transaction of its own."""

    def __init__(self, sessions: tuple[Session, Session], sides: tuple[Side, Side]) -> None:
        self._sessions, self._sides = sessions, sides

    def measure(self, draft: Draft) -> Measurement:
        """Return what samples of both sides say about a draft."""
        relations = draft.relations(self._sides)
        names = {kind: [name for name in relations[0].columns if name[0] == kind] for kind in "kv"}
        tables = draft.source, draft.target
        for side, table in enumerate(tables):
            if reason := _too_large(table, draft, side):
                return Measurement(skipped=f"{table.label} {reason}")
        try:
            return self._measure(tables, relations, names["k"], names["v"])
        except CannotDecide as failure:
            return Measurement(skipped=str(failure))

    def _measure(self, tables: tuple[Table, Table], relations: tuple[RelationSql, RelationSql], keys: list[str],
                 values: list[str]) -> Measurement:
        rows, nulls = self._sample(0, tables[0], relations[0], [*keys, *values], len(keys))
        matches = self._lookup(1, relations[1], keys, values, rows)
        back, back_nulls = self._sample(1, tables[1], relations[1], keys, len(keys))
        result = Measurement(len(rows), len(matches), len(back), len(self._lookup(0, relations[0], keys, [], back)),
                             nulls + back_nulls)
        pairs = [(rows[n][len(keys):], match) for n, match in matches.items()]
        return replace(result, columns=tuple(_agreement(pairs, n) for n in range(len(values))))

    def _sample(self, side: int, table: Table, relation: RelationSql, names: Sequence[str],
                keys: int) -> tuple[list[tuple[str | None, ...]], int]:
        """Return rows without a NULL in the key, each key once, and the number of rows with one."""
        percent = 100 * _SAMPLED_BLOCKS / table.blocks if table.blocks > 4 * _SAMPLED_BLOCKS else None
        statement = load_sql("proposal/sql/sample.sql").format(
            columns=_COMMA.join(_text(relation.columns[name], name) for name in names),
            relation=fragment(relation.sampled(percent)), where=where_clause(relation.where),
            limit=sql.Literal(SAMPLE_KEYS))
        rows = [tuple(row.values()) for row in self._query(side, statement)]
        whole = {row[:keys]: row for row in rows if None not in row[:keys]}
        return list(whole.values()), sum(None in row[:keys] for row in rows)

    def _lookup(self, side: int, relation: RelationSql, keys: Sequence[str], values: Sequence[str],
                rows: Sequence[tuple[str | None, ...]]) -> dict[int, tuple[str | None, ...]]:
        """Return the values of the first row with each of the given keys, by the position of the key."""
        if not rows:
            return {}
        session = self._sessions[side]
        selected = sql.SQL("SELECT {} FROM {}").format(
            _COMMA.join(_plain(relation.columns[name], name) for name in keys), fragment(relation.from_))
        with session.transaction():
            described = session.describe(sql.SQL("{} LIMIT 0").format(selected), _ACTION)
            types = types_by_oid(session, {oid for _, oid in described})
        names = {name: _UNLIMITED.get(types[oid].name, types[oid].name) for name, oid in described}
        casts = [
            sql.SQL(", given.{0}::{1} AS {0}").format(sql.Identifier(name), sql.SQL(cast("LiteralString", of_type)))
            for name, of_type in names.items()]
        statement = load_sql("proposal/sql/lookup.sql").format(
            values=sql.SQL("").join([sql.SQL(", r.{}").format(sql.Identifier(name)) for name in values]),
            casts=sql.SQL("").join(casts),
            arrays=_COMMA.join(sql.SQL("{}::text[]").format(sql.Placeholder(name)) for name in keys),
            names=_COMMA.join(map(sql.Identifier, keys)),
            columns=_COMMA.join([*(_plain(relation.columns[name], name) for name in keys),
                                 *(_text(relation.columns[name], name) for name in values)]),
            relation=fragment(relation.from_), where=where_clause(relation.where),
            conditions=sql.SQL(" AND ").join(sql.SQL("r.{0} = k.{0}").format(sql.Identifier(name)) for name in keys),
            limit=sql.Literal(20 * SAMPLE_KEYS))
        parameters = {name: [row[n] for row in rows] for n, name in enumerate(keys)}
        matches: dict[int, tuple[str | None, ...]] = {}
        for row in self._query(side, statement, parameters):
            number, *of_row = row.values()
            matches.setdefault(number - 1, tuple(of_row))
        return matches

    def _query(self, side: int, statement: sql.Composed, parameters: dict[str, Any] | None = None) -> list[Any]:
        session = self._sessions[side]
        with session.transaction():
            return session.query_aside(statement, _ACTION, parameters)


def _agreement(pairs: list[tuple[tuple[str | None, ...], tuple[str | None, ...]]], column: int) -> Agreement:
    values = [(ours[column], theirs[column]) for ours, theirs in pairs]
    some = [(ours, theirs) for ours, theirs in values if ours is not None or theirs is not None]
    source, target = (Counter(pair[side] for pair in some) for side in range(2))
    return Agreement(
        compared=len(some), agreed=sum(ours == theirs for ours, theirs in some), values=len(source),
        chance=sum(count * target[value] for value, count in source.items()) / max(1, len(some)) ** 2)


def _too_large(table: Table, draft: Draft, side: int) -> str:
    """Return why keys are not looked up in a table; empty if they are."""
    if table.blocks <= _SCANNED_BLOCKS:
        return ""
    terms = [link.target if side else link.source for link in (*draft.key, *((draft.tenant,) if draft.tenant else ()))]
    own = {term.own_column for term in terms}
    if any(index and index[0] in own for index in table.indexes):
        return ""
    return f"is larger than {_SCANNED_BLOCKS // 128} MB and no index begins with a column of the key"


def _plain(expression: str, name: str) -> sql.Composed:
    return sql.SQL("({}) AS {}").format(fragment(expression), sql.Identifier(name))


def _text(expression: str, name: str) -> sql.Composed:
    return sql.SQL("pg_catalog.left(({})::text, {}) AS {}").format(
        fragment(expression), sql.Literal(_TEXT_LENGTH), sql.Identifier(name))
