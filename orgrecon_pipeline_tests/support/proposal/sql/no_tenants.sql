CREATE TABLE note (id integer PRIMARY KEY, body text NOT NULL);
CREATE TABLE note_v2 (id integer PRIMARY KEY, body text NOT NULL);
INSERT INTO note SELECT n, 'note ' || n FROM generate_series(1, 60) AS n;
INSERT INTO note_v2 TABLE note;
