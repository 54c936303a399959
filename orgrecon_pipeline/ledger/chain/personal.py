"""Statements that replace a tenant in every personal column of a ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Select, select, update

from orgrecon_pipeline.domain.drift.key import key_text
from orgrecon_pipeline.domain.integrity.redaction import Redactor
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.connection.engine import OwnRows
from orgrecon_pipeline.ledger.statements.rows import insert_rows, json_text

#: The link that a changed row belongs to: its kind, subject and detail.
Subject = tuple[str, int, str | None]

_key_map = sa.Table(
    "orgrecon_replaced_key", sa.MetaData(), sa.Column("key", tables.key.c.key.type, primary_key=True),
    sa.Column("pseudonym", tables.key.c.key.type), prefixes=["TEMPORARY"], postgresql_on_commit="DROP")


def replace_tenant(connection: Connection, own: OwnRows, redactor: Redactor) -> set[Subject]:
    """Replace a tenant in all rows of an identity, and return the links of the rows that were changed."""
    numbers = select(own.observation.c.number)
    changed: set[Subject] = set()
    for table, column, replaced in _named_rows(connection, numbers, redactor):
        of_tenant = [column == redactor.name, table.c.observation.in_(numbers)]
        if table is tables.coverage:
            of_tenant.append(table.c.subject == "tenant")
        observations = connection.execute(select(table.c.observation).where(*of_tenant).distinct()).scalars().all()
        if observations:
            connection.execute(update(table).where(*of_tenant).values(replaced))
        changed |= {("observation", number, None) for number in observations}
    for table, rows, subject, values_of in _rewritten_rows(own, numbers):
        for row in connection.execute(rows).mappings().all():
            values = {name: value for name, value in values_of(redactor, row).items() if value != row[name]}
            if values:
                connection.execute(update(table).where(
                    *(column == row[column.name] for column in table.primary_key)).values(values))
                changed.add(subject(row))
    return changed


def _named_rows(
    connection: Connection, numbers: Select[Any], redactor: Redactor
) -> Iterator[tuple[sa.Table, sa.Column[Any], dict[str, Any]]]:
    """Yield the tables that can have many rows of a tenant: the column of its name, and the values to set."""
    yield tables.tenant_row, tables.tenant_row.c.tenant, {"tenant": redactor.pseudonym}
    yield tables.coverage, tables.coverage.c.name, {"name": redactor.pseudonym}
    key = tables.key
    _key_map.create(connection)
    stored = connection.execute(select(key.c.key).where(
        key.c.tenant == redactor.name, key.c.observation.in_(numbers)).distinct()).scalars().all()
    insert_rows(connection, _key_map, (
        (text, key_text(map(redactor.key_value, json.loads(text)))) for text in stored))
    pseudonym = select(_key_map.c.pseudonym).where(_key_map.c.key == key.c.key).scalar_subquery()
    yield key, key.c.tenant, {"tenant": redactor.pseudonym, "key": pseudonym}
    _key_map.drop(connection)


_Rewritten = tuple[sa.Table, Select[Any], Callable[[Any], Subject], Callable[[Redactor, Any], dict[str, Any]]]


def _rewritten_rows(own: OwnRows, numbers: Select[Any]) -> Iterator[_Rewritten]:
    """Yield the tables with texts and JSON: their rows, the link of a row, and the values that replace its columns."""
    def of_observation(table: sa.Table) -> Select[Any]:
        return select(table).where(table.c.observation.in_(numbers))

    yield (tables.observation, select(own.observation), lambda row: ("observation", row["number"], None),
           lambda redactor, row: {
               "reason": redactor.sentence(row["reason"]),
               "reason_parameters": _rewritten(redactor.parameters, row["reason_parameters"]),
               "compared": _rewritten(redactor.compared, row["compared"])})
    yield (tables.sample, of_observation(tables.sample), lambda row: ("observation", row["observation"], None), _sample)
    yield (tables.change, of_observation(tables.change), lambda row: ("observation", row["observation"], None),
           lambda redactor, row: {"change": _rewritten(redactor.change, row["change"])})
    yield (tables.ready_tenants, of_observation(tables.ready_tenants),
           lambda row: ("ready_tenants", row["observation"], row["evidence"]),
           lambda redactor, row: {"figures": _rewritten(redactor.ready_tenants, row["figures"])})
    yield (tables.acknowledgement, select(own.acknowledgement), lambda row: ("acknowledgement", row["number"], None),
           lambda redactor, row: {
               "reason": redactor.words(row["reason"]),
               "details": _rewritten(redactor.acknowledged, row["details"])})
    yield (tables.redaction, select(own.redaction), lambda row: ("redaction", row["number"], None),
           lambda redactor, row: {"reason": redactor.words(row["reason"])})
    # The result of a shard serves only later attempts of its day, which a redaction requires to be over.
    yield (tables.shard_result, of_observation(tables.shard_result),
           lambda row: ("shard_result", row["observation"], row["shard"]),
           lambda redactor, row: {"result": "{}" if json_text(redactor.name) in row["result"] else row["result"]})


def _sample(redactor: Redactor, row: Any) -> dict[str, Any]:
    sample = redactor.sample({"tenant": row["tenant"], "key": json.loads(row["key"])})
    if sample["tenant"] == row["tenant"]:
        return {}
    return {"tenant": sample["tenant"], "key": json_text(sample["key"]), "column_values": None, "context": None}


def _rewritten(function: Callable[[Any], Any], text: str) -> str:
    """Return JSON text after a function; the same text if the value stays."""
    value = json.loads(text)
    replaced = function(value)
    return text if replaced == value else json_text(replaced)
