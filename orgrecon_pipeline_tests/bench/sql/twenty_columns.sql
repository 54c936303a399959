CREATE TABLE source_rows (
    tenant_id text, id bigint, role text, name text, email text, note text, phone text,
    level integer, seats integer, points bigint, rank smallint, limit_bytes bigint,
    created_at timestamptz, changed_at timestamptz, seen_at timestamp, born_on date,
    price numeric(12, 2), share double precision, active boolean, settings jsonb, owner uuid, tags text[],
    PRIMARY KEY (tenant_id, id)
);
CREATE TABLE target_rows (LIKE source_rows INCLUDING ALL);

INSERT INTO source_rows
SELECT
    'tenant-' || 1 + n %% %(tenants)s, n, 'member', 'name ' || n, n || '@example.com',
    CASE WHEN n %% 3 = 0 THEN 'note ' || n END, CASE WHEN n %% 2 = 0 THEN '+49 30 ' || n END,
    n %% 9, n %% 100, n * 17, n %% 5, n * 1024,
    TIMESTAMPTZ '2026-01-01 00:00Z' + n * INTERVAL '1 second', TIMESTAMPTZ '2026-06-01 00:00Z' + n * INTERVAL '1 ms',
    CASE WHEN n %% 4 = 0 THEN TIMESTAMP '2026-06-01' + n * INTERVAL '1 s' END, DATE '1990-01-01' + n %% 9000,
    n / 100.0, n / 7.0, n %% 2 = 0, jsonb_build_object('theme', 'dark', 'rows', n %% 50), md5(n::text)::uuid, ARRAY['a', 'b' || n %% 5]
FROM generate_series(1, %(rows)s) AS n
ORDER BY {order};

INSERT INTO target_rows SELECT * FROM source_rows ORDER BY {order};
