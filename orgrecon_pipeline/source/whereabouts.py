"""Which databases answer now, without reading anything else there."""

from __future__ import annotations

from contextlib import closing

from orgrecon_pipeline.domain.mapping import ScanSettings
from orgrecon_pipeline.source.comparison import Snapshot
from orgrecon_pipeline.source.dsn import Place, Places
from orgrecon_pipeline.source.session import Deadline, Identity, Session


def whereabouts(places: Places, settings: ScanSettings) -> Snapshot:
    """The identities of both sides.

    Raises:
        CannotDecide: when one does not answer.
    """
    source = _identity(places.source, settings)
    return Snapshot(source, source if places.one_database else _identity(places.target, settings))


def _identity(place: Place, settings: ScanSettings) -> Identity:
    with (
        closing(Session(place, settings, Deadline(settings.deadline_seconds))) as session,
        session.transaction(),
    ):
        return session.identify()
