CREATE TEMPORARY VIEW {dead} AS
{dead_rows};
