#!/usr/bin/env bash
# Write today's baseline report and open a pull request with it. The daily workflow runs this script.
#
#   1. If the main branch or a pull request already has today's report, do nothing and exit 0.
#   2. Write the report. If orgrecon fails, exit with its code and push nothing.
#   3. If the report did not change, do nothing and exit 0.
#   4. Push one branch with one commit and open one pull request. If an earlier run pushed the branch but failed to
#      open the pull request, open it now.
#
# Requires gh and a git remote `origin` with push access. Run it at the root of a checkout of the main branch.
# ORGRECON: the command (default: orgrecon). REPORTS: the output directory. TODAY: the UTC day (for tests).
set -euo pipefail

reports="${REPORTS:-docs/runbooks/org-v23-reconciliation-reports}"
today="${TODAY:-$(date -u +%F)}"
base="$(git symbolic-ref --short HEAD)"
branch="reports/org-v23-$today"
title="Report of $today: Org Model v2.3 reconciliation"
read -ra orgrecon <<<"${ORGRECON:-orgrecon}"

say() { echo "org-v23-reconcile-report: $*"; }

# Count closed pull requests too: if a person closed it, do not open another.
pull_requests() { gh pr list --head "$branch" --state all --json number --jq length; }

open_pull_request() {
    gh pr create --base "$base" --head "$branch" --title "$title" --body \
        "The daily baseline report of $today (UTC), written by the workflow org-v23-reconcile-report.

Merge it to keep the audit trail in $reports complete. To check the trail, run \`orgrecon verify $reports\`."
    say "opened a pull request for $today"
}

if git cat-file -e "HEAD:$reports/$today.md" 2>/dev/null; then
    say "$base already has the report of $today: nothing to do"
    exit 0
fi

if git ls-remote --exit-code --heads origin "$branch" >/dev/null; then
    # Not inside the condition: if gh fails, the run must fail instead of assuming that there is no pull request.
    known="$(pull_requests)"
    if [[ "$known" == 0 ]]; then
        open_pull_request
    else
        say "the report of $today already has a pull request: nothing to do"
    fi
    exit 0
fi

"${orgrecon[@]}" report --baseline --output-dir "$reports"

if [[ -z "$(git status --porcelain --untracked-files=all -- "$reports")" ]]; then
    say "no new report: nothing to do"
    exit 0
fi

git switch --quiet --create "$branch"
git add -- "$reports"
git commit --quiet --message "$title" -- "$reports"
git push --quiet origin "$branch"
open_pull_request
