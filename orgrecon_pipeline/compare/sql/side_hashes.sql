-- The hashes of one side, computed below the join: it then joins narrow rows.
SELECT r.tenant_id, {key_hash} AS key_hash, {row_hash} AS row_hash {extra} FROM ({side}) AS r
{selection}
{no_rows}
