CREATE TABLE source_rows (
    tenant_id text, region text, day date, document bigint, line uuid, role text,
    PRIMARY KEY (tenant_id, region, day, document, line)
);
CREATE TABLE target_rows (LIKE source_rows INCLUDING ALL);

INSERT INTO source_rows
SELECT 'tenant-' || 1 + n %% %(tenants)s, 'region ' || n %% 7, DATE '2026-01-01' + n %% 365, n / 10, md5(n::text)::uuid, 'member'
FROM generate_series(1, %(rows)s) AS n
ORDER BY {order};

INSERT INTO target_rows SELECT * FROM source_rows ORDER BY {order};
