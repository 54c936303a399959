"""A streak that grows and tenants whose gate opens are notified once each, if they are asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.notify.dispatch import notify_of_run
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.importer import import_trail
from orgrecon_pipeline_tests.notify.test_dispatch import Host
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, running_webhook
from orgrecon_pipeline_tests.support.operations.concurrency import at_the_same_time
from orgrecon_pipeline_tests.support.operations.tenant_history import (
    TODAY,
    Day,
    days_of,
    open_of_oracle,
    random_history,
    store,
)

ACME, BOTH, NOBODY = frozenset({"acme"}), frozenset({"acme", "globex"}), frozenset[str]()
SUBJECT = "Org Model v2.3: "
# acme drifted once; then both are clean for a week.
HISTORY = days_of([(BOTH, ACME), (BOTH, NOBODY), (BOTH, NOBODY), (BOTH, ACME), *[(BOTH, NOBODY)] * 7])


class Company(Host):
    """A machine that is asked for both kinds of events, and whose evidence is simulated, as its clock is."""

    def keep(self, day: Day, *, reports: bool = False) -> None:
        """Store a day without notifying."""
        self.at(day.day)
        store(self.directory, [day], reports=reports, provenance=Provenance.SIMULATED)

    def keep_known(self, days: list[Day], *, reports: bool = False) -> None:
        """Store days that every channel knows."""
        for day in days[:-1]:
            self.keep(day, reports=reports)
        self.run_day(days[-1], reports=reports)

    def run_day(self, day: Day, *, reports: bool = False) -> None:
        """Store a day and notify, as ``orgrecon report`` does."""
        self.at(day.day)
        with notify_of_run(self.settings, day.day, self.lines.append):
            self.keep(day, reports=reports)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as server:
        yield server


@pytest.fixture
def company(tmp_path: Path, webhook: Webhook) -> Company:
    company = Company(tmp_path, webhook.url(), also="streak, tenants")
    company.at(TODAY)
    return company


def titles(webhook: Webhook) -> list[str]:
    """Return the titles of the optional events that arrived since the last call."""
    received = [title.removeprefix(SUBJECT) for title in webhook.titles]
    webhook.messages.clear()
    return [title for title in received if title.startswith(("day ", "tenant gate"))]


def streak_of_company(days: list[Day]) -> int:
    by_day, streak = {day.day: day for day in days}, 0
    while (day := by_day.get(days[-1].day - timedelta(days=streak))) and day.drifting == NOBODY \
            and day.digest == days[-1].digest:
        streak += 1
    return streak


@pytest.mark.parametrize("seed", range(3))
def test_random_history_is_notified_as_the_oracle_says_and_never_twice(
    company: Company, webhook: Webhook, seed: int
) -> None:
    history, known = random_history(random.Random(seed)), set[str]()
    for number, day in enumerate(history, start=1):
        company.run_day(day)
        streak, is_open = streak_of_company(history[:number]), open_of_oracle(history[:number], day.day)
        opened = sorted(is_open - known)
        # A streak under another mapping than the one at hand does not bring its gate nearer.
        grows = 0 < streak < 7 and day.digest == default_mapping().digest
        expected = [f"day {streak} of 7 as of {day.day}"] if grows else []
        if opened:
            tenants = "1 tenant" if len(opened) == 1 else f"{len(opened)} tenants"
            expected.append(f"tenant gate opened for {tenants} as of {day.day}")
            assert webhook.messages[-1]["message"].startswith(f"{', '.join(opened)}\n{len(is_open)} of ")
        assert titles(webhook) == expected
        assert company.run_sensor() == []
        assert titles(webhook) == []
        known = is_open
    assert company.lines == []


@pytest.mark.parametrize(("also", "expected"), [
    ("", []), ("streak", ["day 1 of 7"]), ("tenants", ["tenant gate opened for 1 tenant"]),
    ("Tenants,STREAK", ["day 1 of 7", "tenant gate opened for 1 tenant"]),
])
def test_only_the_kinds_that_are_asked_for_are_sent(
    company: Company, webhook: Webhook, also: str, expected: list[str]
) -> None:
    company.also = also
    *before, today = days_of([(BOTH, ACME)] * 6 + [(BOTH, NOBODY)])
    for day in before:
        company.keep(day)
    company.run_day(today)
    assert titles(webhook) == [f"{title} as of {TODAY}" for title in expected]


def test_messages_say_what_remains_and_what_the_company_needs(company: Company, webhook: Webhook) -> None:
    company.keep_known(HISTORY[:-1])
    day, opens = HISTORY[-2].day, HISTORY[-1].day
    [message] = [m["message"] for m in webhook.messages if m["title"] == f"{SUBJECT}day 6 of 7 as of {day}"]
    reason, remaining, report, _ = message.splitlines()
    assert reason == f"6 of 7 clean days: {HISTORY[3].day} is FAIL: 1 key drifts in 1 of 2 tenants."
    assert remaining == f"Still needed: 1 more clean day ({opens})."
    assert report == f"Report: https://example.com/r/{day}.md"
    webhook.messages.clear()
    company.run_day(Day(opens, BOTH, frozenset({"globex"})))
    names, ready, gate, *_ = webhook.messages[-1]["message"].splitlines()
    assert (names, ready) == ("acme", "1 of 2 tenants OPEN.")
    assert gate.startswith(f"The company's gate is CLOSED: 0 of 7 clean days: {opens} is FAIL")


def test_rerun_repeats_nothing_unless_a_gate_closed_and_opened_again(company: Company, webhook: Webhook) -> None:
    company.keep_known(HISTORY[:-1])
    titles(webhook)
    [today] = HISTORY[-1:]
    company.run_day(today)
    opened = f"tenant gate opened for 1 tenant as of {today.day}"
    assert titles(webhook) == [opened], "globex was OPEN before"
    company.run_day(Day(today.day, BOTH, NOBODY, rerun=1))
    assert titles(webhook) == []
    company.run_day(Day(today.day, BOTH, ACME, rerun=2))
    assert titles(webhook) == [], "it closed"
    company.run_day(Day(today.day, BOTH, NOBODY, rerun=3))
    assert titles(webhook) == [opened]


def test_streak_that_a_rerun_breaks_and_repairs_is_sent_once_for_the_day(company: Company, webhook: Webhook) -> None:
    [yesterday, today] = days_of([(BOTH, NOBODY)] * 2)
    company.run_day(yesterday)
    company.run_day(today)
    assert titles(webhook) == [f"day 1 of 7 as of {yesterday.day}", f"day 2 of 7 as of {today.day}"]
    company.run_day(Day(today.day, BOTH, ACME, rerun=1))
    company.run_day(Day(today.day, BOTH, NOBODY, rerun=2))
    assert titles(webhook) == []


def test_backfill_does_not_repeat_the_day_and_sends_the_tenants_that_it_opens_once(
    company: Company, webhook: Webhook
) -> None:
    days = days_of([(BOTH, NOBODY)] * 5 + [(BOTH, ACME), (BOTH, NOBODY)])
    company.keep_known([*days[:2], *days[3:]])
    titles(webhook)
    company.run_day(days[2])  # restores a day that was MISSING
    company.at(TODAY)
    company.run_sensor()
    assert titles(webhook) == [f"tenant gate opened for 1 tenant as of {TODAY}"]
    assert company.run_sensor() == []
    assert titles(webhook) == []


def test_import_into_a_new_ledger_repeats_nothing(company: Company, webhook: Webhook) -> None:
    company.keep_known(HISTORY[3:], reports=True)
    assert titles(webhook)
    (company.directory / "ledger.db").unlink()
    with notify_of_run(company.settings, TODAY, company.lines.append):
        context = Context.from_settings(company.settings)
        assert import_trail(context.ledger, context.output_dir).days
    company.run_day(Day(TODAY, BOTH, NOBODY, rerun=1))
    assert company.run_sensor() == []
    assert titles(webhook) == []
    assert company.lines == []


def test_concurrent_sensors_send_each_event_once(company: Company, webhook: Webhook) -> None:
    for day in days_of([(BOTH, ACME)] * 6 + [(BOTH, NOBODY)]):
        company.keep(day)
    assert at_the_same_time(4, company.run_sensor) == [[]] * 4
    assert titles(webhook) == [f"day 1 of 7 as of {TODAY}", f"tenant gate opened for 1 tenant as of {TODAY}"]


def test_event_that_a_channel_refuses_stays_pending_for_it_alone(company: Company, webhook: Webhook) -> None:
    with running_webhook() as other:
        company.urls += f" {other.url()}"
        company.keep_known(HISTORY[:-1])
        titles(webhook)
        titles(other)
        other.status = 500
        company.run_day(HISTORY[-1])
        opened = [f"tenant gate opened for 1 tenant as of {TODAY}"]
        assert titles(webhook) == titles(other) == opened
        other.status = 200
        assert company.run_sensor() == company.run_sensor() == []
        assert (titles(webhook), titles(other)) == ([], opened)


def test_names_are_bounded_and_neutralised(company: Company, webhook: Webhook) -> None:
    names = frozenset({f"tenant {n:02}" for n in range(11)} | {"@here " + "x" * 500})
    for day in days_of([(names, NOBODY)] * 7):
        company.keep(day)
    assert company.run_sensor() == []
    [message] = [message for message in webhook.messages if "tenant gate" in message["title"]]
    first, second, third, *_ = message["message"].splitlines()
    assert first.startswith("＠here xxx")
    assert first.endswith("…, tenant 00, tenant 01, tenant 02, tenant 03, tenant 04, tenant 05, tenant 06, tenant 07, "
                          "tenant 08 and 2 more")
    assert len(first) < 250
    assert second == "12 of 12 tenants OPEN."
    assert third.startswith("The company's gate is OPEN: 7 consecutive clean days")


def test_unknown_kind_is_one_line_without_its_text(company: Company, webhook: Webhook) -> None:
    company.also = "tenant streak json://u:C4n4ry@host"
    company.run_day(HISTORY[1])
    assert company.lines == [
        "ORGRECON_NOTIFY_ALSO names 2 unknown kinds of events: use streak or tenants, or both."]
    assert titles(webhook) == [f"day 1 of 7 as of {HISTORY[1].day}"]
    assert Notifier.from_environ(company.settings.environ).problems() == company.lines
