"""Statements that append and read fingerprints, in pieces that every database can hold.

The tenants are stored once for all observations of an identity that have the same, under their digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, insert, select, update

from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.snapshot_fingerprints import SnapshotFingerprints, removed_name
from orgrecon_pipeline.domain.tenant_names import TenantNames
from orgrecon_pipeline.ledger import tables
from orgrecon_pipeline.ledger.statements.compressed_names import compress_names, decompress_names
from orgrecon_pipeline.ledger.statements.rows import storable

_PIECE = 2**20  # bytes


def append_fingerprints(
    connection: Connection, identity: Identity, number: int, fingerprints: Mapping[str, SnapshotFingerprints]
) -> None:
    """Append the fingerprints of an observation by shard, and their tenants unless the ledger has them."""
    for shard, of_shard in sorted(fingerprints.items()):
        _append_tenants(connection, identity, of_shard)
        for ordinal, piece in enumerate(_pieces(of_shard.pack())):
            connection.execute(insert(tables.fingerprint).values(
                observation=number, shard=storable(shard), ordinal=ordinal, tenants=of_shard.tenants_digest,
                piece=piece))


def read_fingerprints(connection: Connection, identity: Identity, number: int) -> dict[str, SnapshotFingerprints]:
    """Return the fingerprints of an observation by shard; raise ValueError if they cannot be read."""
    table = tables.fingerprint
    rows = connection.execute(
        select(table).where(table.c.observation == number).order_by(table.c.shard, table.c.ordinal)).all()
    pieces: dict[tuple[str, str], list[bytes]] = {}
    for row in rows:
        pieces.setdefault((row.shard, row.tenants), []).append(row.piece)
    return {
        shard: SnapshotFingerprints.unpack(b"".join(parts), TenantNames(read_tenants(connection, identity, tenants)))
        for (shard, tenants), parts in pieces.items()}


def read_tenants(connection: Connection, identity: Identity, digest: str) -> bytes:
    """Return the packed tenants of a digest; raise ValueError if they cannot be read."""
    table = tables.tenant_set
    pieces = connection.execute(
        select(table.c.ordinal, table.c.piece).where(*_of(identity, digest)).order_by(table.c.ordinal)).all()
    if [row.ordinal for row in pieces] != list(range(len(pieces))) or not pieces:
        raise ValueError("pieces of the tenants are missing")
    return decompress_names(b"".join(row.piece for row in pieces))


def replace_name(connection: Connection, identity: Identity, name: str, pseudonym: str) -> bool:
    """Replace a name in the tenants of fingerprints, and return whether it was there.

    ``name`` is as :func:`bounded_name` returns it. Digests stay valid, because the hash of the name stays.
    """
    table = tables.tenant_set
    own = (table.c.migration == identity.migration, table.c.environment == identity.environment)
    beginning, replaced = name.partition("…sha256:")[0].encode(), False
    for digest in connection.execute(select(table.c.digest).where(*own).distinct()).scalars().all():
        *names, end = read_tenants(connection, identity, digest).split(b"\0")
        for position, stored in enumerate(names):
            if stored.startswith(beginning) and bounded_name(stored.decode("utf-8", "surrogatepass")) == name:
                names[position] = removed_name(stored, pseudonym)
                _replace_pieces(connection, identity, digest, compress_names(b"\0".join([*names, end])))
                replaced = True
                break
    return replaced


def _replace_pieces(connection: Connection, identity: Identity, digest: str, content: bytes) -> None:
    table = tables.tenant_set
    ordinals = connection.execute(
        select(table.c.ordinal).where(*_of(identity, digest)).order_by(table.c.ordinal)).scalars().all()
    for ordinal in ordinals:
        last = ordinal == ordinals[-1]  # it can be longer, and the pieces before can be empty
        piece = content[ordinal * _PIECE : None if last else (ordinal + 1) * _PIECE]
        connection.execute(update(table).where(*_of(identity, digest), table.c.ordinal == ordinal).values(piece=piece))


def _append_tenants(connection: Connection, identity: Identity, fingerprints: SnapshotFingerprints) -> None:
    table, digest = tables.tenant_set, fingerprints.tenants_digest
    if connection.execute(select(table.c.ordinal).where(*_of(identity, digest)).limit(1)).first():
        return
    new = _insert_unless_known(connection)
    for ordinal, piece in enumerate(_pieces(compress_names(fingerprints.tenants.packed))):
        connection.execute(new.values(
            migration=identity.migration, environment=identity.environment, digest=digest, ordinal=ordinal,
            piece=piece))


def _insert_unless_known(connection: Connection) -> Insert:
    """Return the insert of a piece of the tenants that does nothing if another process has just appended it."""
    if connection.dialect.name != "postgresql":
        return insert(tables.tenant_set)  # SQLite has only one writer at a time
    from sqlalchemy.dialects import postgresql  # slow to import, and SQLite does not need it

    return postgresql.insert(tables.tenant_set).on_conflict_do_nothing()


def _of(identity: Identity, digest: str) -> Sequence[Any]:
    table = tables.tenant_set
    return (table.c.migration == identity.migration, table.c.environment == identity.environment,
            table.c.digest == digest)


def _pieces(content: bytes) -> Iterator[bytes]:
    """Yield the content in pieces, at least one."""
    for start in range(0, max(len(content), 1), _PIECE):
        yield content[start : start + _PIECE]
