-- Dagster's database, beside the ledger's, in deploy/compose.yaml.
CREATE DATABASE dagster;
