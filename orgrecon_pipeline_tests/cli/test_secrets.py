"""No password of the environment appears in any output or file, whatever fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline_tests.support.cli.mapping import write_mapping
from orgrecon_pipeline_tests.support.cli.process import run, run_cases
from orgrecon_pipeline_tests.support.secret_canary import ENCODED, PASSWORD, files_with_password, with_password


def test_password_appears_in_no_output_and_no_file(
    company_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path
) -> None:
    admin = connect(company_database)
    seed(admin, tenants=3, users_per_tenant=4)
    write_mapping(tmp_path / "orgrecon.yaml", scan={"settle_seconds": 0, "rechecks": 0})
    write_mapping(tmp_path / "impatient.yaml", scan={"deadline_seconds": 0.1})
    admin.execute("DO $$ BEGIN CREATE ROLE canary_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO canary_reader")
    admin.execute("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    refusing = f"postgresql://u:{ENCODED}@127.0.0.1:1/orgs"
    valid = with_password({"": company_database})[""]
    home = tmp_path / "dagster"
    home.mkdir()
    # Expected exit code, and variables (upper case) or injected faults (lower case).
    cases: dict[str, tuple[int, dict[str, str]]] = {
        "no failure": (0, {}),
        "connection refused": (3, {"DATABASE_URL": refusing}),
        "unknown host": (3, {"DATABASE_URL": f"postgresql://u:{ENCODED}@no-such-host.invalid/orgs"}),
        "unknown database": (3, {"DATABASE_URL": valid.replace("/test_", "/nothing_")}),
        "password not encoded": (2, {"DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/orgs"}),
        "unknown parameter": (2, {"DATABASE_URL": f"{valid}&passwd={ENCODED}"}),
        "invalid sslmode": (2, {"DATABASE_URL": f"{valid}&sslmode={ENCODED}"}),
        "invalid timeout": (2, {"DATABASE_URL": f"{valid}&connect_timeout={ENCODED}"}),
        "invalid server setting": (3, {"DATABASE_URL": f"{valid}&options=-c%20work_mem%3D{ENCODED}"}),
        "DSN that is no URL": (2, {"DATABASE_URL": f"host=x password='{PASSWORD}'"}),
        "terminated session": (3, {"disconnects_in": "compare.one_database.run_self_test"}),
        "row-level security": (3, {"DATABASE_URL": valid.replace("postgres:", "canary_reader:")}),
        "internal error in the comparison": (3, {"raises_in": "compare.one_database.run_self_test"}),
        "internal error in the report": (3, {"raises_in": "operations.trail.publish.write_report"}),
        "internal error in the command": (3, {"raises_in": "operations.report_request.check_writable"}),
        "ledger refuses the connection": (3, {"ORGRECON_LEDGER_URL": refusing, "ORGRECON_MAPPING": "impatient.yaml"}),
        "ledger password not encoded": (2, {"ORGRECON_LEDGER_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/l"}),
        "invalid timeout of the ledger": (2, {"ORGRECON_LEDGER_URL": f"{valid}&connect_timeout={ENCODED}"}),
        "internal error in the ledger": (3, {"raises_in": "ledger.statements.append.LedgerWriter.append",
                                             "leaks": "ORGRECON_LEDGER_URL", "ORGRECON_LEDGER_URL": valid}),
    }
    runs: dict[tuple[str, bool], Any] = {
        (name, debug): {
            "arguments": ["report", *(["--debug"] if debug else [])],
            "environ": {"DATABASE_URL": valid, "DAGSTER_HOME": str(home),
                        **{key: value for key, value in fault.items() if key.isupper()}},
            **{key: value for key, value in fault.items() if key.islower()},
        }
        for name, (code, fault) in cases.items()
        for debug in ((False, True) if code == 2 or "raises_in" in fault else (False,))  # The others have no traceback.
    }
    results = dict(zip(runs, run_cases(tmp_path, runs.values()), strict=True))
    for (name, debug), result in results.items():
        assert result.code == cases[name][0], (name, debug, result)
        assert ("Traceback" in result.err) <= debug, (name, result)
    traceback = results["internal error in the command", True].err
    for fragment in ("ValueError: …", "The above exception was the direct cause", "RuntimeError: '…'",
                     "report_request.py"):
        assert fragment in traceback
    assert (home / "history" / "runs.db").exists()
    assert run(tmp_path, "metrics", "--textfile", str(tmp_path / "orgrecon.prom")).code == 0
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} >= {".db", ".md", ".prom"}
    (tmp_path / "leak").write_text(f"x{PASSWORD}x", encoding="utf-8")
    assert list(files_with_password(tmp_path)) == [str(tmp_path / "leak")], "only a deliberate leak is found"
    (tmp_path / "leak").unlink()
