"""Statements that append to a ledger. Appended rows are never changed or removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from orgrecon_pipeline.domain.coverage import CoverageEvent
from orgrecon_pipeline.domain.errors import EvidenceNotStored
from orgrecon_pipeline.domain.evidence import FIGURES, Observation, Sample, TenantRow
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.engine import Store
from orgrecon_pipeline.ledger.tables import AcknowledgementKind

_CHUNK = 10_000  # rows
# A NUL as json.dumps writes it. With an even number of backslashes, u0000 is text.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True)
class Notified:
    """A state that a notification channel knows.

    ``channel`` is the key of the channel (no address), ``topic`` an ISO day or the gate, ``state`` a verdict or the
    gate's state.
    """

    channel: str
    topic: str
    state: str
    recorded_at: datetime


class LedgerWriter(Store):
    """The writing methods of a ledger. Each raises :class:`EvidenceNotStored` if the database refuses the write."""

    def append(
        self, observation: Observation, tenant_rows: Iterable[TenantRow], samples: Iterable[Sample],
        coverage: Iterable[CoverageEvent],
    ) -> bool:
        """Append an observation with everything that belongs to it, in one transaction.

        There is at most one tenant row per tenant and entity; they are consumed once, as a stream. Samples are in the
        order in which reports show them.

        Returns:
            False, without any change, if the ledger already has an observation of this identity with this id.

        Raises:
            EvidenceNotStored: if the write fails, a text holds a NUL or half a surrogate pair, or a figure is above
                2**53 - 1.
        """
        with self.writing() as connection:
            number = self._insert_observation(connection, observation)
            if number is None:
                return False
            _insert_rows(connection, tables.entity, (
                (number, ordinal, _storable(name), *(getattr(totals, figure) for figure in FIGURES))
                for ordinal, (name, totals) in enumerate(observation.entities.items())))
            _insert_rows(connection, tables.tenant_row, _tenant_values(number, observation, tenant_rows))
            _insert_rows(connection, tables.sample, (
                (number, ordinal, _storable(sample.tenant), _storable(sample.entity), sample.kind.value,
                 _json_text(sample.key), _json_text(sample.columns),
                 *(None if shown is None else _json_text(shown) for shown in (sample.values, sample.show)))
                for ordinal, sample in enumerate(samples)))
            _insert_rows(connection, tables.coverage, (
                (number, ordinal, event.subject.value, _storable(event.name), event.change.value)
                for ordinal, event in enumerate(coverage)))
        return True

    def acknowledge(
        self, kind: AcknowledgementKind, reason: str, observation_id: str | None, details: dict[str, Any],
        recorded_at: datetime,
    ) -> None:
        """Record permanently that lost coverage, a changed source database or another ledger in Dagster is intended.

        ``observation_id`` is the observation that reported it, None for a ledger; ``details`` are JSON values that
        identify it.
        """
        with self.writing() as connection:
            connection.execute(insert(tables.acknowledgement).values(
                **self._identity, kind=kind, reason=_storable(reason), observation_id=observation_id,
                details=_json_text(details), recorded_at=recorded_at))

    def append_shard_result(self, observation_id: str, shard: str, exact: bool, result: dict[str, Any]) -> None:
        """Store the result of one shard of an attempt in which other shards failed; ``result`` holds JSON values."""
        with self.writing() as connection:
            observation = self.own.observation
            number = connection.execute(
                select(observation.c.number).where(observation.c.id == observation_id)).scalar_one()
            connection.execute(insert(tables.shard_result).values(
                observation=number, shard=_storable(shard), exact=int(exact), result=_json_text(result)))

    def record_notified(self, notified: Iterable[Notified]) -> None:
        """Record states that notification channels know now, in one transaction."""
        rows = [{**self._identity, **asdict(entry), "channel": _storable(entry.channel)} for entry in notified]
        if rows:
            with self.writing() as connection:
                connection.execute(insert(tables.notification), rows)

    @property
    def _identity(self) -> dict[str, str]:
        return {"migration": self.identity.migration, "environment": self.identity.environment}

    def _insert_observation(self, connection: Connection, observation: Observation) -> int | None:
        """Insert an observation and return its number, or None if its id is known."""
        id_, own = _storable(observation.id), self.own.observation
        if connection.execute(select(own.c.number).where(own.c.id == id_)).first():
            return None
        try:
            key = connection.execute(insert(tables.observation).values(
                **self._identity,
                id=id_,
                title=_storable(observation.title),
                ledger=observation.ledger,
                day=observation.day,
                provenance=observation.provenance.value,
                verdict=observation.verdict.value,
                reason=_storable(observation.reason),
                reason_code=observation.reason_code.value,
                reason_parameters=_json_text(observation.reason_parameters),
                observed_at=observation.observed_at,
                mapping_digest=_storable(observation.mapping_digest),
                orgrecon_version=_storable(observation.orgrecon_version),
                tenants_scanned=observation.tenants_scanned,
                tenants_with_drift=observation.tenants_with_drift,
                compared=_json_text(observation.compared),
            )).inserted_primary_key
        except IntegrityError as error:
            # On Postgres, another process may append the same observation between the two statements.
            if getattr(error.orig, "sqlstate", None) == "23505":
                connection.get_transaction().rollback()  # type: ignore[union-attr]
                return None
            raise
        assert key is not None  # noqa: S101 - a single row was inserted
        return int(key[0])

def _tenant_values(number: int, observation: Observation, rows: Iterable[TenantRow]) -> Iterator[Sequence[Any]]:
    ordinals = {name: ordinal for ordinal, name in enumerate(observation.entities)}
    for row in rows:
        ordinal = ordinals.get(row.entity)
        if ordinal is None:
            raise EvidenceNotStored("the evidence was not stored: a tenant row names an entity that the observation "
                                    "does not have.")
        yield (number, _storable(row.tenant), ordinal, *(getattr(row, figure) for figure in FIGURES), row.drift)


def _insert_rows(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows, whose values are in the order of the table's columns, as a stream: with COPY on Postgres."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    if connection.dialect.name == "postgresql":
        _copy(connection, f'COPY "{table.name}" ({names}) FROM STDIN', rows)
        return
    statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" for _ in table.columns)})'  # noqa: S608
    iterator = iter(rows)
    while chunk := [tuple(row) for row in islice(iterator, _CHUNK)]:
        connection.exec_driver_sql(statement, chunk)


def _copy(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    import psycopg

    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # The same error that SQLAlchemy would raise; it does not show the rows.
        raise DBAPIError.instance(statement, None, error, psycopg.Error, hide_parameters=True) from None


def _storable(text: str) -> str:
    """Return the text, which both databases must store unchanged."""
    try:
        if b"\x00" not in text.encode("utf-8"):
            return text
    except UnicodeEncodeError:
        pass
    raise EvidenceNotStored("the evidence was not stored: a text in it holds a NUL or half a surrogate pair, which "
                            "Postgres cannot store: correct the text at its source.")


def _json_text(value: Any) -> str:
    """Return JSON that parses to the same value, with keys in the same order."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        raise EvidenceNotStored("the evidence was not stored: JSON cannot represent a value in it.") from None
    return _storable(_ESCAPED_NUL.sub("\x00", text))  # an escaped NUL is refused like any other
