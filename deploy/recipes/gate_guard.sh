#!/bin/sh
# Guard of a feature flag: gate_guard.sh [TENANT] exits with 0 only while the gate of the right migration is OPEN.
set -eu
migration=org-v23 environment=prod
url="${ORGRECON_GATE_URL:?set it to the address of the gate, such as http://orgrecon-exporter.orgrecon:9464/gate}"
[ "$#" -eq 0 ] || url="$url/tenants/$(printf %s "$1" | jq --raw-input --slurp --raw-output @uri)"
# The token is sent through standard input, because every user of the machine can read the arguments of a program.
answer="$(printf 'Authorization: Bearer %s\n' "${ORGRECON_GATE_TOKEN-}" |
    curl --silent --max-time 5 --header @- --write-out '\n%{http_code}' "$url")" || exit 1
# Compare what jq prints, because some versions exit with 0 if there is no input.
[ "$(printf %s "$answer" | jq --slurp --arg migration "$migration" --arg environment "$environment" --arg tenant "${1-}" '
    .[1] == 200 and (.[0] | .state == "OPEN" and .migration == $migration and .environment == $environment
        and ($tenant == "" or .tenant == $tenant))' 2>/dev/null)" = true ]
