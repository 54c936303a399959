CREATE TABLE persons (customer_id integer NOT NULL, person_id serial PRIMARY KEY, full_name text NOT NULL, email text,
                      born date, deleted boolean NOT NULL DEFAULT false, updated_at timestamptz DEFAULT now());
CREATE TABLE grps (customer_id integer NOT NULL, id integer NOT NULL, label text NOT NULL, PRIMARY KEY (customer_id, id));
INSERT INTO persons (customer_id, full_name, email, born, deleted)
SELECT n % 4, 'person ' || n, 'p' || n || '@example.com', date '1970-01-01' + n, n % 20 = 0 FROM generate_series(1, 80) AS n;
INSERT INTO grps SELECT n % 4, n, 'group ' || n FROM generate_series(1, 30) AS n;
