"""Which databases answer now, without reading anything else there."""

from __future__ import annotations

from contextlib import closing

from orgrecon_pipeline.compare.result import SnapshotPair
from orgrecon_pipeline.domain.mapping import ScanSettings
from orgrecon_pipeline.postgres.dsn import Endpoint, Endpoints
from orgrecon_pipeline.postgres.session import DatabaseIdentity, Deadline, Session


def current_identities(places: Endpoints, settings: ScanSettings) -> SnapshotPair:
    """The identities of both sides.

    Raises:
        CannotDecide: when one does not answer.
    """
    source = _identity(places.source, settings)
    return SnapshotPair(source, source if places.one_database else _identity(places.target, settings))


def _identity(place: Endpoint, settings: ScanSettings) -> DatabaseIdentity:
    with (
        closing(Session(place, settings, Deadline(settings.deadline_seconds))) as session,
        session.transaction(),
    ):
        return session.identify()
