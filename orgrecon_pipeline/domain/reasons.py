"""Reasons: a code with parameters, which programs compare, and the sentence that people read.

Records and ledgers store all three. Sentences may be reworded at any time, because nothing compares them. Codes and the
names of parameters are a public format: add to them, but never rename or remove one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from typing import Any


class ReasonCode(str, Enum):
    """Why an observation has its verdict, why a day counts or not, or why the gate is open or closed."""

    UNKNOWN = "unknown"

    # A decided observation.
    BASELINE = "baseline"
    ZERO_DRIFT = "zero_drift"
    DRIFT = "drift"

    # A complete comparison that decides nothing.
    COVERAGE_LOST = "coverage_lost"
    KEYS_IN_FLUX = "keys_in_flux"
    NO_TENANT_FOUND = "no_tenant_found"
    NOTHING_COMPARED = "nothing_compared"
    NEVER_SEEN = "never_seen"
    TOO_MANY_DEPARTURES = "too_many_departures"

    # A comparison that could not be completed.
    COMPARISON_FAILED = "comparison_failed"
    CANNOT_CONNECT = "cannot_connect"
    CANNOT_READ = "cannot_read"
    CITUS_SETTINGS = "citus_settings"
    FOREIGN_TABLE = "foreign_table"
    GAVE_WAY = "gave_way"
    INTERNAL_ERROR = "internal_error"
    INTERRUPTED = "interrupted"
    NULL_KEY = "null_key"
    PERMISSION_DENIED = "permission_denied"
    REPLICA_LAG = "replica_lag"
    ROW_LEVEL_SECURITY = "row_level_security"
    ROW_LIMIT = "row_limit"
    SELF_TEST_FAILED = "self_test_failed"
    SHARDS_UNDECIDED = "shards_undecided"
    STALE_VIEW = "stale_view"
    TABLE_CHANGED = "table_changed"
    TABLE_SAMPLE = "table_sample"
    TIMEOUT = "timeout"
    TYPE_MISMATCH = "type_mismatch"
    UNACCOUNTED_DIFFERENCE = "unaccounted_difference"
    UNLOCKED_TABLE = "unlocked_table"
    UNSORTED_ROWS = "unsorted_rows"
    VOLATILE_FUNCTION = "volatile_function"
    WRONG_DATABASE = "wrong_database"
    DATABASE_REGRESSED = "database_regressed"

    # A day of the window whose verdict is PASS or MISSING. Other days have the reason of their observation.
    ELIGIBLE = "eligible"
    ELIGIBLE_BEFORE_STREAK = "eligible_before_streak"
    NO_REPORT = "no_report"
    BASELINE_AFTER_TENANT = "baseline_after_tenant"
    SIMULATED_IN_REAL_TRAIL = "simulated_in_real_trail"
    OTHER_MAPPING = "other_mapping"
    OTHER_DATABASE = "other_database"
    OBSERVED_WITHOUT_HISTORY = "observed_without_history"

    # A day of a tenant's window.
    TENANT_CLEAN = "tenant_clean"
    TENANT_DRIFTS = "tenant_drifts"
    TENANT_NOT_LISTED = "tenant_not_listed"
    TENANT_NOT_COMPARED = "tenant_not_compared"
    TENANT_UNKNOWN = "tenant_unknown"
    TENANT_ABSENT = "tenant_absent"
    TENANT_DEPARTED = "tenant_departed"

    # The gate.
    WINDOW_CLEAN = "window_clean"
    STREAK_TOO_SHORT = "streak_too_short"
    TOO_FEW_LIVE_DAYS = "too_few_live_days"
    EVIDENCE_TOO_OLD = "evidence_too_old"
    EVIDENCE_FROM_FUTURE = "evidence_from_future"
    NO_EVIDENCE = "no_evidence"
    UNSOUND_TRAIL = "unsound_trail"
    OTHER_IDENTITY = "other_identity"
    OTHER_GATE_POLICY = "other_gate_policy"
    MAPPING_NOT_COMPARED = "mapping_not_compared"
    CLOSED_NOW = "closed_now"
    LEDGER_LACKS_REPORTS = "ledger_lacks_reports"
    NO_REPORT_TODAY = "no_report_today"
    DAGSTER_NOT_OPEN = "dagster_not_open"
    OTHER_LEDGER = "other_ledger"


#: Reasons of a complete comparison that found rows or tenants gone, or never there.
COVERAGE_CODES = frozenset((ReasonCode.COVERAGE_LOST, ReasonCode.NO_TENANT_FOUND, ReasonCode.NOTHING_COMPARED,
                            ReasonCode.NEVER_SEEN, ReasonCode.TOO_MANY_DEPARTURES))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is. ``parameters`` are JSON values.

    Two reasons are equal if their codes and parameters are equal, whatever their sentences say.
    """

    code: ReasonCode
    parameters: Mapping[str, Any]
    sentence: str = field(compare=False)

    @classmethod
    def word(cls, code: ReasonCode, sentence: str, **parameters: Any) -> Reason:
        """Return a new reason. Every sentence that the running program makes passes through here.

        Stored reasons do not, so that a test can reword the whole program by replacing this one function.
        """
        return cls(code, parameters, sentence)

    @classmethod
    def stored(cls, code: str, parameters: Mapping[str, Any], sentence: str) -> Reason:
        """Return a reason that was read from elsewhere, such as a record; raise ValueError if the code is unknown."""
        return cls(ReasonCode(code), parameters, sentence)

    def with_full_stop(self) -> Reason:
        """Return the reason with a sentence that ends with a full stop."""
        return replace(self, sentence=f"{self.sentence}.")

    def as_fields(self) -> dict[str, Any]:
        """Return the three public fields, as every record and answer holds them."""
        return {"reason": self.sentence, **self.as_parameters()}

    def as_parameters(self) -> dict[str, Any]:
        """Return the code and the parameters, to be nested in the parameters of another reason."""
        return {"reason_code": self.code.value, "reason_parameters": dict(self.parameters)}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in "1 key" and "38 keys"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def baseline() -> Reason:
    """Return the reason of a baseline's PASS."""
    return Reason.word(ReasonCode.BASELINE, "Empty cluster: no database was compared.")


def zero_drift(tenants: int, rows: int) -> Reason:
    """Return the reason of a PASS; ``rows`` counts those of both sides."""
    return Reason.word(
        ReasonCode.ZERO_DRIFT, f"Zero drift in {counted(tenants, 'tenant')}, {counted(rows, 'row')} compared.",
        tenants_scanned=tenants, rows_compared=rows)


def drift(keys: int, tenants_with_drift: int, tenants: int, lost: Reason | None = None) -> Reason:
    """Return the reason of a FAIL; ``lost`` says which coverage was lost besides."""
    sentence = (f"{counted(keys, 'key')} {'drifts' if keys == 1 else 'drift'} in {tenants_with_drift} of "
                f"{counted(tenants, 'tenant')}")
    parameters = {"drifting_keys": keys, "tenants_with_drift": tenants_with_drift, "tenants_scanned": tenants}
    if lost is None:
        return Reason.word(ReasonCode.DRIFT, f"{sentence}.", **parameters)
    return Reason.word(ReasonCode.DRIFT, f"{sentence}; {lost.sentence}", **parameters, also=lost.as_parameters())


def coverage_lost(named: list[str], total: int, acknowledge_day: date | None) -> Reason:
    """Return the reason for the loss of ``total`` subjects; ``named`` are the first few, as in ``tenant 'acme'``.

    The loss is to be acknowledged for ``acknowledge_day``, None for the latest day.
    """
    return Reason.word(
        ReasonCode.COVERAGE_LOST,
        f"coverage lost: no row is left on either side of {_listed(named, total)}, which an earlier observation saw; "
        f"if that is intended, run orgrecon acknowledge{_date_option(acknowledge_day)}.",
        lost=named, lost_count=total)


def never_seen(named: list[str], total: int, acknowledge_day: date | None) -> Reason:
    """Return the reason for entities or columns without any row or value, now and before; see :func:`coverage_lost`."""
    return Reason.word(
        ReasonCode.NEVER_SEEN,
        f"never seen: neither side has a row or value of {_listed(named, total)}, and no earlier observation saw one; "
        "check the tables and the where of the mapping. If that is intended, run orgrecon acknowledge"
        f"{_date_option(acknowledge_day)}.",
        never_seen=named, never_seen_count=total)


def too_many_departures(
    named: list[str], total: int, known: int, max_departures: float, acknowledge_day: date | None
) -> Reason:
    """Return the reason for tenants that left in a number that needs a person's acknowledgement.

    ``max_departures`` is the share of the ``known`` tenants that may leave on one day without it. For the other
    arguments see :func:`coverage_lost`.
    """
    return Reason.word(
        ReasonCode.TOO_MANY_DEPARTURES,
        f"too many departures: {total} of {counted(known, 'known tenant')} left both sides and the declared universe "
        f"({_listed(named, total)}), more than gate.max_departures ({max_departures:g}) permits; if that is intended, "
        f"run orgrecon acknowledge{_date_option(acknowledge_day)}.",
        departed=named, departed_count=total, known_tenants=known, max_departures=max_departures)


def _listed(named: list[str], total: int) -> str:
    return ", ".join(named) + (f" and {total - len(named)} more" if total > len(named) else "")


def _date_option(day: date | None) -> str:
    return f" --date {day}" if day else ""


def keys_in_flux(keys: int) -> Reason:
    """Return the reason for keys that differed at every read while both of their sides changed."""
    return Reason.word(
        ReasonCode.KEYS_IN_FLUX,
        f"{counted(keys, 'key')} differed at every read while both sides were being written: that is either a lag or a "
        "loss; run the report again or raise scan.rechecks.", keys=keys)


def no_tenant_found(last_day: date) -> Reason:
    """Return the reason for a comparison without tenants, though one was seen on ``last_day``."""
    return Reason.word(
        ReasonCode.NO_TENANT_FOUND, f"No tenant was found, but one was seen on {last_day}.",
        last_tenant_day=last_day.isoformat())


def nothing_compared(tenants: int) -> Reason:
    """Return the reason for declared tenants of which none has a row."""
    return Reason.word(
        ReasonCode.NOTHING_COMPARED,
        f"Nothing was compared: none of {counted(tenants, 'declared tenant')} has a row on either side; check the "
        "tables and the where of the mapping (a cluster without tenants needs --baseline).",
        tenants_declared=tenants)


def internal_error(where: str) -> Reason:
    """Return the reason for an unexpected error, without a full stop; ``where`` names its type and place."""
    return Reason.word(ReasonCode.INTERNAL_ERROR, f"{where}: nothing was decided; please report this bug", detail=where)
