"""Everything that touches Iceberg: the catalog, tables, exactly-once appends, publishing and upkeep."""
