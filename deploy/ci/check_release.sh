#!/usr/bin/env bash
# Check that a tag can be released: it names the version of the code, its commit is on the main branch, the changelog has a
# date for it, and the project URLs are real. Exit with 1 and one line if not.
#
# check_release.sh TAG MAIN_BRANCH, at the root of a checkout of the tag with its history.
set -euo pipefail
tag="${1:?usage: check_release.sh TAG MAIN_BRANCH}"
main="${2:?usage: check_release.sh TAG MAIN_BRANCH}"

refuse() { echo "check_release.sh: $*" >&2; exit 1; }

version="$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' orgrecon_pipeline/version.py)"
[[ "$tag" == "v$version" ]] || refuse "the tag is $tag, but the version is $version: tag v$version, or set the version"
git merge-base --is-ancestor HEAD "$main" || refuse "the commit of $tag is not on $main: merge it first"
grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md \
    || refuse "CHANGELOG.md has no date for $version: replace (unreleased) by - and the date"
! grep -q "github.com/you/" pyproject.toml || refuse "pyproject.toml names the placeholder you: set the owner of the repository"
