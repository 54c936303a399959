"""The ledger of the identity at hand, and the observation that decided a day in it.

It is not opened if a name is missing and several identities are possible.
"""

from __future__ import annotations

from datetime import date

from orgrecon_pipeline.config.settings import ENVIRONMENT_VARIABLE, Settings
from orgrecon_pipeline.domain.errors import UsageError
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.gate.day_decision import decided_by_own_policy
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_existing, open_ledger


def own_ledger(settings: Settings, mapping: MappingConfig) -> Ledger:
    """Open the ledger for writing, as :func:`open_ledger` does.

    Raises:
        UsageError: if it is not clear which identity is meant; see :func:`require_unambiguous`.
        ConfigurationError: if the ledger cannot be used.
    """
    ledger = open_ledger(settings.ledger_url, mapping.identity(settings.environment))
    require_unambiguous(ledger, mapping, environment_named=settings.environment_named)
    return ledger


def existing_ledger(settings: Settings, mapping: MappingConfig) -> Ledger | None:
    """Open the ledger for reading, or return None if there is none yet; raise the errors of :func:`own_ledger`."""
    ledger = open_existing(settings.ledger_url, mapping.identity(settings.environment))
    if ledger is not None:
        require_unambiguous(ledger, mapping, environment_named=settings.environment_named)
    return ledger


def deciding_observation(ledger: Ledger, day: date | None) -> Observation:
    """Return the observation that decided a day, by default the latest day with evidence.

    Raises:
        UsageError: if there is no evidence, or none of this day.
    """
    days = ledger.days()
    if not days:
        raise UsageError("the ledger holds no evidence: run orgrecon report, or check ORGRECON_LEDGER_URL.")
    observations = ledger.observations(day or days[-1])
    if not observations:
        raise UsageError(f"{day} has no evidence in the ledger: its days are {days[0]} to {days[-1]}; name another "
                         "--date.")
    return decided_by_own_policy(observations)


def require_unambiguous(ledger: Ledger, mapping: MappingConfig, *, environment_named: bool) -> None:
    """Require that the ledger holds no other identity which the names at hand could mean.

    A name that is not given is only a default: evidence under another name would silently be left out.

    Raises:
        UsageError: if it holds one; the message lists the names that there are.
    """
    if environment_named and mapping.names_migration:
        return
    own = ledger.identity
    others = [
        identity for identity in ledger.identities() if identity != own
        and (identity.migration == own.migration or not mapping.names_migration)
        and (identity.environment == own.environment or not environment_named)]
    if others:
        raise UsageError(f"{ledger.address} holds evidence of {_listed(others)}, and {_what_is_missing(own, others)}")


def _what_is_missing(own: Identity, others: list[Identity]) -> str:
    missing, fixes = [], []
    if any(other.migration != own.migration for other in others):
        missing.append("the mapping names no migration")
        fixes.append("add migration: {name: …} to the mapping")
    if any(other.environment != own.environment for other in others):
        missing.append(f"{ENVIRONMENT_VARIABLE} is not set")
        fixes.append(f"set {ENVIRONMENT_VARIABLE} (to nothing for the environment without a name)")
    return f"{' and '.join(missing)}: {' and '.join(fixes)}, so that it is clear which one is meant."


def _listed(identities: list[Identity]) -> str:
    *first, last = map(str, identities)
    return f"{', '.join(first)} and {last}" if first else last
