-- A unit that is named organisation, an old identifier of another type, a licence as the only common key, and marks that are
-- dates, also of the rows to which others refer.
CREATE TABLE club (id integer PRIMARY KEY, title text NOT NULL, founded date, archived_on date);
CREATE TABLE player (id integer PRIMARY KEY, club_id integer NOT NULL REFERENCES club, licence_no text NOT NULL UNIQUE,
                     first_name text NOT NULL, last_name text NOT NULL, born date);
CREATE TABLE roster (player_id integer NOT NULL REFERENCES player, season integer NOT NULL,
                     club_id integer NOT NULL REFERENCES club, shirt integer, PRIMARY KEY (player_id, season));
CREATE SCHEMA league;
CREATE TABLE league.organisation (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), ext_ref text NOT NULL,
                                  display_name text NOT NULL, since date);
CREATE TABLE league.athlete (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), license text NOT NULL UNIQUE,
                             full_name text NOT NULL, birth_date date);
CREATE TABLE league.squad_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, athlete_id uuid NOT NULL REFERENCES league.athlete,
    organisation_id uuid NOT NULL REFERENCES league.organisation, season smallint NOT NULL, number integer,
    UNIQUE (athlete_id, season));
INSERT INTO club SELECT n, 'Club ' || n, date '1950-01-01' + n * 97, CASE n % 13 WHEN 0 THEN date '2020-01-01' END
FROM generate_series(1, 45) AS n;
INSERT INTO player SELECT n, 1 + n * 7 % 45, 'L' || n * 31, 'first ' || n, 'last ' || n, date '1990-01-01' + n * 3
FROM generate_series(1, 100) AS n;
INSERT INTO roster SELECT id, season, club_id, 1 + id % 30 FROM player, generate_series(2025, 2026) AS season;
INSERT INTO league.organisation (ext_ref, display_name, since)
SELECT id::text, title, founded FROM club WHERE archived_on IS NULL;
INSERT INTO league.athlete (license, full_name, birth_date) SELECT licence_no, last_name || ', ' || first_name, born FROM player;
INSERT INTO league.squad_entry (athlete_id, organisation_id, season, number)
SELECT a.id, o.id, r.season, r.shirt FROM roster AS r JOIN player AS p ON p.id = r.player_id
JOIN league.athlete AS a ON a.license = p.licence_no JOIN league.organisation AS o ON o.ext_ref = r.club_id::text;
