"""Script that draws the documentation's heat map: ``python -m orgrecon_pipeline_tests.support.report.history_picture``.

It shows a made-up history: baselines, then drift that is repaired step by step, and failed and missing days.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from orgrecon_pipeline.cli.history_command import heat_map_of
from orgrecon_pipeline.domain.days import midnight
from orgrecon_pipeline.domain.drift.kinds import Counts
from orgrecon_pipeline.domain.evidence import Provenance, Verdict
from orgrecon_pipeline.domain.gate.decision import DayEvidence
from orgrecon_pipeline.domain.identity import Identity
from orgrecon_pipeline.domain.mapping.model import GatePolicy
from orgrecon_pipeline.operations.gate.sources import GateEvidence
from orgrecon_pipeline.operations.history import history_of

PICTURE = Path(__file__).resolve().parents[3] / "docs" / "images" / "history.svg"

# One letter per day: b baseline, 1 to 5 FAIL with that many digits, P PASS, I INCONCLUSIVE, . MISSING.
_DAYS = "bbbbbbbbbbbb5555I54444444.4443333333I332222333222I22111P1P211..1PPP1PPPPI1PPPPPPPPPPPPPPIPPPPPPPPP1PPPPPPPPPP"
_LAST = date(2026, 11, 23)
_KEYS = (0, 4, 37, 210, 4_100, 18_300)


def picture() -> str:
    """Return the picture, drawn as the command does."""
    days = {}
    for back, letter in enumerate(reversed(_DAYS)):
        day, keys = _LAST - timedelta(days=back), _KEYS[int(letter)] if letter.isdigit() else 0
        verdict = Verdict.FAIL if keys else Verdict.INCONCLUSIVE if letter == "I" else Verdict.PASS
        provenance = Provenance.BASELINE if letter == "b" else Provenance.LIVE
        if letter != ".":
            days[day] = DayEvidence(day, verdict, provenance, "", True, counts=Counts.of({"missing": keys}))
    evidence = GateEvidence(Identity("org-v23", "prod"), None, {}, days, GatePolicy(), midnight(_LAST), None)
    return heat_map_of(history_of(evidence, None))


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
