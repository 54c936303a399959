        WITH selected AS (
            SELECT t.* FROM {target} AS t
            WHERE NOT EXISTS (SELECT FROM {source} AS s WHERE {same_key})
        )
