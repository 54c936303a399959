"""Both sides in one database: one snapshot, and every comparison made by the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from orgrecon_pipeline.domain.evidence import Sample
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.source.comparison import Snapshot
from orgrecon_pipeline.source.crew import Crew, Task
from orgrecon_pipeline.source.digest import Digest
from orgrecon_pipeline.source.drifting import Drift, Drifting
from orgrecon_pipeline.source.drilldown import drill_down, read_samples
from orgrecon_pipeline.source.fingerprint import Fingerprints, SideRows, fingerprint, refuse_null_keys
from orgrecon_pipeline.source.joined import join_sides
from orgrecon_pipeline.source.lockable import refuse_unlockable
from orgrecon_pipeline.source.preflight import examine, only_examined, read_declared, refuse_elsewhere, unchanged
from orgrecon_pipeline.source.pulse import RowCount
from orgrecon_pipeline.source.self_test import prove_eyes
from orgrecon_pipeline.source.session import Session
from orgrecon_pipeline.source.statements import EntityStatements, statements_of

# Rows of both sides in one exact statement: what does not fit in its memory the server writes to temporary files.
BATCH_ROWS = 20_000_000


class OneDatabase:
    """See :class:`~orgrecon_pipeline.source.reader.Reader`."""

    def __init__(self, mapping: Mapping, connect: Callable[[], Session], digest: Digest) -> None:
        """Connect.

        Raises:
            CannotDecide: when that fails.
        """
        self.digest, self.rows = digest, RowCount()
        self._mapping, self._session = mapping, connect()
        self._crew = Crew(self._session, connect, mapping.scan.workers)

    def close(self) -> None:
        self._session.close()

    def examine(self) -> int:
        self._examined = examine(self._session, self._mapping)
        refuse_unlockable(self._session, self._examined)
        self._statements = statements_of(self._mapping, self._examined.types, self.digest)
        self.rows.expected = self._examined.estimated_rows
        return len(self._examined.tables)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        inspect = partial(only_examined, examined=self._examined)
        with self._crew.transaction(self._examined.lockable, inspect) as identity:
            refuse_elsewhere(identity, self._examined, "the connection")
            yield Snapshot(identity, identity)

    def prove_eyes(self) -> None:
        prove_eyes(self._session, self.digest)

    def unchanged(self) -> None:
        unchanged(self._session, self._mapping, self._examined)

    def declared(self) -> frozenset[str] | None:
        return read_declared(self._session, self._mapping.tenants)

    def fingerprints(self, *, many_tenants: bool) -> dict[str, Fingerprints]:
        limit = self._mapping.report.breakdown_limit
        read = partial(_fingerprint, limit=limit, rows=self.rows, many=many_tenants)
        tasks = [partial(read, statements=each) for each in self._statements.values()]
        prints = dict(zip(self._statements, self._crew.run(tasks), strict=True))
        for name, found in prints.items():
            refuse_null_keys(name, found)
        return prints

    def first_read(self, prints: dict[str, Fingerprints], *, exact: bool) -> Drift:
        shares: list[tuple[str, Task[dict[str, Drifting]]]] = []
        for name, statements in self._statements.items():
            tenants = prints[name].tenants if exact else prints[name].differing
            read = partial(_by_key, statements=statements, prints=prints[name], exact=exact)
            shares += [
                (name, partial(read, tenants=batch))
                for batch in _batches(tenants, prints[name])
            ]
        found: Drift = {name: {} for name in self._statements}
        for (name, _), drifting in zip(shares, self._crew.run([task for _, task in shares]), strict=True):
            found[name] |= drifting
        return found

    def read_again(self, watched: Drift) -> Drift:
        tasks = [
            partial(drill_down, statements=self._statements[name], tenants=list(tenants), seen=tenants)
            for name, tenants in watched.items()
        ]
        return dict(zip(watched, self._crew.run(tasks), strict=True))

    def rows_of(self, name: str, tenants: Iterable[str]) -> dict[str, SideRows]:
        counted = self._session.query(self._statements[name].tenant_rows(), name, {"tenants": sorted(tenants)})
        return {row["tenant"]: SideRows(row["source_rows"], row["target_rows"]) for row in counted}

    def any_row(self, name: str, side: str) -> bool:
        return bool(self._session.query(self._statements[name].any_row(side), name)[0]["any_row"])

    def samples(self, name: str, drifting: dict[str, Drifting], limit: int, *, with_values: bool) -> list[Sample]:
        return read_samples(self._session, self._statements[name], drifting, limit, with_values=with_values)


def _fingerprint(
    session: Session, statements: EntityStatements, limit: int, rows: RowCount, many: bool
) -> Fingerprints:
    prints = fingerprint(session, statements, limit, many_tenants=many)
    rows.add(prints.rows.source + prints.rows.target)
    return prints


def _by_key(
    session: Session, statements: EntityStatements, tenants: list[str], prints: Fingerprints, *, exact: bool
) -> dict[str, Drifting]:
    if exact or not statements.joinable:
        return drill_down(session, statements, tenants)
    found, unproven = join_sides(session, statements, tenants, prints)
    if unproven:
        found |= drill_down(session, statements, unproven)
    return found


def _batches(tenants: Iterable[str], prints: Fingerprints) -> Iterator[list[str]]:
    batch: list[str] = []
    rows = 0.0
    for tenant in sorted(tenants):
        batch.append(tenant)
        rows += prints.rows_about(tenant)
        if rows >= BATCH_ROWS:
            yield batch
            batch, rows = [], 0.0
    if batch:
        yield batch
