#!/bin/sh
# Create the cluster that the variables POSTGRES_* describe, unless it exists, and run the server.
set -eu
data=/var/lib/postgresql/data/cluster
if [ ! -e "$data" ]; then
    new="$data.new"
    rm -rf "$new"
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb -D "$new" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust \
        --encoding=UTF8 --no-locale >/dev/null
    echo "host all all all scram-sha-256" >> "$new/pg_hba.conf"
    pg_ctl -D "$new" -w -o "-c listen_addresses=''" start >/dev/null
    createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$script"
    done
    pg_ctl -D "$new" -w stop >/dev/null
    mv "$new" "$data"
fi
exec postgres -D "$data" -c "listen_addresses=*"
