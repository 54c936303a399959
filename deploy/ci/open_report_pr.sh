#!/usr/bin/env bash
# Makes today's baseline report and opens one pull request with it: the whole work of the daily workflow.
#
#   1. today's report, or a pull request with it, is there already: says so and ends well
#   2. makes the report; any exit code other than 0 ends this with the same code and nothing pushed
#   3. nothing new: says so and ends well
#   4. one branch per day, one commit, one pull request. A branch that was pushed by a run that died before it
#      could open the pull request gets its pull request now.
#
# Needs git with an `origin` that can be pushed to, and gh. To be run at the root of a checkout of the main branch.
# ORGRECON: the command (default: orgrecon). REPORTS: the audit directory. TODAY: the UTC day, for tests.
set -euo pipefail

reports="${REPORTS:-docs/runbooks/org-v23-reconciliation-reports}"
today="${TODAY:-$(date -u +%F)}"
base="$(git symbolic-ref --short HEAD)"
branch="reports/org-v23-$today"
title="Report of $today: Org Model v2.3 reconciliation"
read -ra orgrecon <<<"${ORGRECON:-orgrecon}"

say() { echo "org-v23-reconcile-report: $*"; }

# Every pull request that this branch ever had: one that a person closed is not opened again.
pull_requests() { gh pr list --head "$branch" --state all --json number --jq length; }

open_pull_request() {
    gh pr create --base "$base" --head "$branch" --title "$title" --body \
        "The daily baseline report of $today (UTC), made by the workflow org-v23-reconcile-report.

Merging it keeps the audit trail in $reports without holes. \`orgrecon verify $reports\` checks it."
    say "opened a pull request for $today"
}

if git cat-file -e "HEAD:$reports/$today.md" 2>/dev/null; then
    say "the report of $today is on $base: nothing to do"
    exit 0
fi

if git ls-remote --exit-code --heads origin "$branch" >/dev/null; then
    # Not in the condition: a gh that fails must be a red run, not "no pull request".
    known="$(pull_requests)"
    if [[ "$known" == 0 ]]; then
        open_pull_request
    else
        say "the report of $today has its pull request: nothing to do"
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
