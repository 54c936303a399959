CREATE SCHEMA crm;
CREATE TABLE crm.people (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer_id bigint NOT NULL, old_person_id bigint,
                         full_name text NOT NULL, email_address text, born date, removed_at timestamptz,
                         updated_at timestamptz DEFAULT now());
CREATE TABLE crm.groups (customer_id bigint NOT NULL, id bigint NOT NULL, label text NOT NULL, color text,
                         PRIMARY KEY (customer_id, id));
INSERT INTO crm.people (customer_id, old_person_id, full_name, email_address, born, removed_at)
SELECT n % 4, n, 'person ' || n, 'p' || n || '@example.com', date '1970-01-01' + n, CASE WHEN n % 20 = 0 THEN now() END
FROM generate_series(1, 80) AS n;
INSERT INTO crm.groups SELECT n % 4, n, 'group ' || n FROM generate_series(1, 30) AS n;
