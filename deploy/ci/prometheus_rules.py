"""Print deploy/alerts/*.yaml as one PrometheusRule, for clusters with the Prometheus Operator.

    python deploy/ci/prometheus_rules.py > deploy/exporter/prometheusrule.yaml
    python deploy/ci/prometheus_rules.py --repository https://git.example.org/you/orgrecon/blob/main > …

With --repository every runbook_url becomes an address that can be opened from an alert.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ALERTS = Path(__file__).parents[1] / "alerts"

HEAD = """\
# Made by deploy/ci/prometheus_rules.py from deploy/alerts: change those, and make this again.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: orgrecon
  namespace: orgrecon
  labels:
    app.kubernetes.io/name: orgrecon
spec:
  groups:
"""


def prometheus_rule(repository: str = "") -> str:
    """The manifest; comments and layout of the rule files are kept."""
    text = HEAD
    for file in sorted(ALERTS.glob("*.yaml")):
        groups = file.read_text(encoding="utf-8").split("\ngroups:\n", 1)[1]
        text += "".join(f"  {line}".rstrip() + "\n" for line in groups.splitlines())
    if repository:
        text = re.sub(r"(runbook_url: )", rf"\g<1>{repository.rstrip('/')}/", text)
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", default="", help="address that docs/runbooks/… is appended to")
    sys.stdout.write(prometheus_rule(parser.parse_args().repository))
