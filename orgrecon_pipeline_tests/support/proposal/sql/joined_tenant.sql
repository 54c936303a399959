CREATE TABLE accounts (id integer PRIMARY KEY, name text);
CREATE TABLE projects (id integer PRIMARY KEY, account_id integer NOT NULL REFERENCES accounts, title text NOT NULL);
CREATE TABLE tasks (id integer PRIMARY KEY, project_id integer NOT NULL REFERENCES projects, text text NOT NULL);
CREATE TABLE projects_v2 (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), legacy_id integer UNIQUE,
                          account_id integer NOT NULL REFERENCES accounts, title text NOT NULL);
CREATE TABLE tasks_v2 (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), legacy_id integer UNIQUE,
                       project_id uuid NOT NULL REFERENCES projects_v2, text text NOT NULL);
INSERT INTO accounts SELECT n, 'account ' || n FROM generate_series(1, 5) AS n;
INSERT INTO projects SELECT n, 1 + n % 5, 'project ' || n FROM generate_series(1, 40) AS n;
INSERT INTO tasks SELECT n, 1 + n % 40, 'task ' || n FROM generate_series(1, 150) AS n;
INSERT INTO projects_v2 (legacy_id, account_id, title) SELECT id, account_id, title FROM projects;
INSERT INTO tasks_v2 (legacy_id, project_id, text)
SELECT t.id, p.id, t.text FROM tasks t JOIN projects_v2 p ON p.legacy_id = t.project_id;
