        WITH single AS (
            SELECT {key} FROM {source} AS s GROUP BY {key} HAVING count(*) = 1
        ), changed AS (
            INSERT INTO {table} ({written})
            SELECT {values}
            FROM {source} AS s JOIN single AS t ON {same_key}{lookups}
            WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {same_key}){resolved}
            ON CONFLICT DO NOTHING
            RETURNING 1
        )
