"""Which columns of two tables are compared, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from orgrecon_pipeline.compare.types.lossless import EXPRESSION
from orgrecon_pipeline.proposal.catalog.names import column_similarity, is_bookkeeping
from orgrecon_pipeline.proposal.catalog.tables import Column, Table, printable
from orgrecon_pipeline.proposal.links import Link
from orgrecon_pipeline.proposal.sample.agreement import SAME_BY_CHANCE, SAME_SHARE
from orgrecon_pipeline.proposal.sample.draft import Agreement, Draft, JoinedColumn, Measurement

# Links of this similarity are compared whatever their values say: to leave them out could hide drift.
_NAMED = 0.9
_SIMILAR = 0.6
_AGREEING = 0.9
_DISAGREEING = 0.5


@dataclass(frozen=True)
class ComparedColumn:
    """A link that is compared, what its sample says, and a remark for a person."""

    link: Link
    agreement: Agreement
    remark: str


@dataclass(frozen=True)
class LeftOutColumn:
    """A column that is not compared, on ``source`` or ``target``, and why.

    It is ``likely`` that it should be compared if a sample says how to translate or to join its values. Of two columns
    that correspond, only the one of the source is marked so.
    """

    side: str
    column: str
    reason: str
    likely: bool = False


@dataclass(frozen=True)
class Columns:
    """The columns of two tables that are compared, and those that are not."""

    compared: tuple[ComparedColumn, ...]
    left_out: tuple[LeftOutColumn, ...]


def choose_columns(draft: Draft, measurement: Measurement) -> Columns:
    """Choose the compared columns of a draft, by their names and by what a sample says about the draft's columns."""
    agreements = measurement.columns or [Agreement()] * len(draft.columns)
    measured = list(zip(draft.columns, agreements, strict=True))
    used = {side: _used(draft, side) for side in ("source", "target")}
    identifiers = _identifiers(draft)
    refused: dict[tuple[str, str], str] = {}
    likely = _joined(draft, measurement.joined)
    compared: list[ComparedColumn] = []
    equal: list[tuple[str, str]] = []
    for link, agreement in sorted(measured, key=lambda item: -_rank(*item)):
        ours, theirs = link.source.own_column, link.target.own_column
        if ours in used["source"] or theirs in used["target"]:
            continue
        if reason := _refusal(link, agreement, max(identifiers.get(ours, 0.0), identifiers.get(theirs, 0.0))):
            if agreement.filled:
                likely.setdefault(("source", ours), _filling("target", theirs, agreement))
                refused["target", theirs] = _filling("source", ours, agreement)
            elif agreement.translated:
                likely.setdefault(("source", ours), _translation("target", theirs))
                refused["target", theirs] = _translation("source", ours)
            elif link.similarity >= _SIMILAR:
                refused.setdefault(("source", ours), reason)
                refused.setdefault(("target", theirs), reason)
            elif (agreement.share or 0) >= SAME_SHARE:
                equal.append((ours, theirs))
            continue
        used["source"].add(ours)
        used["target"].add(theirs)
        compared.append(ComparedColumn(link, agreement, _remark(link, agreement)))
    for ours, theirs in equal:
        if ours not in used["source"] and theirs not in used["target"]:
            refused.setdefault(("source", ours), _equal("target", theirs))
            refused.setdefault(("target", theirs), _equal("source", ours))
    order = [column.name for column in draft.source.columns]
    compared.sort(key=lambda column: order.index(column.link.source.own_column))
    return Columns(tuple(compared), tuple(_left_out(draft, used, refused, likely)))


def _joined(draft: Draft, joined: Iterable[JoinedColumn]) -> dict[tuple[str, str], str]:
    """Return what to write for columns that hold two columns of the other side."""
    reasons = {}
    for column in joined:
        other, table = ("target", draft.target) if column.side == "source" else ("source", draft.source)
        first, last = (table.by_name[name].quoted for name in column.parts)
        between = f" || '{column.between}'" if column.between else ""
        reasons[column.side, column.column] = f"to compare it, write {first}{between} || {last} on the {other}"
    return reasons


def _translation(side: str, column: str) -> str:
    return (f"each of its values goes with one value of {side}.{printable(column)}: to compare the two, translate one "
            "of them with CASE")


def _filling(side: str, column: str, agreement: Agreement) -> str:
    return (f"is the same as {side}.{printable(column)}, but one has a value where the other has NULL: to compare the "
            f"two, write NULLIF on the {agreement.filled}")


def _equal(side: str, column: str) -> str:
    return (f"has the value of {side}.{printable(column)} in each sampled row, but so few values that it can be by "
            "chance: compare the two if they mean the same")


def _rank(link: Link, agreement: Agreement) -> float:
    share = agreement.share
    return link.similarity + (share if share is not None and agreement.compared >= 5 else 0.5)


def _identifiers(draft: Draft) -> dict[str, float]:
    """Return the columns that alone identify rows, each with the share of its values that must agree to compare it.

    A generated identifier differs on both sides, but unique text beside the primary key, as an email, can drift.
    """
    shares: dict[str, float] = {}
    for table in (draft.source, draft.target):
        for number, key in enumerate(table.keys):
            if len(key) == 1:
                is_text = number > 0 and table.by_name[key[0]].type.name == "text"
                shares[key[0]] = max(shares.get(key[0], 0.0), _DISAGREEING if is_text else _AGREEING)
    return shares


def _refusal(link: Link, agreement: Agreement, needed: float) -> str:
    """Return why a link is not compared; empty if it is. An identifier needs a share of values that agree."""
    share = agreement.share
    own = link.source.own_column
    if link.similarity < _SIMILAR:
        same = (share is not None and share >= SAME_SHARE
                and agreement.chance ** agreement.agreed <= SAME_BY_CHANCE)
        return "" if same else "no column of the other side is named alike"
    if (_DISAGREEING if share is None else share) < needed:
        return "identifies rows of its own side only"
    if share is None or share >= _DISAGREEING:
        return ""
    if is_bookkeeping(own):
        return f"says when a row was written; {_percent(share)} of the sampled values agree"
    if link.similarity < _NAMED:
        return f"the most similar column is another one: {_percent(share)} of the sampled values agree"
    return ""


def _remark(link: Link, agreement: Agreement) -> str:
    parts = [] if link.similarity == 1 else [link.why]
    if (share := agreement.share) is not None:
        parts.append(f"{_percent(share)} of {agreement.compared} sampled values agree")
        if agreement.filled:
            parts.append("one has a value where the other has NULL: if both mean the same, write NULLIF on the "
                         f"{agreement.filled}")
        elif share < _DISAGREEING:
            parts.append("each value goes with one other value: translate one of the columns with CASE"
                         if agreement.translated else "check that both columns mean the same")
    if link.conversion.first != EXPRESSION or link.conversion.second != EXPRESSION:
        parts.append(f"the types differ{link.conversion.note}" if link.conversion.first != link.conversion.second
                     else f"compared as text{link.conversion.note}")
    return "; ".join(parts)


def _left_out(
    draft: Draft, used: Mapping[str, set[str]], refused: Mapping[tuple[str, str], str],
    likely: Mapping[tuple[str, str], str],
) -> Iterator[LeftOutColumn]:
    both = ("source", "target", draft.source, draft.target), ("target", "source", draft.target, draft.source)
    for side, opposite, table, other in both:
        for column in table.columns:
            if column.name in used[side]:
                if column.name in _mark(draft, side) - draft.own_columns(side):
                    yield LeftOutColumn(side, column.name, "marks deleted rows, which are left out")
                continue
            if advice := likely.get((side, column.name)):
                yield LeftOutColumn(side, column.name, advice, likely=True)
                continue
            reason = refused.get((side, column.name)) or _reason(
                column, table, other, used[opposite], _mark(draft, opposite))
            yield LeftOutColumn(side, column.name, reason)


def _reason(column: Column, table: Table, other: Table, used: set[str], mark: set[str]) -> str:
    for twin in other.columns:
        if column_similarity(column.name, table.name, twin.name, other.name) >= _NAMED:
            if twin.name in mark:
                return f"{printable(twin.name)} of {other.label} marks deleted rows: if it says more, compare both"
            if twin.name in used:
                return f"{printable(twin.name)} of {other.label} corresponds to another column"
            return f"no cast makes {column.type.name} and {twin.type.name} comparable without a loss"
    return f"has no counterpart in {other.label}"


def _used(draft: Draft, side: str) -> set[str]:
    return draft.own_columns(side) | _mark(draft, side)


def _mark(draft: Draft, side: str) -> set[str]:
    """Return the column of a side's table that marks deleted rows, if it has one, and it says nothing else."""
    deleted = getattr(draft, f"{side}_deleted")
    return {deleted.term.own_column} if deleted and not deleted.term.hops and not deleted.says_more else set()


def _percent(share: float) -> str:
    percent = round(100 * share)
    if percent in (0, 100) and 0 < share < 1:
        return f"{100 * share:.1f} %"
    return f"{percent} %"
