"""Bounded samples: how many keys of one side the other has, and how many values agree.

No value leaves this module, except a mark of deleted rows.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, cast

from psycopg import sql
from typing_extensions import LiteralString

from orgrecon_pipeline.compare.catalog import types_by_oid
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import fragment, load_sql, where_clause
from orgrecon_pipeline.proposal.catalog.deleted import DeletedRows, PossibleMark, explain_gone
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import Table
from orgrecon_pipeline.proposal.sample.agreement import agreement, joined_columns
from orgrecon_pipeline.proposal.sample.draft import Draft, Measurement
from orgrecon_pipeline.proposal.sample.write import RelationSql

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

    def of_source(self) -> Sampler:
        """Return a sampler that looks up keys of the source in other tables of the source."""
        return Sampler((self._sessions[0], self._sessions[0]), (self._sides[0], self._sides[0]))

    def measure(self, draft: Draft) -> Measurement:
        """Return what samples of both sides say about a draft."""
        relations = draft.relations(self._sides)
        names = {kind: [name for name in relations[0].columns if name[0] == kind] for kind in "kv"}
        marks = [[name for name in relation.columns if name[0] == "m"] for relation in relations]
        tables = draft.source, draft.target
        for side, table in enumerate(tables):
            if reason := _too_large(table, draft, side):
                return Measurement(skipped=f"{table.label} {reason}")
        try:
            return self._measure(draft, relations, names["k"], names["v"], marks)
        except CannotDecide as failure:
            return Measurement(skipped=str(failure))

    def _measure(self, draft: Draft, relations: tuple[RelationSql, RelationSql], keys: list[str],
                 values: list[str], marks: list[list[str]]) -> Measurement:
        rows, nulls = self._sample(0, draft.source, relations[0], [*keys, *values, *marks[0]], len(keys))
        matches = self._lookup(1, relations[1], keys, values, rows)
        back, back_nulls = self._sample(1, draft.target, relations[1], [*keys, *marks[1]], len(keys))
        back_matches = self._lookup(0, relations[0], keys, [], back)
        pairs = [(rows[n][len(keys):], match) for n, match in matches.items()]
        return Measurement(
            len(rows), len(matches), len(back), len(back_matches), nulls + back_nulls,
            columns=tuple(agreement([ours[n] for ours, _ in pairs], [theirs[n] for _, theirs in pairs])
                          for n in range(len(values))),
            joined=tuple(joined_columns(*_texts(draft, pairs))),
            deleted=(_deleted(draft.marks[0], [row[len(keys) + len(values):] for row in rows], matches),
                     _deleted(draft.marks[1], [row[len(keys):] for row in back], back_matches)))

    def _sample(self, side: int, table: Table, relation: RelationSql, names: Sequence[str],
                keys: int) -> tuple[list[tuple[str | None, ...]], int]:
        """Return rows without a NULL in the key, each key once, and the number of rows with one."""
        def read(from_: str) -> list[tuple[str | None, ...]]:
            statement = load_sql("proposal/sample/sql/sample.sql").format(
                columns=_COMMA.join(_text(relation.columns[name], name) for name in names), relation=fragment(from_),
                where=where_clause(relation.where), limit=sql.Literal(SAMPLE_KEYS))
            return [tuple(row.values()) for row in self._query(side, statement)]

        if table.blocks > 4 * _SAMPLED_BLOCKS:
            rows = read(relation.sampled("SYSTEM", 100 * _SAMPLED_BLOCKS / table.blocks))
        else:
            # The first rows are often alike. The number of rows can be out of date: too small a sample is read again.
            spread = 100 * SAMPLE_KEYS / table.rows if table.rows and table.rows > SAMPLE_KEYS else 0.0
            rows = read(relation.sampled("BERNOULLI", spread)) if spread else []
            if 2 * len(rows) < SAMPLE_KEYS:
                rows = read(relation.from_)
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
        statement = load_sql("proposal/sample/sql/lookup.sql").format(
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


def _texts(
    draft: Draft, pairs: Sequence[tuple[tuple[str | None, ...], tuple[str | None, ...]]]
) -> tuple[dict[str, list[str | None]], dict[str, list[str | None]]]:
    """Return the values of the columns of text of both sides, of which the names say nothing, by column."""
    texts: tuple[dict[str, list[str | None]], dict[str, list[str | None]]] = ({}, {})
    for side, (table, name) in enumerate(((draft.source, "source"), (draft.target, "target"))):
        for n, link in enumerate(draft.columns):
            term = getattr(link, name)
            if not term.hops and table.by_name[term.column].type.name == "text":
                texts[side].setdefault(term.column, [pair[side][n] for pair in pairs])
    return texts


def _deleted(marks: Sequence[PossibleMark], rows: Sequence[tuple[str | None, ...]],
             matches: Container[int]) -> DeletedRows | None:
    """Return the mark of the rows that the other side does not have. ``matches`` are positions of those that it has."""
    for n, possible in enumerate(marks):
        gone, kept = ([row[n] for number, row in enumerate(rows) if (number in matches) is of_both]
                      for of_both in (False, True))
        if mark := explain_gone(possible, gone, kept):
            return mark
    return None


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
