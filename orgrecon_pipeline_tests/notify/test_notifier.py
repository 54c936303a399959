"""Sending to a real server: events arrive, or one line without the URL says why not, within a bounded time."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orgrecon_pipeline.notify.events import Event
from orgrecon_pipeline.notify.notifier import Notifier
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.notify.webhook import Webhook, running_webhook
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python
from orgrecon_pipeline_tests.support.report.cases import DAY

CANARY = "C4n4ryT0k3n"
EVENT = Event("failure", "a title", "a text\nof two lines")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with running_webhook() as server:
        yield server


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_send_delivers_every_event_to_every_channel(webhook: Webhook) -> None:
    with running_webhook() as other:
        notifier = Notifier(f" {webhook.url()},{other.url()}\n")
        assert notifier.send([EVENT, Event("success", "another", "b")]) == []
        assert webhook.titles == other.titles == ["a title", "another"]
    assert (webhook.messages[0]["message"], webhook.messages[0]["type"]) == ("a text\nof two lines", "failure")


def test_urls_are_separated_by_white_space_or_commas() -> None:
    assert repr(Notifier("json://a/?to=x,y, mailto://u:p@b?to=c,d\n slack://t")) == "<Notifier: 3 channels>"
    assert not Notifier(" , \n")
    assert Notifier("").send([EVENT]) == []


def test_send_without_events_sends_nothing(webhook: Webhook) -> None:
    assert Notifier(webhook.url()).send([]) == []
    assert webhook.messages == []


def test_failing_channels_are_reported_and_the_others_get_the_event(webhook: Webhook, closed_port: int) -> None:
    with running_webhook() as broken:
        broken.status = 500
        lines = Notifier(" ".join((
            broken.url(CANARY), f"json://{CANARY}:{CANARY}@127.0.0.1:{closed_port}/{CANARY}", f"nonsense://{CANARY}",
            CANARY, "json://", webhook.url(CANARY),
        ))).send([EVENT])
    assert webhook.titles == ["a title"]
    names = [line.removeprefix("notification not delivered to ").split(" of ")[0] for line in lines]
    assert names == \
        ["channel 1 (json)", "channel 2 (json)", "channel 3 (nonsense)", "channel 4 (no scheme)", "channel 5 (json)"]
    assert "refused 1 of 1 message" in lines[0]
    assert "does not support such a URL" in lines[2]
    assert CANARY not in "".join(lines)


def test_invalid_channels_are_found_without_sending(webhook: Webhook) -> None:
    assert Notifier(webhook.url()).problems() == []
    assert Notifier(f"{webhook.url()} nosuch://{CANARY} {CANARY}").problems() == [
        f"{name} of ORGRECON_NOTIFY_URLS: Apprise does not support such a URL: correct it"
        for name in ("channel 2 (nosuch)", "channel 3 (no scheme)")
    ]
    assert webhook.messages == []


def test_doctor_warns_of_an_invalid_channel(company_database: str, tmp_path: Path) -> None:
    clean = inherited_environ()
    done = run_python(
        ORGRECON, "doctor", cwd=tmp_path,
        env={**clean, "DATABASE_URL": company_database, "ORGRECON_NOTIFY_URLS": f"nosuch://{CANARY}"})
    assert (done.returncode, done.stderr) == (0, ""), "an invalid channel does not prevent a comparison"
    assert re.search("warning +notifications +channel 1 .*does not support such a URL", done.stdout)
    assert CANARY not in done.stdout


def test_send_each_returns_the_events_that_each_channel_accepted(webhook: Webhook) -> None:
    with running_webhook() as other:
        other.status = 500
        notifier = Notifier(f"{webhook.url()} {other.url()}")
        first, second = notifier.channels
        another = Event("success", "another", "b")
        accepted, [line] = notifier.send_each({first: [EVENT, another], second: [another]})
        assert (webhook.titles, other.titles) == (["a title", "another"], ["another"])
    assert accepted == {first: [EVENT, another], second: []}
    assert "channel 2 (json)" in line
    assert notifier.send_each({first: [], second: []}) == ({first: [], second: []}, [])


def test_channel_key_is_a_stable_hash_of_the_url(webhook: Webhook) -> None:
    [channel], [again], [other] = (Notifier(webhook.url(secret)).channels for secret in (CANARY, CANARY, "x"))
    assert channel.key == again.key != other.key
    assert re.fullmatch("[0-9a-f]{16}", channel.key)


def test_channel_that_does_not_answer_is_reported_after_the_timeout(webhook: Webhook) -> None:
    webhook.release.clear()
    started = time.monotonic()
    [line] = Notifier(webhook.url(CANARY), timeout=0.5).send([EVENT])
    assert time.monotonic() - started < 30
    assert "did not answer within 0.5 s" in line
    assert CANARY not in line


def test_urls_are_never_logged(
    webhook: Webhook, closed_port: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    webhook.status = 500
    urls = f"{webhook.url(CANARY)} json://{CANARY}:{CANARY}@127.0.0.1:{closed_port}/{CANARY} nonsense://{CANARY} json://"
    with caplog.at_level(logging.DEBUG):
        notifier = Notifier(urls)
        assert len(notifier.send([EVENT])) == 4
        logging.getLogger("control").debug("the log is captured")
    assert "the log is captured" in caplog.text
    assert CANARY not in caplog.text + "".join(capfd.readouterr()) + repr(notifier) + repr(vars(notifier))


def test_report_command_notifies_and_ignores_a_failing_channel(
    tmp_path: Path, webhook: Webhook, closed_port: int
) -> None:
    (tmp_path / "now").write_text(f"{DAY}T10:00:00+00:00")
    environ = {**os.environ, "ORGRECON_SIMULATED_NOW_FILE": str(tmp_path / "now"),
               # No server listens on this port, so the observation is INCONCLUSIVE.
               "DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1:{closed_port}/x"}

    def report(name: str, url: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / name).mkdir()
        return run_python(
            ORGRECON, "report", "--output-dir", "reports", "--format", "json",
            cwd=tmp_path / name, env={**environ, "ORGRECON_NOTIFY_URLS": url})

    delivered = report("delivered", webhook.url(CANARY))
    assert delivered.returncode == 3, delivered.stderr
    assert webhook.titles == [f"Org Model v2.3: {DAY} is INCONCLUSIVE"]
    assert f"Report: reports/{DAY}.md" in webhook.messages[0]["message"]
    failed = report("failed", f"json://{CANARY}@127.0.0.1:{closed_port}/{CANARY}")
    assert failed.returncode == 3, failed.stderr
    assert "notification not delivered to channel 1 (json)" in failed.stderr
    assert CANARY not in delivered.stdout + delivered.stderr + failed.stdout + failed.stderr + repr(webhook.messages)
