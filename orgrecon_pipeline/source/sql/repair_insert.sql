        WITH absent AS MATERIALIZED (
            SELECT s.*, count(*) OVER (PARTITION BY {key_of_s}) AS orgrecon_copies
            FROM {source} AS s
            WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {same_key})
        ), changed AS (
            INSERT INTO {table} ({written})
            SELECT {values}
            FROM absent AS s{lookups}
            WHERE s.orgrecon_copies = 1{resolved}
            ON CONFLICT DO NOTHING
            RETURNING 1
        )
