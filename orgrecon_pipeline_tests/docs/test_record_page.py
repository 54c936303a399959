"""Tests of docs/record.md: its reason codes and its verifier."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orgrecon_pipeline.domain.facts.reason_parameters import Parameters
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.domain.record import Record
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline_tests.support.report.cases import COMPARED, DAY, SIDE, History, forged, observation, row

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/record.md").read_text("utf-8")
GOLDEN = sorted((ROOT / "orgrecon_pipeline_tests/golden").glob("*.md"))


def section(heading: str) -> str:
    """Return the text of a section of the page."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def documented_parameters() -> dict[str, set[str]]:
    """Return the parameters of each reason code in the table of the page."""
    codes = section("Reasons").split("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", codes, re.MULTILINE)
    return {code: set(re.findall(r"`(\w+)`", parameters)) for code, parameters in rows}


def parameters_in_code() -> dict[str, set[str]]:
    """Return the keyword arguments next to each reason code in the package."""
    names: dict[str, set[str]] = {code.value: set() for code in ReasonCode}
    for path in (ROOT / "orgrecon_pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                codes = [argument.attr for argument in node.args if isinstance(argument, ast.Attribute)
                         and isinstance(argument.value, ast.Name) and argument.value.id == "ReasonCode"]
                for code in codes:
                    names[ReasonCode[code].value] |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return names


def test_reasons_table_lists_every_code_in_order() -> None:
    assert list(documented_parameters()) == [code.value for code in ReasonCode]


def test_reasons_table_lists_every_parameter() -> None:
    documented = documented_parameters()
    for code, parameters in parameters_in_code().items():
        assert parameters <= documented[code], f"{code}: docs/record.md lacks {sorted(parameters - documented[code])}"


def test_parameters_of_all_reasons_are_described() -> None:
    assert set().union(*documented_parameters().values()) == Parameters.__annotations__.keys()


@pytest.fixture
def verifier(tmp_path: Path) -> Path:
    """Return the verifier of the page as a program."""
    [code] = re.findall(r"```python\n(.*?)```", section("Verify a report"), re.DOTALL)
    program = tmp_path / "verifier.py"
    program.write_text(code, "utf-8")
    return program


def run(program: Path, report: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(program), str(report)], capture_output=True, text=True, check=False)


def sharded() -> Record:
    """Return a record of two shards, with names that need escapes."""
    shard = {"source": SIDE, "target": SIDE, "seconds": 0.25, "tenants": 3}
    compared = {**{name: value for name, value in COMPARED.items() if name not in ("source", "target")},
                "shards": {"eu1": shard, "us1": shard}, "keys_in_flux": 0, "seconds": 1e-07}
    history = History([observation(compared=compared)])
    return history.record(DAY, [row("müller & söhne <\u2028>"), row("acme")])


def test_verifier_accepts_a_sharded_report_and_one_whose_digest_was_computed_again(
    verifier: Path, tmp_path: Path
) -> None:
    """The digest alone does not protect against editing; docs/auditors.md says which checks do."""
    report = tmp_path / f"{DAY}.md"
    for record in (sharded(), forged(sharded(), streak_days=6)):
        report.write_bytes(render(record).encode())
        accepted = run(verifier, report)
        assert (accepted.returncode, accepted.stderr) == (0, "")


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.stem)
def test_verifier_accepts_report_and_rejects_edited_record(golden: Path, verifier: Path, tmp_path: Path) -> None:
    text = golden.read_text("utf-8")
    [day] = re.findall(r'"day":"([0-9-]+)","digest"', text.splitlines()[-1])
    report = tmp_path / f"{day}.md"
    shutil.copy(golden, report)
    accepted = run(verifier, report)
    assert accepted.returncode == 0, accepted.stderr
    report.write_text(text.replace('"streak_days":', '"streak_days":1'), "utf-8")
    assert "the record was edited" in run(verifier, report).stderr
    report.write_text(text.rsplit("\n", 2)[0], "utf-8")
    assert "no record" in run(verifier, report).stderr
