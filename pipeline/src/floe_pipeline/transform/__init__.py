"""dbt in this process: build the marts from bronze, publish them, tell lineage."""
