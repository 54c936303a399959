"""A ledger keeps the evidence of several identities apart, and draws an id that a copy keeps."""

from __future__ import annotations

import inspect
import random
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from orgrecon_pipeline.domain.coverage import CoverageChange, CoverageEvent, CoverageSubject
from orgrecon_pipeline.domain.errors import AlreadyRunning
from orgrecon_pipeline.domain.evidence import Provenance, Sample, Verdict
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.integrity.chain import LinkEntry
from orgrecon_pipeline.domain.integrity.redaction import Redactor
from orgrecon_pipeline.ledger.connection.engine import Past
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.ledger.statements.append import Notified
from orgrecon_pipeline_tests.support.ledger.cases import (
    DAY,
    fingerprints,
    new_sqlite_ledger,
    observation,
    raised,
    tenant_row,
    totals,
)
from orgrecon_pipeline_tests.support.report.cases import ready_tenants

pytestmark = pytest.mark.usefixtures("kept_connection")

IDENTITIES = [Identity("org-v23", ""), Identity("org-v23", "prod"), Identity("teams", ""), Identity("teams", "prod")]
DAYS = [DAY - timedelta(days=back) for back in range(4)]
IDS = [f"{number}" for number in range(8)]
MOMENT = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)

# How to call each method that reads, with every observation and day that any identity has.
READS: dict[str, Callable[[Ledger], Any]] = {
    # Links name their ledger, so their hashes differ.
    "chain_breaks": lambda ledger: list(ledger.chain_breaks()),
    "head": lambda ledger: (head := ledger.head()) and head.position,
    "chain_of": lambda ledger: [{id_: head.position for id_, head in ledger.chain_of(day).items()} for day in DAYS],
    "links": lambda ledger: [(link.position, LinkEntry.model_validate_json(link.entry).content)
                             for link in ledger.links()],
    "acknowledgements": lambda ledger: [ledger.acknowledgements(kind) for kind in ("coverage", "source")],
    "at": lambda ledger: ledger.at(Past(ledger.position() - 1)).verdict_counts(),
    "breakdown": lambda ledger: [ledger.breakdown(id_, 10) for id_ in IDS],
    "days": lambda ledger: ledger.days(),
    "deciding": lambda ledger: [ledger.deciding(day, rule) for day in DAYS for rule in ("latest", "worst")],
    "departed_names": lambda ledger: [ledger.departed_names(subject) for subject in CoverageSubject],
    "evidence": lambda ledger: ledger.evidence(date.max),
    "fingerprints": lambda ledger: [ledger.fingerprints(id_) for id_ in IDS],
    "first": lambda ledger: [ledger.first(list(Provenance), decided_only=decided) for decided in (False, True)],
    "keys": lambda ledger: [list(ledger.keys(o)) for id_ in IDS if (o := ledger.observation(id_))],
    "kept_keys": lambda ledger: [ledger.kept_keys(o) for id_ in IDS if (o := ledger.observation(id_))],
    "known_names": lambda ledger: [list(ledger.known_names(subject, until=until))
                                   for subject in CoverageSubject for until in (None, MOMENT)],
    "last_notified": lambda ledger: ledger.last_notified(),
    "latest": lambda ledger: [ledger.latest(list(Provenance), completed_only=completed)
                              for completed in (False, True)],
    "lost_coverage": lambda ledger: [ledger.lost_coverage(id_) for id_ in IDS],
    "observation": lambda ledger: [ledger.observation(id_) for id_ in IDS],
    "observation_ids": lambda ledger: dict(ledger.observation_ids(date.max)),
    "observations": lambda ledger: [ledger.observations(day) for day in DAYS],
    "position": lambda ledger: ledger.at(Past(ledger.position())).verdict_counts(),
    "ready_tenants": lambda ledger: [ledger.ready_tenants(id_, ready_tenants().evidence) for id_ in IDS],
    "redactions": lambda ledger: [redaction.pseudonym for redaction in ledger.redactions()],
    "samples": lambda ledger: [ledger.samples(id_) for id_ in IDS],
    "shard_results": lambda ledger: [ledger.shard_results(id_, exact) for id_ in IDS for exact in (False, True)],
    "tenant_drift": lambda ledger: [ledger.tenant_drift(id_).to_dict("list") for id_ in IDS],
    "tenant_observations": lambda ledger: {
        day: [(observation.observed.id, observation.drifting, observation.complete) for observation in observations]
        for day, observations in ledger.tenant_observations().items()},
    "tenant_presences": lambda ledger: [
        [(name, presence.changes) for name, presence in ledger.tenant_presences(simulated=simulated)]
        for simulated in (False, True)],
    "verdict_counts": lambda ledger: ledger.verdict_counts(),
}
# The methods that write, lock, or say something about the whole ledger.
OTHERS = {"acknowledge", "append", "append_ready_tenants", "append_shard_result", "record_notified", "day_lock",
          "notification_lock", "observation_lock", "identities", "position", "reading", "redact", "transaction",
          "vacuum", "writing"}


def entries(seed: int) -> list[Callable[[Ledger], object]]:
    """Return some entries of one identity, in the order in which they are to be appended."""
    rng = random.Random(seed)
    todo: list[Callable[[Ledger], object]] = []
    for id_ in rng.sample(IDS, 5):
        verdict = rng.choice([Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE])
        tenants = rng.sample(["acme", "beta", "gamma", "delta"], 2)
        drift = rng.randrange(1, 9) if verdict is Verdict.FAIL else 0
        made = observation(
            id_, rng.choice(DAYS), verdict, mapping_digest=f"{seed}", entities={"org_units": totals(missing=drift)},
            title=f"Title {seed}", tenants_scanned=None if verdict is Verdict.INCONCLUSIVE else rng.randrange(5))
        rows = [tenant_row(tenant, missing=drift) for tenant in tenants]
        samples = [Sample(tenant=tenants[0], entity="org_units", kind="missing", key={"unit_id": f"{seed}"})]
        coverage = [CoverageEvent(rng.choice(list(CoverageSubject)), tenant, rng.choice(list(CoverageChange)))
                    for tenant in tenants]
        fingerprints_of = fingerprints(*tenants)
        todo.append(lambda ledger, args=(made, rows, samples, coverage), of=fingerprints_of: ledger.append(
            *args, fingerprints=of))
        todo.append(lambda ledger, id_=id_: ledger.acknowledge(
            rng.choice(("coverage", "source")), f"because of {seed}", id_, {"databases": {}}, MOMENT))
        todo.append(lambda ledger, id_=id_: ledger.append_shard_result(id_, "eu1", False, {"seed": seed}))
        todo.append(lambda ledger, id_=id_: ledger.append_ready_tenants(id_, ready_tenants(tenants=seed + 1)))
        notified = Notified("a channel", "gate", rng.choice(("OPEN", "CLOSED")), MOMENT)
        todo.append(lambda ledger, notified=notified: ledger.record_notified([notified]))
    return todo


@pytest.mark.parametrize("seed", range(2))
def test_every_read_of_a_shared_ledger_gives_the_evidence_of_its_identity_alone(
    ledger_url: str, ledger: Ledger, tmp_path: Path, seed: int
) -> None:
    shared = {identity: open_ledger(ledger_url, identity) for identity in IDENTITIES}
    alone = {identity: Ledger(own.address, own.engine, identity) for identity in IDENTITIES
             for own in [new_sqlite_ledger(tmp_path / identity.slug / "ledger.db")]}
    queues = {identity: entries(seed * 10 + number) for number, identity in enumerate(IDENTITIES)}
    expected = {identity: entries(seed * 10 + number) for number, identity in enumerate(IDENTITIES)}
    rng = random.Random(seed)
    while any(queues.values()):
        identity = rng.choice([identity for identity, queue in queues.items() if queue])
        queues[identity].pop(0)(shared[identity])
        expected[identity].pop(0)(alone[identity])
    assert len(shared[IDENTITIES[0]].identities()) == len(IDENTITIES)
    for identity in IDENTITIES:
        for name, read in READS.items():
            assert read(shared[identity]) == read(alone[identity]), f"{name} of {identity}"


def test_redaction_changes_only_its_identity(ledger_url: str, ledger: Ledger) -> None:
    shared = {identity: open_ledger(ledger_url, identity) for identity in IDENTITIES}
    for own in shared.values():
        own.append(observation("1"), [tenant_row("acme")], (), (), fingerprints=fingerprints("acme"))
    before = {identity: {name: read(own) for name, read in READS.items()} for identity, own in shared.items()}
    redacted, *others = IDENTITIES
    shared[redacted].redact(Redactor.of("acme", b"secret"), "because", MOMENT)
    assert list(shared[redacted].chain_breaks()) == []
    assert {row.tenant for row in shared[redacted].breakdown("1", 10)} != {"acme"}
    for identity in others:
        for name, read in READS.items():
            assert read(shared[identity]) == before[identity][name], f"{name} of {identity}"


def test_every_method_that_reads_is_tested() -> None:
    public = {name for name, _ in inspect.getmembers(Ledger, callable) if not name.startswith("_")}
    assert public == READS.keys() | OTHERS


@pytest.mark.parametrize("lock", ["observation_lock", "notification_lock", "day_lock"])
def test_lock_of_an_identity_is_not_a_lock_of_another(ledger_url: str, ledger: Ledger, lock: str) -> None:
    arguments = (DAY,) if lock == "day_lock" else ()
    first, other = (open_ledger(ledger_url, identity) for identity in IDENTITIES[:2])
    with getattr(first, lock)(*arguments):
        with getattr(other, lock)(*arguments):
            pass
        refused = raised(lambda: getattr(open_ledger(ledger_url, first.identity), lock)(*arguments).__enter__())
        assert isinstance(refused, AlreadyRunning)


def test_observation_lock_of_another_day_is_refused(ledger: Ledger) -> None:
    with ledger.observation_lock(), ledger.day_lock(DAY):
        refused = raised(lambda: ledger.observation_lock().__enter__())
        assert isinstance(refused, AlreadyRunning)
        assert str(refused) == "another comparison of org-v23 is already running: wait until it ends."


def test_observation_id_of_another_identity_is_not_known(ledger_url: str, ledger: Ledger) -> None:
    """A report whose identity was edited has the ids of the original."""
    first, other = (open_ledger(ledger_url, identity) for identity in IDENTITIES[:2])
    assert first.append(observation("same"), (), (), ()) is True
    assert other.append(observation("same"), (), (), ()) is True
    assert other.append(observation("same"), (), (), ()) is False


def test_new_ledger_draws_an_id_which_a_copy_keeps(tmp_path: Path) -> None:
    first, other = (open_ledger(f"sqlite:///{tmp_path / name}", Identity()) for name in ("first.db", "other.db"))
    assert len(first.id) == 16
    assert int(first.id, 16) >= 0
    assert first.id != other.id
    shutil.copy(tmp_path / "first.db", tmp_path / "copy.db")
    for identity in IDENTITIES:
        assert open_ledger(f"sqlite:///{tmp_path / 'copy.db'}", identity).id == first.id
