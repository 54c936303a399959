"""Prediction of a comparison's duration, from an earlier one or from the server's statistics."""

from __future__ import annotations

from typing import Any

import pytest

from orgrecon_pipeline.domain.duration import (
    EarlierComparison,
    SideRead,
    in_words,
    predict,
    predict_from_rows,
    time_left,
)

FLAT = [SideRead(10_000_000, 700_000_000, joined=False, digest="native")] * 2
EARLIER = EarlierComparison(seconds=20.7, waited=10.0, rows=10_000_000)


def seconds(sides: list[SideRead], **changes: Any) -> float:
    changed = [SideRead(**{**vars(side), **changes}) for side in sides]
    predicted = predict(changed, None, analysed=True).seconds
    assert predicted is not None
    return predicted


def test_prediction_without_an_earlier_comparison_follows_the_statistics() -> None:
    assert predict(FLAT, None, analysed=True).basis == "statistics"
    assert 1.2 < seconds(FLAT) < 5  # 2.5 s in the benchmark
    assert seconds(FLAT, joined=True) > seconds(FLAT)
    assert seconds(FLAT, digest="portable") > 2 * seconds(FLAT)
    assert seconds(FLAT, bytes=10**10) > 2 * seconds(FLAT)
    assert seconds(FLAT, rows=0, bytes=0) == pytest.approx(0.12)


def test_prediction_for_shards_compares_several_at_once() -> None:
    one, four = (predict(FLAT * 4, None, analysed=True, at_once=n).seconds or 0 for n in (1, 4))
    assert (one - 0.12) / (four - 0.12) == pytest.approx(4)


def test_prediction_from_an_earlier_comparison_grows_with_the_rows_but_not_with_the_waits() -> None:
    predicted = predict(FLAT, EARLIER, analysed=True)
    assert (predicted.rows, predicted.basis) == (20_000_000, "last_comparison")
    assert predicted.seconds == pytest.approx(10 + 20, abs=2)  # twice the rows
    same = EarlierComparison(seconds=20.7, waited=10.0, rows=20_000_000)
    assert predict(FLAT, same, analysed=True).seconds == pytest.approx(20.7)


# Rows per side of two days, and the seconds that a comparison of a flat mapping took on two idle cores.
MEASURED = [(1_000, 0.11), (100_000, 0.16), (300_000, 0.25), (1_000_000, 0.6), (10_000_000, 5.2)]


@pytest.mark.parametrize("machine", [1, 20], ids=["idle", "twenty times slower"])
@pytest.mark.parametrize(("last", "took"), [(None, None), *MEASURED])
@pytest.mark.parametrize(("rows", "takes"), MEASURED)
def test_prediction_is_within_a_factor_of_two_whatever_the_growth(
    rows: int, takes: float, last: int | None, took: float | None, machine: int
) -> None:
    sides = [SideRead(rows, rows * 70, joined=False, digest="native")] * 2
    if last is None or took is None:
        earlier, machine = None, 1
    else:
        earlier = EarlierComparison(machine * took + 15, 15, 2 * last)
    predicted = predict(sides, earlier, analysed=True, waits=15)
    expected = machine * takes + (15 if earlier else 0)
    assert predicted.seconds
    assert 0.5 < predicted.seconds / expected < 2
    assert predicted.seconds_if_drift == pytest.approx(predicted.seconds + (0 if earlier else 15))


def test_earlier_comparison_that_waited_longer_than_it_took_predicts_no_negative_time() -> None:
    rounded = EarlierComparison(seconds=14.9, waited=15.0, rows=20_000_000)
    assert predict(FLAT, rounded, analysed=True).seconds == pytest.approx(15)


def test_prediction_without_statistics_repeats_the_earlier_comparison() -> None:
    predicted = predict(FLAT, EARLIER, analysed=False)
    assert (predicted.rows, predicted.basis) == (None, "last_comparison")
    assert predicted.seconds == pytest.approx(20.7)


def test_prediction_without_any_knowledge_says_so() -> None:
    unknown = predict(FLAT, None, analysed=False, waits=15)
    assert unknown.as_json_value() == {"seconds": None, "seconds_if_drift": None, "rows": None, "basis": "nothing"}
    assert predict_from_rows(0, None, "native") is None


def test_comparison_that_has_begun_is_predicted_from_the_last_one_or_from_its_rows() -> None:
    assert predict_from_rows(5, EARLIER, "native") == pytest.approx(20.7)
    from_rows = predict_from_rows(20_000_000, None, "native")
    assert from_rows
    assert 1.2 < from_rows < 5


@pytest.mark.parametrize(("compared", "expected"), [
    ({"seconds": 12.5, "rechecks_done": 2, "scan": {"settle_seconds": 5.0}}, EarlierComparison(12.5, 10.0, 7)),
    ({"seconds": 3.5, "rechecks_done": 0, "scan": {"settle_seconds": 5.0}}, EarlierComparison(3.5, 0.0, 7)),
    ({"seconds": 3.5, "rechecks_done": 2, "scan": {"settle_seconds": 5.0}}, EarlierComparison(3.5, 3.5, 7)),
    ({"seconds": "3", "rechecks_done": 0, "scan": {"settle_seconds": 5.0}}, None),
    ({"seconds": 3.5, "rechecks_done": 0, "scan": []}, None),
    *[({"seconds": number, "rechecks_done": 0, "scan": {"settle_seconds": 5.0}}, None)
      for number in (10**400, float("inf"), float("nan"), -1)],
    ({}, None),
])
def test_earlier_comparison_is_read_from_what_its_record_says(
    compared: dict[str, Any], expected: EarlierComparison | None
) -> None:
    assert EarlierComparison.of(compared, 7) == expected


@pytest.mark.parametrize(("duration", "words"), [
    (0.2, "less than a second"), (1.4, "about 1 s"), (20.4, "about 20 s"), (119, "about 119 s"),
    (180, "about 3 minutes"), (7_100, "about 118 minutes"), (7_300, "about 2 hours"),
])
def test_duration_is_named_in_the_unit_that_a_person_would_use(duration: float, words: str) -> None:
    assert in_words(duration) == words
    assert time_left(duration + 5, 5) == f", {words} left"


def test_time_left_is_not_named_if_nothing_is_expected_and_never_negative() -> None:
    assert time_left(None, 5) == ""
    assert time_left(5, 5.1) == ", longer than predicted"
