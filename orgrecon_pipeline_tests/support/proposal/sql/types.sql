CREATE TYPE code AS ENUM ('a', 'b', 'c', 'd');
CREATE TABLE items (tenant_id uuid NOT NULL, id integer NOT NULL, amount numeric NOT NULL, active boolean, code code,
                    at date, doc json, tags integer, PRIMARY KEY (tenant_id, id));
CREATE TABLE items_v2 (tenant_id text NOT NULL, id bigint NOT NULL, amount numeric(12, 2) NOT NULL, active integer,
                       code text, at timestamptz, doc json, tags text[], PRIMARY KEY (tenant_id, id));
INSERT INTO items SELECT ('00000000-0000-0000-0000-00000000000' || n % 3)::uuid, n, n / 4.0, n % 2 = 0,
                         (ARRAY['a', 'b', 'c', 'd'])[1 + n % 4]::code, date '2026-01-01' + n, '{"a": 1}', n
FROM generate_series(1, 60) AS n;
INSERT INTO items_v2 SELECT tenant_id::text, id, amount, active::integer, code::text, at::timestamp AT TIME ZONE 'UTC',
                            doc, ARRAY[tags::text] FROM items;
