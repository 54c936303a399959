
-- {entity}, of the tenants of this batch: what the source says, and what the target says, with where each row is.
CREATE TEMPORARY VIEW {source} AS
{source_rows};
CREATE TEMPORARY VIEW {target} AS
{target_rows};
