"""Whether all that a mapping reads can be locked before the snapshot is taken."""

from __future__ import annotations

from orgrecon_pipeline.compare.preflight import LOCKABLE, Examined, tables_read
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.postgres.session import Session


def require_lockable(session: Session, examined: Examined) -> None:
    """Lock what the mapping reads as a comparison does, and see that nothing is left out.

    A table is locked for whoever may SELECT all of it, a partition or a table behind a view through what it belongs to.
    What only columns are granted of is not: a snapshot that is older than a TRUNCATE would read it as empty.

    Raises:
        CannotDecide: when a table is read that cannot be locked.
    """
    with session.transaction(examined.lockable):
        locked = {table.oid for table in tables_read(session)}
    for table in examined.tables:
        if table.kind in LOCKABLE and table.oid not in locked:
            raise CannotDecide(
                f"{table.schema}.{table.name} cannot be locked before the snapshot, so that a TRUNCATE could empty it "
                "unseen: grant SELECT on the whole of it, not on columns"
            )
