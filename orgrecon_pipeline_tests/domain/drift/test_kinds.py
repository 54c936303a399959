"""Drift kinds and their figures, and the rule that no other module lists the kinds by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.drift import kinds as drift_kinds
from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind
from orgrecon_pipeline.domain.evidence import FIGURES, EntityTotals, TenantRow

PACKAGE = Path(drift_kinds.__file__).parents[1]

#: The definition; the migration, which must not change with the code; and the known drift that the self-test plants.
LISTS_KINDS = {"domain/drift/kinds.py", "compare/self_test.py"}


def numbers(*figures: int | None) -> Counts[int | None]:
    """Return figures for the first kinds, and 0 for the others."""
    return Counts({**Counts.zero(), **dict(zip(DriftKind, figures, strict=False))})


def test_kinds_have_the_order_headings_and_meanings_of_the_report() -> None:
    assert [(kind.value, kind.heading) for kind in DriftKind][:4] == [
        ("missing", "Missing"), ("unexpected", "Unexpected"), ("mismatched", "Mismatched"), ("duplicate", "Duplicate")]
    assert all(kind.meaning and not kind.meaning.endswith(".") for kind in DriftKind)


def test_counts_are_an_immutable_mapping_from_kind_to_figure() -> None:
    counts = numbers(1, 2, 3, 4)
    assert (counts["missing"], counts[DriftKind.DUPLICATE], counts.total) == (1, 4, 10)
    assert dict(counts).items() >= {"missing": 1, "unexpected": 2, "mismatched": 3, "duplicate": 4}.items()
    assert counts == numbers(1, 2, 3, 4)
    assert hash(counts) == hash(numbers(1, 2, 3, 4))
    assert counts != numbers(1, 2, 3, 5)
    with pytest.raises(TypeError):
        counts["missing"] = 5  # type: ignore[index]
    with pytest.raises(KeyError):
        counts["transient"]
    with pytest.raises(KeyError):
        Counts({"missing": 1})


def test_counts_of_partial_figures_fill_up_with_zero() -> None:
    assert Counts.of({"missing": 2, "duplicate": None, "keys": b"ignored"}) == numbers(2, 0, 0, 0)
    assert Counts.zero() == numbers(0, 0, 0, 0)


def test_sum_of_counts_is_unknown_where_a_summand_is_unknown() -> None:
    assert Counts.sum([]) == Counts.zero()
    assert Counts.sum([numbers(1, 2, 3, 4), numbers(1, 0, 0, 1)]) == numbers(2, 2, 3, 5)
    unknown = Counts.sum([numbers(1, None), numbers(1, 2)])
    assert unknown == numbers(2, None)
    assert unknown.total is None
    assert Counts.sum([Counts.zero(), Counts.unknown()]) == Counts.unknown()


def test_figures_of_entities_and_tenants_have_one_field_per_kind() -> None:
    of_tenant = set(TenantRow.model_fields) - {"tenant", "entity", "first_seen"}
    assert set(FIGURES) == set(EntityTotals.model_fields) == of_tenant
    totals = EntityTotals(**dict.fromkeys(FIGURES, 2))
    assert totals.counts == Counts(dict.fromkeys(DriftKind, 2))
    assert EntityTotals.sum([totals, totals, EntityTotals.zero()]).model_dump() == dict.fromkeys(FIGURES, 4)
    assert EntityTotals.sum([totals, EntityTotals.unknown()]) == EntityTotals.unknown()
    assert (totals.rows, EntityTotals.unknown().rows) == (4, None)


def collections(source: str) -> Iterator[tuple[int, set[object]]]:
    """Yield the constant elements, keys or keyword names of every collection and call in a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            yield node.lineno, {item.value for item in node.elts if isinstance(item, ast.Constant)}
        elif isinstance(node, ast.Dict):
            yield node.lineno, {key.value for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Call):
            yield node.lineno, {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize("path", [
    path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts])
def test_no_module_lists_the_kinds_by_hand(path: str) -> None:
    kinds = {kind.value for kind in DriftKind}
    listed = [line for line, names in collections((PACKAGE / path).read_text("utf-8")) if len(names & kinds) > 1]
    assert not listed or path in LISTS_KINDS, f"{path}: iterate over DriftKind or Counts in line {listed[0]}"


def test_no_template_lists_the_kinds_by_hand() -> None:
    for path in PACKAGE.rglob("*.j2"):
        text = path.read_text("utf-8").lower()
        assert not [kind.value for kind in DriftKind if kind.value in text], path
