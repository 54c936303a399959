"""Context columns are read for samples from every side that has the row, and never change a verdict or the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.compare.result import Comparison
from orgrecon_pipeline.domain.mapping.change import stored_mapping
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare import endpoints

COLUMNS = {"tenant_id": "t", "k": "k", "v": "v"}


def mapping(
    show: list[str], source: dict[str, str] | None = None, target: dict[str, str] | None = None, **scan: Any
) -> MappingConfig:
    """Return the mapping of ``public.old`` and ``public.new``, with the given context columns of each side."""
    entity: dict[str, Any] = {
        "key": ["k"], "compare": ["v"], "show": show,
        "source": {"from": "public.old AS r", "columns": {**COLUMNS, **(source or {})}},
        "target": {"from": "public.new AS r", "columns": {**COLUMNS, **(target or {})}}}
    return MappingConfig.model_validate({
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1, "lock_timeout_seconds": 0.3, **scan},
        "entities": {"things": entity}})


Compare = Callable[[MappingConfig], Comparison]


@pytest.fixture(params=["one", "two"])
def dsns(request: pytest.FixtureRequest, new_database: Callable[..., str]) -> list[str]:
    """The databases of source and target: the same one, or two."""
    return [new_database()] * 2 if request.param == "one" else [new_database(), new_database()]


@pytest.fixture
def compared(dsns: list[str], connect: Any) -> Compare:
    """Tables in which key 1 is missing, 2 is unexpected, 3 and 4 are mismatched, and 5 is a duplicate."""
    for dsn in dict.fromkeys(dsns):
        connect(dsn).execute("""
            CREATE TABLE public.old (t text, k bigint, v text, w text);
            CREATE TABLE public.new (LIKE public.old);
            CREATE TABLE public.other (w text);
            INSERT INTO public.old VALUES ('a', 1, 'x', 'source 1'), ('a', 3, 'x', 'source 3'), ('a', 4, 'x', 'same'),
                                          ('a', 5, 'x', NULL), ('a', 6, 'x', 'equal rows may differ in w');
            INSERT INTO public.new VALUES ('a', 2, 'x', 'target 2'), ('a', 3, 'y', NULL), ('a', 4, 'z', 'same'),
                                          ('a', 5, 'x', 'q'), ('a', 5, 'x', 'p'), ('a', 6, 'x', 'as these do');
        """)
    return lambda config: compare(config, endpoints.two_databases(*dsns))


def shown(comparison: Comparison) -> dict[str, Any]:
    """Return the context of each sample by its key."""
    return {sample.key["k"]: sample.show for sample in comparison.samples}


def test_context_column_is_read_from_the_sides_that_have_the_row(compared: Compare) -> None:
    comparison = compared(mapping(["w"], {"w": "r.w"}, {"w": "r.w"}))
    assert shown(comparison) == {
        "1": {"w": "source 1"}, "2": {"w": "target 2"}, "3": {"w": "source 3 → NULL"}, "4": {"w": "same"},
        "5": {"w": "NULL → p | q"}}
    assert comparison.how["warnings"] == []


def test_context_column_of_one_side_is_shown_alone(compared: Compare) -> None:
    assert shown(compared(mapping(["w"], target={"w": "upper(r.w)"}))) == {
        "1": {"w": None}, "2": {"w": "TARGET 2"}, "3": {"w": None}, "4": {"w": "SAME"}, "5": {"w": "P | Q"}}


def test_samples_without_context_columns_show_none(compared: Compare) -> None:
    assert set(shown(compared(mapping([]))).values()) == {None}


def test_long_and_many_texts_are_cut(compared: Compare, dsns: list[str], connect: Any) -> None:
    connect(dsns[0]).execute("UPDATE public.old SET w = repeat('é', 1000) WHERE k = 1")
    connect(dsns[1]).execute("INSERT INTO public.new SELECT 'a', 5, 'x', n FROM generate_series(1, 1000) AS n")
    context = shown(compared(mapping(["w"], {"w": "r.w"}, {"w": "r.w"})))
    assert context["1"]["w"].startswith("é" * 150)
    assert len(context["1"]["w"]) <= 200
    assert context["5"]["w"] == "NULL → 1 | 10 | 100 | …"


@pytest.mark.parametrize("expression", [
    "ROW(r.k, r.w)", "ARRAY[r.w]", "to_json(r)", "to_jsonb(r)", "r.ctid", "r.xmin", "clock_timestamp()", "random()",
    "ARRAY[r.k, NULL]", "B'101'", "'1 day'::interval", "'<a/>'::text", "NULL", "r", "true", "9.99::numeric::money",
    "(SELECT count(*) FROM public.other)", "'100 %s'::text", "r.w -- comment",
])
def test_context_column_of_any_type_is_shown_as_text(compared: Compare, expression: str) -> None:
    """Volatile functions and other tables are permitted, because nothing depends on a context column."""
    comparison = compared(mapping(["w"], {"w": expression}))
    assert comparison.how["warnings"] == []
    assert (shown(comparison)["1"]["w"] is None) == (expression == "NULL")


@pytest.mark.parametrize(("expression", "problem"), [
    ("r.no_such_column", "a column does not exist"),
    ("r.w +", "the SQL is not valid on this server"),
    ("(SELECT w FROM public.no_such_table)", "a table does not exist"),
    ("1 / (r.k - r.k)", "division by zero"),
    ("r.w::date", "a value cannot be read as a date"),
    ("(SELECT count(*) FROM public.other) / 0", "division by zero"),
    ("(SELECT w FROM public.locked)", "another session held a lock"),
    ("set_config('search_path', 'public', false) || set_config('row_security', 'x', true)", ""),
])
def test_context_column_that_cannot_be_read_is_left_out_with_a_warning(
    compared: Compare, dsns: list[str], connect: Any, expression: str, problem: str
) -> None:
    sound = compared(mapping([]))
    locking = connect(dsns[0])
    locking.autocommit = False
    locking.execute("CREATE TABLE public.locked (w text)")
    locking.commit()
    locking.execute("LOCK TABLE public.locked IN ACCESS EXCLUSIVE MODE")
    comparison = compared(mapping(["w"], {"w": expression}, {"w": "r.w"}))
    assert (comparison.totals, comparison.tenant_rows) == (sound.totals, sound.tenant_rows)
    assert shown(comparison)["1"] == {"w": None}
    assert shown(comparison)["2"] == {"w": "target 2"}, "the side that can be read is shown"
    texts = [warning["text"] for warning in comparison.how["warnings"]]
    assert texts
    assert all("things.source" in text and problem in text for text in texts), texts


def test_slow_context_column_does_not_use_up_the_deadline(compared: Compare) -> None:
    slow = mapping(["w"], {"w": "pg_sleep(60)::text"}, deadline_seconds=6, rechecks=0)
    comparison = compared(slow)
    assert comparison.totals["things"].missing == 1
    assert "statement_timeout" in comparison.how["warnings"][-1]["text"]


def test_context_columns_change_neither_the_epoch_nor_the_stored_mapping() -> None:
    plain, with_context = mapping([]), mapping(["w", "u"], {"w": "r.w"}, {"u": "r.u"})
    assert with_context.digest == plain.digest
    assert stored_mapping(with_context) == stored_mapping(plain)
