CREATE TABLE source_rows (tenant_id text, path text, email text, role text, PRIMARY KEY (tenant_id, path, email));
CREATE TABLE target_rows (LIKE source_rows INCLUDING ALL);

INSERT INTO source_rows
SELECT 'tenant-' || 1 + n %% %(tenants)s, 'emea/germany/office ' || n %% 50, md5(n::text) || '@example.com', 'member'
FROM generate_series(1, %(rows)s) AS n
ORDER BY {order};

INSERT INTO target_rows SELECT * FROM source_rows ORDER BY {order};
