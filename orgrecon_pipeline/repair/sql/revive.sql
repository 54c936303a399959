        WITH wanted AS (
            SELECT {key} FROM {source} AS s
            WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {same_key})
            GROUP BY {key} HAVING count(*) = 1
        ), chosen AS (
            -- The row that was marked as deleted last comes back, with what refers to it.
            SELECT DISTINCT ON ({key_of_t}) t.*
            FROM {dead} AS t JOIN wanted AS s ON {same_key}
            ORDER BY {key_of_t}, t.orgrecon_references DESC, t.orgrecon_deleted DESC, t.orgrecon_part, t.orgrecon_row
        ), changed AS (
            UPDATE {table} AS h SET {deleted} = NULL
            FROM chosen AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{unshared}
            RETURNING {key_of_d}
        )
