
-- {entity}: the rows of both sides for the tenants of this batch. Rows of the target carry their physical address.
CREATE TEMPORARY VIEW {source} AS
{select_source};
CREATE TEMPORARY VIEW {target} AS
{select_target};
