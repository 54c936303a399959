"""The time that calls may spend on a ledger that does not answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError, LedgerUnavailable
from orgrecon_pipeline.ledger.connection.retry import RetryBudget, current_budget, retry_budget

AWAY = LedgerUnavailable("cannot read the ledger: no server is listening.")


class Clock:
    """A clock that advances only while somebody sleeps, or works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fails(times: int, clock: Clock, *, takes: float = 0) -> Callable[[], int]:
    """Return a call that fails some times, each after that many seconds, and then returns 42."""
    left = [AWAY] * times

    def call() -> int:
        if left:
            clock.now += takes
            raise left.pop()
        return 42

    return call


def new_budget(seconds: float, clock: Clock, lines: list[str] | None = None) -> RetryBudget:
    say = lines.append if lines is not None else (lambda line: None)
    return RetryBudget(seconds, say, sleep=clock.sleep, now=lambda: clock.now)


def test_call_that_succeeds_is_not_repeated(clock: Clock) -> None:
    lines: list[str] = []
    assert new_budget(60, clock, lines).retry(fails(0, clock)) == 42
    assert (lines, clock.slept) == ([], [])


def test_waiting_begins_and_ends_with_one_line_each(clock: Clock) -> None:
    lines: list[str] = []
    assert new_budget(600, clock, lines).retry(fails(5, clock)) == 42
    begin, end = lines
    assert begin == "cannot read the ledger: no server is listening; trying again for up to 600 s."
    assert re.fullmatch(r"the ledger answers again after \d+ s\.", end)


def test_pauses_grow_to_half_a_minute_and_are_not_equal_for_all(clock: Clock) -> None:
    new_budget(10_000, clock).retry(fails(20, clock))
    for number, pause in enumerate(clock.slept):
        longest = min(30.0, 0.5 * 2**number)
        assert longest / 2 <= pause <= longest
    assert len(set(clock.slept)) == len(clock.slept)


@pytest.mark.parametrize("takes", [0.0, 10.0])
def test_calls_share_the_time_and_their_failed_attempts_count(clock: Clock, takes: float) -> None:
    budget = new_budget(100, clock)
    budget.retry(fails(3, clock, takes=takes))
    with pytest.raises(LedgerUnavailable) as given_up:
        budget.retry(fails(1_000, clock, takes=takes))
    assert str(given_up.value) == ("cannot read the ledger: no server is listening; gave up after 100 s "
                                   "(scan.deadline_seconds).")
    assert 100 <= clock.now - 100 <= 100 + takes + 1
    before = clock.now
    with pytest.raises(LedgerUnavailable):
        budget.retry(fails(1_000, clock))
    assert clock.now == before


def test_call_without_a_budget_fails_at_once() -> None:
    with pytest.raises(LedgerUnavailable, match=r"^cannot read the ledger: no server is listening\.$"):
        current_budget().retry(fails(1, Clock()))


def test_other_errors_are_not_repeated(clock: Clock) -> None:
    def call() -> None:
        raise ConfigurationError("the database does not exist.")

    with pytest.raises(ConfigurationError):
        new_budget(60, clock).retry(call)
    assert clock.slept == []


def test_interrupt_ends_all_waiting(clock: Clock) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    budget = RetryBudget(60, sleep=interrupt, now=lambda: clock.now)
    with pytest.raises(KeyboardInterrupt):
        budget.retry(fails(1, clock))
    with pytest.raises(LedgerUnavailable):
        budget.retry(fails(1, clock))


def test_inner_block_shares_the_budget_of_the_outer_one(clock: Clock) -> None:
    outer, inner = new_budget(60, clock), new_budget(60, clock)
    with retry_budget(outer):
        with retry_budget(inner):
            assert current_budget() is outer
        assert current_budget() is outer
    assert current_budget().seconds == 0
    with retry_budget(inner):
        assert current_budget() is inner


def test_default_sleep_and_clock_are_real() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(RetryBudget).parameters.items()}
    assert (defaults["sleep"].__module__, defaults["now"].__name__) == ("time", "monotonic")
