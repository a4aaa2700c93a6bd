"""What Dagster loads: `-m floe_pipeline.definitions`."""

import dagster as dg

from floe_pipeline.defs.assets import bronze, marts, specs, whole_tables
from floe_pipeline.defs.automation import (
    check_tables_job,
    check_tables_schedule,
    dead_runs_sensor,
    empty_tables_sensor,
    generate_orders_job,
    generate_orders_schedule,
    maintenance_job,
    maintenance_schedule,
    seed_job,
)
from floe_pipeline.defs.executor import telling_executor

defs = dg.Definitions(
    assets=[bronze, marts, *specs.exposures],
    asset_checks=[whole_tables],
    jobs=[seed_job, generate_orders_job, maintenance_job, check_tables_job],
    sensors=[empty_tables_sensor, dead_runs_sensor],
    schedules=[generate_orders_schedule, maintenance_schedule, check_tables_schedule],
    executor=telling_executor,
)
