#!/usr/bin/env bash
# Write today's baseline report, and keep one pull request with all reports that are not merged yet. The daily workflow
# runs this script.
#
#   1. Start from the main branch, and add the unmerged reports of the rolling branch. `orgrecon sync` never replaces a
#      report of the main branch with a weaker one.
#   2. Write the report, which also renders outdated reports again. If orgrecon fails, exit with its code and push
#      nothing. Copy what it wrote to WRITTEN, so that the workflow can attest it.
#   3. Push the reports that differ from the main branch to the rolling branch, as one commit on top of the main branch.
#      If another run pushed in the meantime, start again.
#   4. Open a pull request, unless one is open or a person closed it with this very commit.
#   5. Exit with 1 if `orgrecon verify` finds an unsound report, or if a report of the rolling branch was refused.
#
# If a pull request is closed without a merge, the next one contains its reports too. To drop them, delete the branch.
# Requires gh and a git remote `origin` with push access. Run it at the root of a checkout of the main branch.
#
# ORGRECON: the command (default: orgrecon). REPORTS: the output directory. BRANCH: the rolling branch. TODAY: the UTC
# day (for tests). WRITTEN: an empty directory for copies of the reports that this run wrote (default: no copies).
set -euo pipefail

reports="${REPORTS:-docs/runbooks/org-v23-reconciliation-reports}"
branch="${BRANCH:-orgrecon/reports}"
today="${TODAY:-$(date -u +%F)}"
base="$(git symbolic-ref --short HEAD)"
read -ra orgrecon <<<"${ORGRECON:-orgrecon}"
most_attempts=5

work="$(mktemp -d)"
tree="$work/tree"
trap 'git worktree remove --force "$tree" 2>/dev/null; rm -rf "$work"' EXIT

say() { echo "org-v23-reconcile-report: $*"; }

# Print the commit of a branch on the remote after fetching it; nothing if there is no such branch. A shallow checkout
# stays shallow.
fetch() {
    local depth=()
    [[ "$(git rev-parse --is-shallow-repository)" == false ]] || depth=(--depth=1)
    [[ -n "$(git ls-remote origin "refs/heads/$1")" ]] || return 0
    git fetch --quiet "${depth[@]}" origin "refs/heads/$1"
    git rev-parse FETCH_HEAD
}

# Add the reports of a commit to the tree. Those that sync refuses are copied only where there is no report yet.
add_reports_of() {
    mkdir "$work/unmerged"
    git archive "$1" "$reports" | tar -x -C "$work/unmerged"
    compgen -G "$work/unmerged/$reports/2*.md" >/dev/null || return 0
    local code=0 report
    "${orgrecon[@]}" sync "$work/unmerged/$reports" "$tree/$reports" || code=$?
    ((code <= 1)) || exit "$code"
    refused=$code
    for report in "$work/unmerged/$reports"/2*.md; do
        [[ -e "$tree/$reports/${report##*/}" ]] || cp "$report"* "$tree/$reports" # and its signature
    done
}

# Copy the reports that differ from the index to WRITTEN.
copy_written() {
    [[ -n "${WRITTEN:-}" ]] || return 0
    rm -rf "${WRITTEN:?}"/*
    git -C "$tree" ls-files -z --others --modified --exclude-standard -- "$reports/2*.md" \
        | (cd "$tree" && xargs -0 -r cp -t "$WRITTEN")
}

has_pull_request() {
    # Not in a pipe: if gh fails, the run must fail instead of assuming that there is no pull request.
    local known
    known="$(gh pr list --head "$branch" --state all --limit 100 --json state,headRefOid,isCrossRepository \
        --jq '.[] | select(.isCrossRepository | not) | "\(.state) \(.headRefOid)"')" || exit
    grep -qE "^OPEN | $1$" <<<"$known"
}

open_pull_request() {
    gh pr create --base "$base" --head "$branch" --title "Reports of the Org Model v2.3 reconciliation" --body \
        "The daily baseline reports that are not merged yet, written by the workflow org-v23-reconcile-report. The workflow
adds each new day to this pull request until it is merged, and rewrites its branch: do not push to it.

Merge it to keep the audit trail in $reports complete. To check the trail, run \`orgrecon verify $reports\`."
}

for ((attempt = 1; ; attempt++)); do
    refused=0
    git worktree remove --force "$tree" 2>/dev/null || true
    rm -rf "${work:?}"/*
    main="$(fetch "$base")"
    git worktree add --quiet --detach "$tree" "$main"
    mkdir -p "$tree/$reports"
    head="$(fetch "$branch")"
    if [[ -n "$head" ]] && git cat-file -e "$head:$reports" 2>/dev/null; then
        add_reports_of "$head"
    fi

    git -C "$tree" add --all -- "$reports"
    ORGRECON_LEDGER_URL="sqlite:///$work/ledger.db" \
        "${orgrecon[@]}" report --baseline --date "$today" --output-dir "$tree/$reports"
    copy_written

    git -C "$tree" add --all -- "$reports"
    if git -C "$tree" diff --cached --quiet; then
        say "$base already has every report: nothing to do"
        break
    fi
    if [[ -n "$head" ]] && git -C "$tree" diff --cached --quiet "$head" -- "$reports"; then
        say "$branch already has every report"
    else
        git -C "$tree" commit --quiet --message "Reports up to $today"
        if ! git -C "$tree" push --quiet --force-with-lease="refs/heads/$branch:$head" origin "HEAD:refs/heads/$branch"; then
            ((attempt < most_attempts)) || { say "cannot push to $branch: see the message of git above" >&2; exit 1; }
            say "$branch has changed: starting again"
            continue
        fi
        head="$(git -C "$tree" rev-parse HEAD)"
    fi
    if has_pull_request "$head"; then
        say "the reports of $branch already have a pull request"
    elif open_pull_request || has_pull_request "$head"; then # another run may have opened it just now
        say "the reports up to $today have a pull request"
    else
        exit 1
    fi
    break
done

"${orgrecon[@]}" verify "$tree/$reports"
if ((refused)); then
    say "sync refused a report of $branch, see above: find out who changed it" >&2
    exit 1
fi
