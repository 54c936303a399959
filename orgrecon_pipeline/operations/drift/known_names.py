"""Refuse names that the evidence of a day does not have: a misspelled name must not look like "no drift"."""

from __future__ import annotations

from dataclasses import replace

from orgrecon_pipeline.domain.canonical import bounded_name
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation, Provenance
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.keys import KeyFilter


def with_known_tenant(ledger: Ledger, observation: Observation, wanted: KeyFilter) -> KeyFilter:
    """Return ``wanted`` with its tenant as the ledger stores it.

    A tenant without drift and one that left are known, too.

    Raises:
        UsageError: if the tenant has no row in any observation.
    """
    if wanted.tenant is None:
        return wanted
    name = bounded_name(wanted.tenant)
    simulated = observation.provenance is Provenance.SIMULATED
    appeared = any(True for _ in ledger.tenant_presences(simulated=simulated, name=name))
    if not appeared and not _drifts(ledger, observation, KeyFilter(tenant=name)):
        raise UsageError(f"--tenant {wanted.tenant[:80]!a}: no observation has a row of this tenant: check its name.")
    return replace(wanted, tenant=name)


def require_known_entity(observation: Observation, wanted: KeyFilter) -> None:
    """Require that the observation compared the entity of ``wanted``; a UsageError lists the choices."""
    if wanted.entity is not None and wanted.entity not in observation.entities:
        raise UsageError(f"--entity {wanted.entity[:80]!a} was not compared on {observation.day}: choose one of "
                         f"{', '.join(observation.entities)}.")


def require_known_column(ledger: Ledger, observation: Observation, wanted: KeyFilter, mapping: MappingConfig) -> None:
    """Require that the observation compared the column of ``wanted``; a UsageError lists the choices.

    The choices are the columns of the entity of ``wanted``, by default of all entities.
    """
    if wanted.column is None:
        return
    compared = _compared_columns(observation, mapping)
    choices = sorted({column for name, columns in compared.items() if wanted.entity in (None, name)
                      for column in columns})
    # If the day's mapping was too large to be stored, only its drift tells the columns that are gone from the mapping.
    of_drift = KeyFilter(entity=wanted.entity, column=wanted.column)
    if wanted.column not in choices and not _drifts(ledger, observation, of_drift):
        of_entity = f" for the entity {wanted.entity}" if wanted.entity else ""
        fix = f"choose one of {', '.join(choices)}" if choices else "only keys were compared, so leave it out"
        raise UsageError(f"--column {wanted.column[:80]!a} was not compared on {observation.day}{of_entity}: {fix}.")


def _compared_columns(observation: Observation, mapping: MappingConfig) -> dict[str, tuple[str, ...]]:
    """Return the compared columns by entity, from the mapping of the day, or the one at hand if it was not stored."""
    stored = observation.compared.get("mapping")
    if observation.mapping_digest == mapping.digest or not stored:
        return {name: tuple(entity.compare) for name, entity in mapping.entities.items()}
    return {name: tuple(entity["compare"]) for name, entity in stored["entities"].items()}


def _drifts(ledger: Ledger, observation: Observation, wanted: KeyFilter) -> bool:
    return next(ledger.keys(observation, wanted), None) is not None
