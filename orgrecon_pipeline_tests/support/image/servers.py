"""Databases that containers reach, and answers of servers in containers."""

from __future__ import annotations

import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True)
class Databases:
    """The database of the company and the ledger, by TCP, and a connection to the former."""

    source: str
    ledger: str
    owner: psycopg.Connection[Any]


def read_url(url: str) -> str:
    """Return the body of an answer, or nothing if there is no server yet."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
    return ""


def ledger_is_up() -> bool:
    """Return whether an exporter on its usual port says that its ledger answers."""
    metrics = read_url("http://127.0.0.1:9464/metrics").splitlines()
    return any(line.startswith("orgrecon_ledger_up{") and line.endswith(" 1.0") for line in metrics)
