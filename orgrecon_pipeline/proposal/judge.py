"""How sure a pair of tables is: from their names, and from a sample of their keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orgrecon_pipeline.proposal.catalog.names import is_bookkeeping, polymorphic
from orgrecon_pipeline.proposal.catalog.tables import printable
from orgrecon_pipeline.proposal.columns import Columns
from orgrecon_pipeline.proposal.links import Link
from orgrecon_pipeline.proposal.sample.draft import Draft, Measurement
from orgrecon_pipeline.proposal.target_index import Strength

_SMALL = 20
_VALUES_AGREE = 0.8
# By strength: the share of keys that the other side must have, in a large and in a small sample.
_SHARES = {Strength.CHOSEN: (0.8, 0.5), Strength.NAMES: (0.8, 0.5), Strength.STRUCTURE: (0.9, 0.7),
           Strength.WEAK: (0.95, 0.95), Strength.VALUES: (0.9, 0.9)}
# Columns that count rows agree by chance, so numbers do not confirm a pair whose names say nothing.
_NUMBERS = {"smallint", "integer", "bigint", "numeric", "real", "double precision"}


class Confidence(str, Enum):
    """How sure a pair is. Only the first three are proposed; ``open`` needs a person, ``none`` is no pair at all."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    OPEN = "open"
    NONE = "none"


@dataclass(frozen=True)
class Judgement:
    """The confidence in a pair, and the reason as a sentence without its full stop."""

    confidence: Confidence
    reason: str
    score: float

    @property
    def proposed(self) -> bool:
        """Whether the pair is compared."""
        return self.confidence in (Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW)


def judge(strength: Strength, why: str, draft: Draft, measurement: Measurement, columns: Columns) -> Judgement:
    """Judge a draft by its strength and by a sample; ``why`` is the reason of the strength."""
    if measurement.rate is None:
        return _without_sample(strength, why, draft, measurement)
    rate, agreement, telling = measurement.rate, _agreement(columns), _telling(strength, draft, columns)
    reason = f"{why}; {sample_sentence(measurement)}"
    score = strength + rate + (agreement or 0)
    large, small = _SHARES[strength]
    if rate < (large if measurement.size >= _SMALL else small):
        named = strength >= Strength.NAMES or (rate >= 0.5 and (strength is Strength.STRUCTURE or telling))
        return Judgement(Confidence.OPEN if named else Confidence.NONE, (
            f"{reason}: too few keys correspond{_several_tables(draft)}"), score)
    if agreement is not None and agreement < 0.5 and measurement.matched >= 5:
        open_ = strength >= Strength.STRUCTURE
        return Judgement(Confidence.OPEN if open_ else Confidence.NONE, (
            f"{reason}, but only {agreement:.0%} of the values of their rows agree: the keys may correspond by "
            "chance"), score)
    if strength <= Strength.WEAK and not telling:
        return Judgement(Confidence.NONE, reason, score)
    if strength is Strength.STRUCTURE and not telling and not (draft.key and _covers(draft)):
        confidence = Confidence.OPEN if draft.identifies_target else Confidence.NONE
        return Judgement(confidence, f"{reason}, but no other column confirms it", score)
    if unlinked := draft.tenant is None and None not in draft.own_tenants:
        reason = f"{reason}; nothing says which of their tenants correspond"
    sure = (strength > Strength.VALUES and rate >= 0.95 and measurement.size >= _SMALL and not unlinked
            and (agreement is None or agreement >= _VALUES_AGREE))
    return Judgement(Confidence.HIGH if sure else Confidence.MEDIUM, reason, score)


def sample_sentence(measurement: Measurement) -> str:
    """Return how many sampled keys the other side has."""
    if measurement.skipped:
        return f"no sample was read: {measurement.skipped}"
    back = f"{measurement.back_matched} of {measurement.back_sampled}"
    nulls = f" ({measurement.null_keys} sampled rows have a NULL in the key)" if measurement.null_keys else ""
    return (f"the target has {measurement.matched} of {measurement.sampled} sampled keys of the source, the source "
            f"{back} of the target{nulls}")


def _without_sample(strength: Strength, why: str, draft: Draft, measurement: Measurement) -> Judgement:
    if measurement.skipped:
        sample = sample_sentence(measurement)
    else:
        empty = [table.label for table, rows in ((draft.source, measurement.sampled),
                                                 (draft.target, measurement.back_sampled)) if not rows]
        sample = f"{' and '.join(empty)} {'has' if len(empty) == 1 else 'have'} no row with a key to look up"
    confidence = Confidence.LOW if strength >= Strength.NAMES else Confidence.OPEN
    if strength <= Strength.WEAK and draft.source.schema == draft.target.schema and not measurement.skipped:
        confidence = Confidence.NONE  # tables of one model often have some columns with the same names
    return Judgement(confidence, f"{why}; {sample}", float(strength))


def _several_tables(draft: Draft) -> str:
    """Return that a table refers to rows of several tables, and what to do; empty if none does."""
    for table in (draft.source, draft.target):
        if columns := polymorphic(table.by_name):
            kind, number = map(printable, columns)
            return (f"; {kind} and {number} of {table.label} refer to rows of several tables: write a where for "
                    f"those of one of them, and use {number} in the key")
    return ""


def _covers(draft: Draft) -> bool:
    """Return whether the key has several columns, so that it hardly corresponds by chance."""
    return len(draft.key) > 1


def _agreement(columns: Columns) -> float | None:
    shares = [share for column in columns.compared
              if not is_bookkeeping(column.link.source.column) and (share := column.agreement.share) is not None]
    return sum(shares) / len(shares) if shares else None


def _telling(strength: Strength, draft: Draft, columns: Columns) -> bool:
    """Return whether a column with several values agrees."""
    return any((column.agreement.share or 0) >= _VALUES_AGREE and column.agreement.values >= 3
               and not is_bookkeeping(column.link.source.own_column)
               and (strength > Strength.VALUES or not _is_number(draft, column.link)) for column in columns.compared)


def _is_number(draft: Draft, link: Link) -> bool:
    return not link.source.hops and draft.source.by_name[link.source.column].type.name in _NUMBERS
