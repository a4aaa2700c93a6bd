"""What Dagster loads: `-m floe_pipeline.definitions`."""

import dagster as dg

from floe_pipeline.defs.assets import bronze, marts, whole_tables
from floe_pipeline.defs.automation import (
    check_tables_job,
    check_tables_schedule,
    empty_tables_sensor,
    generate_orders_job,
    generate_orders_schedule,
    maintenance_job,
    maintenance_schedule,
    seed_job,
)

# Steps of a run share its process: one trace, one lake connection, and nothing is imported twice.
defs = dg.Definitions(
    assets=[bronze, marts],
    asset_checks=[whole_tables],
    jobs=[seed_job, generate_orders_job, maintenance_job, check_tables_job],
    sensors=[empty_tables_sensor],
    schedules=[generate_orders_schedule, maintenance_schedule, check_tables_schedule],
    executor=dg.in_process_executor,
)
