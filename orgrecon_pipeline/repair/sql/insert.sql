        WITH absent AS MATERIALIZED (
            SELECT s.*, count(*) OVER (PARTITION BY {key_of_s}) AS orgrecon_copies
            FROM {source} AS s
            WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {same_key})
        ), wanted AS MATERIALIZED (
            SELECT {values}, {resolved} AS orgrecon_resolved
            FROM absent AS s{lookups}
            WHERE s.orgrecon_copies = 1
        ), changed AS (
            INSERT INTO {table} ({written})
            SELECT {written_values} FROM wanted WHERE orgrecon_resolved
            ON CONFLICT DO NOTHING
            RETURNING 1
        )
