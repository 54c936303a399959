        WITH wanted AS (
            SELECT {key} FROM {source} AS s
            WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {same_key})
            GROUP BY {key} HAVING count(*) = 1
        ), selected AS (
            -- Undelete the row that other rows refer to; otherwise the one that was deleted last.
            SELECT DISTINCT ON ({key_of_t}) t.*
            FROM {deleted_rows} AS t JOIN wanted AS s ON {same_key}
            ORDER BY {key_of_t}, t.orgrecon_references DESC, t.orgrecon_deleted DESC, t.orgrecon_part, t.orgrecon_row
        ), changed AS (
            UPDATE {table} AS h SET {deleted} = NULL
            FROM selected AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{joined_once}
            RETURNING {key_of_d}
        )
