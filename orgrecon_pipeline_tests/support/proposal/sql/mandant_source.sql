-- German names, and tenants whose identifiers are others in the new database.
CREATE SCHEMA "Stamm";
CREATE TABLE "Stamm"."Mandant" ("mandantId" integer PRIMARY KEY, kuerzel text NOT NULL UNIQUE);
CREATE TABLE "Stamm"."Abteilung" (
    "abteilungNr" integer PRIMARY KEY, "mandantId" integer NOT NULL REFERENCES "Stamm"."Mandant", bezeichnung text NOT NULL,
    "uebergeordnetNr" integer REFERENCES "Stamm"."Abteilung", aktiv boolean NOT NULL);
CREATE TABLE "Stamm"."Mitarbeiter" ("personalNr" integer PRIMARY KEY, "mandantId" integer NOT NULL REFERENCES "Stamm"."Mandant",
                                    vorname text NOT NULL, nachname text NOT NULL);
CREATE TABLE "Stamm"."Zugehoerigkeit" (
    "mandantId" integer NOT NULL, "abteilungNr" integer NOT NULL REFERENCES "Stamm"."Abteilung", "personalNr" integer NOT NULL,
    rolle text NOT NULL, PRIMARY KEY ("mandantId", "abteilungNr", "personalNr")) PARTITION BY HASH ("mandantId");
CREATE TABLE "Stamm"."Zugehoerigkeit_0" PARTITION OF "Stamm"."Zugehoerigkeit" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Stamm"."Zugehoerigkeit_1" PARTITION OF "Stamm"."Zugehoerigkeit" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "Stamm"."Mandant" VALUES (11, 'nordsee'), (12, 'alpen'), (15, 'rhein');
INSERT INTO "Stamm"."Abteilung" SELECT 100 + n, (ARRAY[11, 12, 15])[1 + n % 3], 'Abteilung ' || n,
                                       CASE WHEN n > 3 THEN 101 + (n - 1) % 3 END, n % 10 > 0
FROM generate_series(1, 40) AS n;
INSERT INTO "Stamm"."Mitarbeiter" SELECT 5000 + n, (ARRAY[11, 12, 15])[1 + n % 3], 'vor ' || n, 'nach ' || n
FROM generate_series(1, 80) AS n;
INSERT INTO "Stamm"."Zugehoerigkeit"
SELECT m."mandantId", a."abteilungNr", m."personalNr", CASE m."personalNr" % 5 WHEN 0 THEN 'Leitung' ELSE 'Mitglied' END
FROM "Stamm"."Mitarbeiter" AS m JOIN "Stamm"."Abteilung" AS a USING ("mandantId")
WHERE a."abteilungNr" % 5 = m."personalNr" % 5;
