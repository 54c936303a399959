CREATE TEMPORARY VIEW {deleted_rows} AS
{select_deleted};
