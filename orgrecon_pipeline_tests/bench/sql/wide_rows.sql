-- A kilobyte per row that is not compared.
CREATE TABLE source_rows (tenant_id text, id bigint, role text, filler text, PRIMARY KEY (tenant_id, id));
CREATE TABLE target_rows (LIKE source_rows INCLUDING ALL);

INSERT INTO source_rows
SELECT 'tenant-' || 1 + n %% %(tenants)s, n, 'member', repeat(md5(n::text), 32)
FROM generate_series(1, %(rows)s) AS n
ORDER BY {order};

INSERT INTO target_rows SELECT * FROM source_rows ORDER BY {order};
