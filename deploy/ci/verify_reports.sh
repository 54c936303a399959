#!/usr/bin/env bash
# Verify the committed reports; exit with 1 if one is unsound. A repository that has no report yet passes.
#
# ORGRECON: the command (default: orgrecon). REPORTS: the directory of the reports.
set -euo pipefail

reports="${REPORTS:-docs/runbooks/org-v23-reconciliation-reports}"
read -ra orgrecon <<<"${ORGRECON:-orgrecon}"

if ! compgen -G "$reports/2*.md" >/dev/null; then
    echo "$reports has no report yet: nothing to verify"
    exit 0
fi
exec "${orgrecon[@]}" verify "$reports"
