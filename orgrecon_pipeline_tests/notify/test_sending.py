"""Sending, to a real server: delivered or said so in one line, in bounded time, and never with the address in it."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.notify.events import Event
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, listening
from orgrecon_pipeline_tests.support.report.cases import DAY

CANARY = "C4n4ryT0k3n"
EVENT = Event("failure", "a title", "a text\nof two lines")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with listening() as server:
        yield server


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_every_event_reaches_every_channel(webhook: Webhook) -> None:
    with listening() as other:
        notifier = Notifier(f" {webhook.url()},{other.url()}\n")
        assert notifier.send([EVENT, Event("success", "another", "b")]) == []
        assert webhook.titles == other.titles == ["a title", "another"]
    assert (webhook.got[0]["message"], webhook.got[0]["type"]) == ("a text\nof two lines", "failure")


def test_addresses_are_parted_by_white_space_and_by_commas_that_end_one() -> None:
    assert repr(Notifier("json://a/?to=x,y, mailto://u:p@b?to=c,d\n slack://t")) == "<Notifier: 3 channels>"
    assert not Notifier(" , \n")
    assert Notifier("").send([EVENT]) == []


def test_nothing_is_sent_for_nothing(webhook: Webhook) -> None:
    assert Notifier(webhook.url()).send([]) == []
    assert webhook.got == []


def test_a_channel_that_refuses_is_told_and_the_others_get_it(webhook: Webhook, closed_port: int) -> None:
    with listening() as broken:
        broken.status = 500
        lines = Notifier(" ".join((
            broken.url(CANARY), f"json://{CANARY}:{CANARY}@127.0.0.1:{closed_port}/{CANARY}", f"nonsense://{CANARY}",
            CANARY, "json://", webhook.url(CANARY),
        ))).send([EVENT])
    assert webhook.titles == ["a title"]
    named = [line.removeprefix("notification not delivered to ").split(" of ")[0] for line in lines]
    assert named == \
        ["channel 1 (json)", "channel 2 (json)", "channel 3 (nonsense)", "channel 4 (no scheme)", "channel 5 (json)"]
    assert "refused 1 of 1 messages" in lines[0]
    assert "does not know such an address" in lines[2]
    assert CANARY not in "".join(lines)


def test_an_address_that_is_none_is_known_before_there_is_anything_to_send(webhook: Webhook) -> None:
    assert Notifier(webhook.url()).unknown() == []
    assert Notifier(f"{webhook.url()} nosuch://{CANARY} {CANARY}").unknown() == [
        f"{name} of ORGRECON_NOTIFY_URLS: Apprise does not know such an address: correct it"
        for name in ("channel 2 (nosuch)", "channel 3 (no scheme)")
    ]
    assert webhook.got == []


def test_the_doctor_tells_of_an_address_that_is_none(company_database: str, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ORGRECON", "DAGSTER"))}
    done = subprocess.run(
        [sys.executable, "-m", "orgrecon_pipeline", "doctor"], cwd=tmp_path, capture_output=True, text=True,
        env={**clean, "DATABASE_URL": company_database, "ORGRECON_NOTIFY_URLS": f"nosuch://{CANARY}"})
    assert (done.returncode, done.stderr) == (0, ""), "it stands in the way of no comparison"
    assert re.search("warning +notifications +channel 1 .*does not know such an address", done.stdout)
    assert CANARY not in done.stdout


def test_each_channel_gets_its_own_and_what_it_took_is_known(webhook: Webhook) -> None:
    with listening() as other:
        other.status = 500
        notifier = Notifier(f"{webhook.url()} {other.url()}")
        first, second = notifier.channels
        another = Event("success", "another", "b")
        taken, [line] = notifier.send_each({first: [EVENT, another], second: [another]})
        assert (webhook.titles, other.titles) == (["a title", "another"], ["another"])
    assert taken == {first: [EVENT, another], second: []}
    assert "channel 2 (json)" in line
    assert notifier.send_each({first: [], second: []}) == ({first: [], second: []}, [])


def test_a_channel_is_known_by_something_that_gives_no_address_away(webhook: Webhook) -> None:
    [channel], [again], [other] = (Notifier(webhook.url(secret)).channels for secret in (CANARY, CANARY, "x"))
    assert channel.key == again.key != other.key
    assert re.fullmatch("[0-9a-f]{16}", channel.key)


def test_a_channel_that_does_not_answer_is_not_waited_for(webhook: Webhook) -> None:
    webhook.release.clear()
    started = time.monotonic()
    [line] = Notifier(webhook.url(CANARY), patience=0.5).send([EVENT])
    assert time.monotonic() - started < 5
    assert "did not answer within 0.5 s" in line
    assert CANARY not in line


def test_no_address_is_ever_logged(webhook: Webhook, closed_port: int, caplog: pytest.LogCaptureFixture,
                                   capfd: pytest.CaptureFixture[str]) -> None:
    webhook.status = 500
    urls = f"{webhook.url(CANARY)} json://{CANARY}:{CANARY}@127.0.0.1:{closed_port}/{CANARY} nonsense://{CANARY} json://"
    with caplog.at_level(logging.DEBUG):
        notifier = Notifier(urls)
        assert len(notifier.send([EVENT])) == 4
        logging.getLogger("proof").debug("the log is read")
    assert "the log is read" in caplog.text
    assert CANARY not in caplog.text + "".join(capfd.readouterr()) + repr(notifier) + repr(vars(notifier))


def test_the_report_command_tells_and_its_verdict_is_the_same_when_nobody_listens(
    tmp_path: Path, webhook: Webhook, closed_port: int
) -> None:
    (tmp_path / "now").write_text(f"{DAY}T10:00:00+00:00")
    environ = {**os.environ, "ORGRECON_SIMULATED_NOW_FILE": str(tmp_path / "now"),
               # Nothing listens there: today's observation is INCONCLUSIVE.
               "DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1:{closed_port}/x"}

    def report(place: str, url: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / place).mkdir()
        return subprocess.run(
            [sys.executable, "-m", "orgrecon_pipeline", "report", "--output-dir", "reports", "--format", "json"],
            cwd=tmp_path / place, env={**environ, "ORGRECON_NOTIFY_URLS": url}, capture_output=True, text=True)

    heard = report("heard", webhook.url(CANARY))
    assert heard.returncode == 3, heard.stderr
    assert webhook.titles == [f"Org Model v2.3: {DAY} is INCONCLUSIVE"]
    assert f"Report: reports/{DAY}.md" in webhook.got[0]["message"]
    unheard = report("unheard", f"json://{CANARY}@127.0.0.1:{closed_port}/{CANARY}")
    assert unheard.returncode == 3, unheard.stderr
    assert "notification not delivered to channel 1 (json)" in unheard.stderr
    assert CANARY not in heard.stdout + heard.stderr + unheard.stdout + unheard.stderr + repr(webhook.got)
