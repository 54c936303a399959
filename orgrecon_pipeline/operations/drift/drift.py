"""List the drifting keys of a day from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.domain.reasons import counted
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.keys import KeyFilter, StoredKey
from orgrecon_pipeline.operations.clock import read_clock, refuse_future
from orgrecon_pipeline.operations.drift.known_names import (
    require_known_column,
    require_known_entity,
    with_known_tenant,
)
from orgrecon_pipeline.operations.drift.values import LIVE_COLUMNS, with_current_values
from orgrecon_pipeline.operations.own_ledger import deciding_observation, existing_ledger

if TYPE_CHECKING:
    from orgrecon_pipeline.operations.observe.shard_runner import Progress

#: The columns of the keys, without their current values.
COLUMNS = ("day", "tenant", "entity", "kind", "key", "columns", "state", "first_seen")


@dataclass(frozen=True)
class DriftList:
    """The drifting keys of a day; ``notes`` say what is not among them.

    ``key_columns`` has the names of the key's columns by entity, in the order of the texts of a key. ``live`` adds the
    current values to rows, see :func:`with_current_values`; without it there are none.
    """

    identity: Identity
    ledger: Ledger
    observation: Observation
    wanted: KeyFilter
    key_columns: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    live: Callable[[Iterator[dict[str, Any]]], Iterator[dict[str, Any]]] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of every format of ``orgrecon drift``, in order."""
        return COLUMNS + LIVE_COLUMNS if self.live else COLUMNS

    def keys(self) -> Iterator[StoredKey]:
        """Yield the keys by entity, tenant and key."""
        return self.ledger.keys(self.observation, self.wanted)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the keys as the rows of every format of ``orgrecon drift``, as JSON values."""
        return self.live(self._rows()) if self.live else self._rows()

    def _rows(self) -> Iterator[dict[str, Any]]:
        day = self.observation.day.isoformat()
        for key in self.keys():
            names = self.key_columns.get(key.entity) or tuple(str(n) for n in range(1, len(key.key) + 1))
            yield {
                "day": day, "tenant": key.tenant, "entity": key.entity, "kind": key.kind,
                "key": dict(zip(names, key.key, strict=True)), "columns": list(key.columns),
                "state": key.state.value if key.state else None,
                "first_seen": key.first_seen.isoformat() if key.first_seen else None,
            }


def list_drift(
    settings: Settings, day: date | None, wanted: KeyFilter, *, values: bool = False,
    progress: Progress = lambda line: None,
) -> DriftList:
    """Return the drifting keys of a day, by default the latest one with evidence.

    With ``values``, the rows also say how the keys drift now.

    Raises:
        DayRefused: if the day is in the future.
        UsageError: if the day has no decided observation, or ``wanted`` names an unknown tenant, entity or column.
        ConfigurationError: if the ledger or the mapping cannot be used.
    """
    mapping = settings.mapping
    if day is not None:
        refuse_future(day, read_clock(settings.environ).today())
    ledger = existing_ledger(settings, mapping)
    if ledger is None:
        raise UsageError("there is no ledger: run orgrecon report once, or check ORGRECON_LEDGER_URL.")
    observation = deciding_observation(ledger, day)
    if not observation.verdict.decided:
        raise UsageError(
            f"{observation.day} is {observation.verdict.value}, so its drift is unknown: {observation.reason}")
    require_known_entity(observation, wanted)
    require_known_column(ledger, observation, wanted, mapping)
    wanted = with_known_tenant(ledger, observation, wanted)
    return DriftList(ledger.identity, ledger, observation, wanted, _key_columns(observation, mapping),
                     tuple(_notes(ledger, observation, wanted)),
                     partial(with_current_values, settings=settings, progress=progress) if values else None)


def _key_columns(observation: Observation, mapping: MappingConfig) -> dict[str, tuple[str, ...]]:
    """Return the names of the columns of the keys, as far as they are known."""
    if observation.mapping_digest == mapping.digest:
        return {name: tuple(sorted(entity.key)) for name, entity in mapping.entities.items()}
    stored = observation.compared.get("mapping") or {"entities": {}}
    return {name: tuple(sorted(entity["key"])) for name, entity in stored["entities"].items()}


def _notes(ledger: Ledger, observation: Observation, wanted: KeyFilter) -> Iterator[str]:
    """Yield what the list does not show."""
    kept = ledger.kept_keys(observation)
    left_out = observation.compared.get("keys", {})
    for name, drifting in observation.drifting_keys().items():
        if wanted.entity not in (None, name) or drifting == kept.get(name):
            continue
        here = counted(kept.get(name, 0), "drifting key")
        if left_out.get(name, {}).get("left_out"):
            why = "report.keep_keys limits how many are kept"
        else:
            why = "the ledger was imported from reports, which have samples only"
        yield f"{name}: only {here} of {'an unknown number' if drifting is None else drifting} can be listed: {why}."
    change = observation.change
    if wanted.state is KeyState.HEALED and (change is None or change.since is None):
        yield f"no key is healed on {observation.day}, because no earlier day was decided under its mapping."
