"""Links of the hash chain of an identity: append, read and verify."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, func, insert, literal, null, select, text

from orgrecon_pipeline.domain.integrity.chain import (
    BrokenChain,
    ChainHead,
    Imported,
    LinkEntry,
    LinkKind,
    Part,
    StoredLink,
    entry_after,
)
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import names_digest
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.chain.content import (
    WITHOUT_NAMES,
    acknowledgement_content,
    observation_content,
    ready_tenants_content,
    redaction_content,
    shard_content,
)
from orgrecon_pipeline.ledger.chain.verified import VerifiedChain
from orgrecon_pipeline.ledger.connection.engine import Store
from orgrecon_pipeline.ledger.connection.retry import retried
from orgrecon_pipeline.ledger.statements.fingerprints import read_tenants


class ChainStore(Store):
    """The methods of a ledger that append to, read and verify its hash chain."""

    @retried
    def head(self) -> ChainHead | None:
        """Return the last link of the chain, None while there is no evidence."""
        with self.reading() as connection:
            return self._head(connection)

    @retried
    def chain_of(self, day: date) -> dict[str, ChainHead]:
        """Return the links of the comparisons of a day, by the id of the observation.

        For an imported observation it is the link that its report names. A baseline has none, because it must be the
        same in every ledger.
        """
        link, observation = self.own.link, self.own.observation
        statement = select(link.c.entry).join(observation, observation.c.number == link.c.subject).where(
            link.c.kind == "observation", observation.c.day == day, observation.c.ledger.is_not(None))
        with self.reading() as connection:
            entries = [LinkEntry.model_validate_json(entry) for entry in connection.execute(statement).scalars()]
        heads = {str(entry.id): entry.imported.chain if entry.imported else entry.head for entry in entries}
        return {id_: head for id_, head in heads.items() if head}

    @retried
    def links(self) -> list[StoredLink]:
        """Return the links of the chain in order of their positions, as they are stored."""
        link = self.own.link
        with self.reading() as connection:
            rows = connection.execute(select(link.c.position, link.c.hash, link.c.entry).order_by(link.c.position))
            return [StoredLink(*row) for row in rows]

    def chain_breaks(self) -> Iterator[str]:
        """Yield every contradiction between the links, and between the links and the evidence, as a sentence.

        After a link that does not follow its predecessor the chain proves nothing, so that break comes first, and no
        later link is checked.
        """
        with self.reading() as connection:
            yield from self._breaks(connection, self._chain(connection))

    def _chain(self, connection: Connection) -> VerifiedChain:
        """Return the links up to the first that does not follow its predecessor."""
        link, id_ = self.own.link, self._id_of(connection)
        head, chain = None, VerifiedChain()
        for row in connection.execute(select(link).order_by(link.c.position)).all():
            stored = StoredLink(row.position, row.hash, row.entry)
            try:
                entry = entry_after(head, stored, id_, self.identity)
            except BrokenChain as broken:
                chain.broken = str(broken)
                break
            head = entry.head
            chain.add(connection, row, entry)
        return chain

    def _breaks(self, connection: Connection, chain: VerifiedChain) -> Iterator[str]:
        if chain.broken:
            yield chain.broken
        for row, entry in chain.links:
            yield from _altered(connection, row, entry, chain.expected[row.position])
            yield from chain.refused.get(row.position, ())
        if not chain.broken:
            linked = {(row.kind, row.subject, row.detail) for row, _ in chain.links}
            yield from self._without_link(connection, linked)
            yield from self._altered_tenants(connection)

    def _id_of(self, connection: Connection) -> str:
        """Return the id of the ledger within a transaction: on SQLite, another connection would wait for its end."""
        id_: str = connection.execute(select(tables.ledger.c.id)).scalar_one()
        return id_

    def _head(self, connection: Connection) -> ChainHead | None:
        link = self.own.link
        row = connection.execute(
            select(link.c.position, link.c.hash).order_by(link.c.position.desc()).limit(1)).first()
        return ChainHead(position=row.position, hash=row.hash) if row else None

    def _append_link(
        self, connection: Connection, kind: LinkKind, subject: int, *, id: str | None = None,
        day: date | None = None, detail: str | None = None, imported: Imported | None = None,
    ) -> None:
        """Append the link of evidence that was inserted in the same transaction, with all its rows."""
        content = READERS[kind](connection, subject, detail)
        self._lock_chain(connection)
        previous = self._head(connection)
        entry = LinkEntry(
            ledger=self._id_of(connection),
            migration=self.identity.migration, environment=self.identity.environment,
            position=previous.position + 1 if previous else 1, previous=previous.hash if previous else None,
            kind=kind, id=id, day=day.isoformat() if day else None, content=content, imported=imported)
        connection.execute(insert(tables.link).values(
            migration=entry.migration, environment=entry.environment, position=entry.position, kind=kind,
            subject=subject, detail=detail, hash=entry.head.hash, entry=entry.text()))

    def _altered_tenants(self, connection: Connection) -> Iterator[str]:
        """Yield a sentence for each set of tenants that is not the one that fingerprints name."""
        own, fingerprint = self.own.observation, tables.fingerprint
        named = select(fingerprint.c.tenants, func.min(own.c.day).label("day")).join(
            own, own.c.number == fingerprint.c.observation).group_by(fingerprint.c.tenants)
        for row in connection.execute(named.order_by("day", fingerprint.c.tenants)).all():
            try:
                stored = names_digest(read_tenants(connection, self.identity, row.tenants))
            except ValueError:
                stored = ""
            if stored != row.tenants:
                yield f"the tenants of the fingerprints of {row.day} were changed or removed after they were stored."

    def _lock_chain(self, connection: Connection) -> None:
        """Let other writers wait until this transaction ends, so that no two links follow the same one."""
        if connection.dialect.name == "postgresql":
            connection.execute(text(
                f"SELECT pg_advisory_xact_lock(hashtextextended(id || ' {self.identity.slug} chain', 0)) "  # noqa: S608
                f"FROM {tables.ledger.name}"))

    def _without_link(self, connection: Connection, linked: set[tuple[str, int, str | None]]) -> Iterator[str]:
        own, acknowledgement = self.own.observation, self.own.acknowledgement
        shard, ready, redaction = tables.shard_result, tables.ready_tenants, self.own.redaction
        none = null().label("detail")
        statements: dict[str, Select[Any]] = {
            "observation {0.id} of {0.day}": select(literal("observation"), own.c.number, none, own.c.id, own.c.day),
            "an acknowledgement": select(literal("acknowledgement"), acknowledgement.c.number, none),
            "a redaction": select(literal("redaction"), redaction.c.number, none),
            "the result of a shard of {0.day}": select(
                literal("shard_result"), own.c.number, shard.c.shard, own.c.day).join(
                shard, shard.c.observation == own.c.number),
            "the summary of tenant gates of {0.day}": select(
                literal("ready_tenants"), own.c.number, ready.c.evidence, own.c.day).join(
                ready, ready.c.observation == own.c.number),
        }
        for name, statement in statements.items():
            for row in connection.execute(statement):
                if tuple(row[:3]) not in linked:
                    yield f"{name.format(row)} has no link: it was inserted without orgrecon."


def is_as_linked(connection: Connection, link: Any) -> bool:
    """Return whether the evidence of a link, a row, is still what it covers. The links before it are not checked."""
    try:
        entry = LinkEntry.model_validate_json(link.entry)
    except ValueError:
        return False
    return bool(entry.head.hash == link.hash
                and entry.content == READERS[entry.kind](connection, link.subject, link.detail))


_NO_PART = Part(rows=0, sha256="0" * 64)

#: Reads the content of a link that is stored now, by the kind of the link: of a subject and a detail.
READERS: dict[LinkKind, Callable[[Connection, int, Any], Any]] = {
    "observation": lambda connection, number, _: observation_content(connection, number),
    "acknowledgement": lambda connection, number, _: acknowledgement_content(connection, number),
    "shard_result": shard_content,
    "ready_tenants": ready_tenants_content,
    "redaction": lambda connection, number, _: redaction_content(connection, number),
}


def _altered(connection: Connection, row: Any, entry: LinkEntry, expected: Mapping[str, Part]) -> Iterator[str]:
    """Yield a sentence if a piece of evidence differs from what its link, or a later redaction, covers."""
    if row.kind != entry.kind:
        yield f"link {row.position} was edited: it is the link of another kind of evidence."
        return
    stored = READERS[entry.kind](connection, row.subject, row.detail)
    altered = [name for name in sorted({**stored, **expected}) if stored.get(name) != expected.get(name)]
    if not altered:
        return
    if not next(iter(stored.values())).rows:
        yield f"link {row.position}: {entry.subject} was removed."
        return
    parts = ", ".join(
        _altered_part(name, expected.get(name, _NO_PART), stored.get(name, _NO_PART)) for name in altered
        if not (name.endswith(WITHOUT_NAMES) and name.removesuffix(WITHOUT_NAMES) in altered))
    yield f"link {row.position}: {entry.subject} was changed after it was stored: {parts}."


def _altered_part(name: str, then: Part, now: Part) -> str:
    return name if then.rows == now.rows else f"{name} ({counted(then.rows, 'row')} then, {now.rows} now)"
