"""The gate over HTTP is 200 only for an OPEN that is known now; everything else is an error with the state CLOSED."""

from __future__ import annotations

import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.metrics.exporter import make_exporter
from orgrecon_pipeline.metrics.gate_endpoint import GateCache, gate_app, open_gate_app, read_gates
from orgrecon_pipeline.operations.gate.tenants import TenantGates
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.http_server import serving
from orgrecon_pipeline_tests.support.report.cases import observation
from orgrecon_pipeline_tests.support.schemas import require_valid

TODAY = datetime.now(timezone.utc).date()
TENANT = "a/b ü"  # a name that a URL has to quote


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: Any


def get(url: str, **headers: str) -> Answer:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        text = response.read().decode()
        if not text.startswith("{"):
            return Answer(response.status, dict(response.headers), text)
        require_valid("gate", json.loads(text))
        return Answer(response.status, dict(response.headers), json.loads(text))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Return the file of a ledger with seven clean live days, the first of which is that of the tenant."""
    path = tmp_path / "ledger.db"
    opened = open_ledger(f"sqlite:///{path}")
    for back in range(6, -1, -1):
        appeared = [CoverageEvent(CoverageSubject.TENANT, TENANT, CoverageChange.APPEARED)] if back == 6 else []
        day = TODAY - timedelta(days=back)
        opened.append(observation(day, mapping_digest=default_mapping().digest), (), (), appeared)
    return path


def environ(ledger: Path, **more: str) -> dict[str, str]:
    return {"ORGRECON_LEDGER_URL": f"sqlite:///{ledger}", "ORGRECON_OUTPUT_DIR": str(ledger.parent / "reports"), **more}


@contextmanager
def exporting(app: Any, path_prefix: str = "") -> Iterator[str]:
    server = make_exporter(CollectorRegistry(), app, host="127.0.0.1", port=0, path_prefix=path_prefix)
    with serving(server) as url:
        yield f"{url}{path_prefix}"


def cache(ledger: Path, **changes: Any) -> GateCache:
    settings = read_settings(environ(ledger))
    return GateCache(**{"read": lambda: read_gates(settings), "now": lambda: datetime.now(timezone.utc),
                        "fresh_seconds": 0.0, **changes})


def test_open_gate_is_200_with_the_answer_of_the_command_line(ledger: Path) -> None:
    with exporting(open_gate_app(read_settings(environ(ledger)))) as base:
        answer = get(f"{base}/gate")
    assert answer.status == 200
    assert answer.body == read_gates(read_settings(environ(ledger))).company.as_json_value()
    assert answer.body["state"] == "OPEN"


@pytest.mark.parametrize(("quoted", "status", "state"), [
    ("a%2Fb%20%C3%BC", 200, "OPEN"),
    ("a/b%20%C3%BC", 200, "OPEN"),
    ("nobody", 503, "CLOSED"),
    ("A%2Fb%20%C3%BC", 503, "CLOSED"),
    ("a%2Fb%20%C3%BC?eu", 400, "CLOSED"),  # an unquoted "a/b ü?eu" is not "a/b ü"
    ("%FF", 400, "CLOSED"),
    ("", 400, "CLOSED"),
    ("x%00", 400, "CLOSED"),
    ("x" * 5_000, 400, "CLOSED"),
])
def test_gate_of_a_tenant_answers_for_the_quoted_name(ledger: Path, quoted: str, status: int, state: str) -> None:
    with exporting(gate_app(cache(ledger), None)) as base:
        answer = get(f"{base}/gate/tenants/{quoted}")
    assert (answer.status, answer.body["state"]) == (status, state)
    if status == 200:
        assert answer.body["tenant"] == TENANT
        assert answer.body["migration"] == "org-v23"


@pytest.mark.parametrize("path", ["/gate/", "/gate/tenants", "/gate/other", "/gates", "/"])
def test_other_paths_are_404(ledger: Path, path: str) -> None:
    with exporting(gate_app(cache(ledger), None)) as base:
        assert get(f"{base}{path}").status == 404


def test_gate_behind_a_prefix_answers_below_it_only(ledger: Path) -> None:
    with exporting(gate_app(cache(ledger), None), path_prefix="/orgrecon") as base:
        assert get(f"{base}/gate").status == 200
        assert get(f"{base}/healthz").status == 200
        root = base.removesuffix("/orgrecon")
        assert get(f"{root}/healthz").status == 200
        assert get(f"{root}/gate").status == 404


@pytest.mark.parametrize(("path", "body", "status"), [
    ("/gate", b"", 200),
    ("/gate", b'{"phase": "Progressing"}', 200),
    ("/gate", b"x" * 65_536, 200),
    ("/gate", b"x" * 65_537, 413),
    ("/gate/tenants/nobody", b"{}", 503),
    ("/metrics", b"", 405),
    ("/healthz", b"", 405),
], ids=["nothing", "short", "longest", "too long", "tenant", "metrics", "probe"])
def test_post_is_answered_like_get_for_the_gate_only(ledger: Path, path: str, body: bytes, status: int) -> None:
    with exporting(gate_app(cache(ledger), None)) as base:
        connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
        connection.request("POST", path, body)
        response = connection.getresponse()
        assert response.status == status, response.read()
        if path == "/gate" and status == 200:
            assert json.loads(response.read()) == get(f"{base}/gate").body
        connection.close()


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999"])
def test_post_with_an_impossible_length_is_refused(ledger: Path, length: str) -> None:
    with exporting(gate_app(cache(ledger), None)) as base:
        connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
        connection.request("POST", "/gate", headers={"Content-Length": length})
        assert connection.getresponse().status == 413
        connection.close()


@pytest.mark.parametrize("prefix", ["orgrecon", "/ü", "/a\nb"])
def test_invalid_path_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="--path-prefix"):
        make_exporter(CollectorRegistry(), None, host="127.0.0.1", port=0, path_prefix=prefix)


def test_token_is_required_where_one_is_set(ledger: Path) -> None:
    with exporting(open_gate_app(read_settings(environ(ledger, ORGRECON_GATE_TOKEN="s3cret")))) as base:
        given = {header: get(f"{base}/gate", **({"Authorization": header} if header else {})).status
                 for header in ("", "Bearer wrong", "Basic s3cret", "Bearer s3cret", "bearer s3cret", "Bearer s3cret2")}
        refused = get(f"{base}/gate/tenants/{TENANT[:1]}")
        assert get(f"{base}/metrics").status == 200
    assert given == {"": 401, "Bearer wrong": 401, "Basic s3cret": 401, "Bearer s3cret": 200, "bearer s3cret": 200,
                     "Bearer s3cret2": 401}
    assert refused.status == 401
    assert refused.body["state"] == "CLOSED"
    assert "s3cret" not in json.dumps(refused.body)


def test_token_from_a_file_with_a_newline_is_accepted(ledger: Path) -> None:
    with exporting(open_gate_app(read_settings(environ(ledger, ORGRECON_GATE_TOKEN="s3cret\n")))) as base:
        assert get(f"{base}/gate", Authorization="Bearer s3cret").status == 200
        assert get(f"{base}/gate").status == 401


def test_unchanged_open_answer_is_304_and_expires_within_seconds(ledger: Path) -> None:
    with exporting(gate_app(cache(ledger, fresh_seconds=5.0), None)) as base:
        first = get(f"{base}/gate")
        again = get(f"{base}/gate", If_None_Match=f'"other", W/{first.headers["ETag"]}')
        other = get(f"{base}/gate", If_None_Match='"other"')
    assert (again.status, other.status) == (304, 200)
    assert first.headers["Cache-Control"] == "private, max-age=5"


def remove(ledger: Path) -> None:
    ledger.unlink()


def corrupt(ledger: Path) -> None:
    ledger.write_bytes(b"not a database" * 100)


def replace_by_directory(ledger: Path) -> None:
    ledger.unlink()
    ledger.mkdir()


def drift_today(ledger: Path) -> None:
    from orgrecon_pipeline.domain.evidence import Verdict

    later = observation(TODAY, Verdict.FAIL, hour=23, mapping_digest=default_mapping().digest)
    open_ledger(f"sqlite:///{ledger}").append(later, (), (), ())


@pytest.mark.parametrize("harm", [remove, corrupt, replace_by_directory, drift_today])
def test_gate_without_a_usable_open_ledger_is_503_with_a_reason(ledger: Path, harm: Callable[[Path], None]) -> None:
    with exporting(gate_app(cache(ledger), None)) as base:
        assert get(f"{base}/gate").status == 200
        etag = get(f"{base}/gate").headers["ETag"]
        harm(ledger)
        answers = [get(f"{base}/gate"), get(f"{base}/gate/tenants/a%2Fb%20%C3%BC"),
                   get(f"{base}/gate", If_None_Match=etag)]
    for answer in answers:
        if harm is not drift_today or "tenant" not in answer.body:
            assert (answer.status, answer.body["state"]) == (503, "CLOSED")
            assert answer.body["reason"]
            assert answer.headers["Cache-Control"] == "no-store"


def test_stale_evidence_is_503_even_from_the_cache(ledger: Path) -> None:
    now = [datetime.now(timezone.utc)]
    with exporting(gate_app(cache(ledger, fresh_seconds=3600.0, now=lambda: now[0]), None)) as base:
        assert get(f"{base}/gate").status == 200
        now[0] += timedelta(days=2)
        stale = get(f"{base}/gate")
    assert (stale.status, stale.body["state"]) == (503, "CLOSED")


def test_requests_to_a_ledger_that_does_not_answer_in_time_are_503(ledger: Path) -> None:
    entered, release = threading.Event(), threading.Event()
    settings = read_settings(environ(ledger))

    def slow() -> TenantGates:
        entered.set()
        release.wait(60)
        return read_gates(settings)

    with exporting(gate_app(cache(ledger, read=slow, wait_seconds=0.2), None)) as base:
        statuses: list[int] = []
        first = threading.Thread(target=lambda: statuses.append(get(f"{base}/gate").status))
        first.start()
        assert entered.wait(30)
        second = get(f"{base}/gate")
        assert get(f"{base}/healthz").status == 200
        first.join()
        release.set()
    assert (second.status, second.body["state"]) == (503, "CLOSED")
    assert "did not answer within 0.2 s" in second.body["reason"]
    assert statuses == [503]


def test_internal_error_is_503_without_its_message(ledger: Path) -> None:
    def broken() -> TenantGates:
        raise RuntimeError("postgresql://user:s3cret@host/db")

    with exporting(gate_app(cache(ledger, read=broken), None)) as base:
        answer = get(f"{base}/gate")
    assert (answer.status, answer.body["state"]) == (503, "CLOSED")
    assert "s3cret" not in json.dumps(answer.body)


def test_ledger_is_read_once_for_requests_within_the_fresh_time(ledger: Path) -> None:
    reads: list[int] = []
    settings = read_settings(environ(ledger))

    def read() -> TenantGates:
        reads.append(os.getpid())
        return read_gates(settings)

    with exporting(gate_app(cache(ledger, read=read, fresh_seconds=3600.0), None)) as base:
        assert {get(f"{base}/gate").status for _ in range(20)} == {200}
    assert len(reads) == 1
