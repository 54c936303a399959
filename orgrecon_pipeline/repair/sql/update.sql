        WITH differing AS MATERIALIZED (
            SELECT t.orgrecon_row, t.orgrecon_part, s.*
            FROM {target} AS t
            JOIN {source} AS s ON {same_key}
            WHERE NOT (true{same_values})
        ), single AS (
            SELECT {key_of_s}
            FROM {source} AS s
            JOIN (SELECT DISTINCT {key} FROM differing) AS t ON {same_key}
            GROUP BY {key_of_s} HAVING count(*) = 1
        ), wanted AS MATERIALIZED (
            SELECT s.orgrecon_row, s.orgrecon_part, {key_of_s}, {values}, {resolved} AS orgrecon_resolved
            FROM differing AS s
            JOIN single AS t ON {same_key}{lookups}
        ), changed AS (
            UPDATE {table} AS h SET {assignments}
            FROM wanted AS d
            WHERE d.orgrecon_resolved AND h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{joined_once}
            RETURNING {key_of_d}
        )
