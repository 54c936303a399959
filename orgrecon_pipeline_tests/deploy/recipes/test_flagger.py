"""The exporter confirms the webhooks of the Canary only while the gate is OPEN."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import yaml

from orgrecon_pipeline_tests.support.deploy.gate_world import TENANTS, GateWorld
from orgrecon_pipeline_tests.support.deploy.tools import ROOT
from orgrecon_pipeline_tests.support.deploy.wrong_servers import gone

CANARY = yaml.safe_load((ROOT / "deploy/recipes/flagger-canary.yaml").read_text())
WEBHOOKS: list[dict[str, Any]] = CANARY["spec"]["analysis"]["webhooks"]
# Flagger takes an answer with a higher status for a refusal.
HIGHEST_CONFIRMING_STATUS = 202


def confirmed(webhook: dict[str, Any], gate: str) -> bool:
    """Return whether Flagger goes on after it has called the webhook, whose gate is at another address in a test."""
    address = urlsplit(webhook["url"].replace("http://orgrecon-exporter.orgrecon:9464/gate", gate))
    connection = http.client.HTTPConnection(address.netloc, timeout=int(webhook["timeout"].removesuffix("s")))
    payload = {"name": "org-api", "namespace": "org", "phase": "Progressing", "checksum": "85d557f47b",
               "metadata": webhook.get("metadata")}
    try:
        connection.request("POST", address.path, json.dumps(payload), {"Content-Type": "application/json"})
        return connection.getresponse().status <= HIGHEST_CONFIRMING_STATUS
    except OSError:
        return False
    finally:
        connection.close()


def test_canary_has_only_webhooks_that_wait_for_a_confirmation() -> None:
    assert [webhook["type"] for webhook in WEBHOOKS] == ["confirm-rollout", "confirm-promotion"]
    for webhook in WEBHOOKS:
        assert set(webhook) == {"name", "type", "url", "timeout"}
        assert re.fullmatch(r"[0-9]+(m|s)", webhook["timeout"])


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda webhook: webhook["type"])
def test_webhook_is_confirmed_by_an_open_gate_only(
    webhook: dict[str, Any], open_gate: str, closed_gate: str, clean_world: GateWorld
) -> None:
    assert confirmed(webhook, open_gate)
    assert not confirmed(webhook, closed_gate)
    assert not confirmed(webhook, gone())
    with clean_world.exporter(ORGRECON_GATE_TOKEN="s3cret") as protected:
        assert not confirmed(webhook, protected)


def test_webhook_of_a_tenant_is_confirmed_by_its_own_gate(closed_gate: str) -> None:
    answers = [confirmed({**WEBHOOKS[0], "url": f"{closed_gate}/tenants/{quote(tenant, safe='')}"}, closed_gate)
               for tenant in TENANTS]
    assert answers == [True, False, True]
