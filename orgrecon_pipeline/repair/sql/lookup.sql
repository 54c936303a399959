
            LEFT JOIN LATERAL (
                -- Of several nobody can say which is meant.
                SELECT {found} FROM (
                    SELECT {candidates}, count(*) AS orgrecon_candidates
                    FROM {table} AS l WHERE {conditions}{living}
                ) AS l WHERE l.orgrecon_candidates = 1
            ) AS {alias} ON true
