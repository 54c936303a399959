-- The database of Dagster, next to that of the ledger, in deploy/compose.yaml.
CREATE DATABASE dagster;
