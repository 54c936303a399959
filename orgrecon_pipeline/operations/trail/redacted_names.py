"""Replacement of names that a ledger redacted, in imported reports that still have them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from orgrecon_pipeline.domain.integrity.redaction import Redactor, name_hash
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.ledger.ledger import Ledger

_hash = lru_cache(100_000)(name_hash)  # a slow hash, and every report has the same names


def without_redacted_names(ledger: Ledger, record: Record) -> Record:
    """Return a record with the pseudonyms of all tenants that the ledger redacted; its digest stays that of the report.

    Keys get pseudonyms, too, but not those that the ledger has on other days, because their secret was not stored.
    """
    pseudonyms = {redaction.name_hash: redaction.pseudonym for redaction in ledger.redactions()}
    if not pseudonyms:
        return record
    value = record.as_json_value()
    for name in sorted(set(_names(value))):
        if pseudonym := pseudonyms.get(_hash(name, ledger.id)):
            value = _redacted(Redactor(name, pseudonym, secrets.token_bytes()), value)
    return Record.model_validate(value)


def _names(value: dict[str, Any]) -> Iterator[str]:
    """Yield the names of tenants that a record, as JSON values, shows."""
    for part in ("tenants", "samples"):
        yield from (row["tenant"] for row in value[part])
    for figures in (value["ready_tenants"] or {}).values():
        yield from (listed["tenant"] for listed in (figures if isinstance(figures, list) else ()))
    for outcome in (value, *value["observations"]):
        yield from (oldest["tenant"] for oldest in ((outcome["change"] or {}).get("oldest") or {}).values() if oldest)
        facts = outcome["compared"].get("coverage", {})
        yield from facts.get("left", ())
        yield from (name for pair in facts.get("renamed", ()) for name in pair)
        for part in ("lost", "acknowledged"):
            yield from (text.removeprefix("tenant ") for text in facts.get(part, ()) if text.startswith("tenant "))


def _redacted(redactor: Redactor, value: dict[str, Any]) -> dict[str, Any]:
    tenants = [{**row, "tenant": redactor.tenant(row["tenant"])} for row in value["tenants"]]
    ready = value["ready_tenants"]
    return {
        **_outcome(redactor, value), "tenants": tenants, "samples": list(map(redactor.sample, value["samples"])),
        "observations": [_outcome(redactor, row) for row in value["observations"]],
        "ready_tenants": ready and redactor.ready_tenants(ready)}


def _outcome(redactor: Redactor, value: dict[str, Any]) -> dict[str, Any]:
    change = value["change"]
    return {
        **value, "reason": redactor.sentence(value["reason"]),
        "reason_parameters": redactor.parameters(value["reason_parameters"]),
        "compared": redactor.compared(value["compared"]), "change": change and redactor.change(change)}
