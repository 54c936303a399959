        , changed AS (
            UPDATE {table} AS h SET {deleted} = now()
            FROM doomed AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{unshared}
              AND h.{deleted} IS NULL
            RETURNING {key_of_d}
        )
