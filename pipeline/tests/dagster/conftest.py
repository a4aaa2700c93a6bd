"""A lake in the environment, where the definitions look for it, and an instance of Dagster's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from floe_pipeline.definitions import defs
from floe_pipeline.lake.bootstrap import bootstrap
from floe_pipeline.lake.catalog import Lake, TableTotals
from floe_pipeline.lake.tables import BRONZE, GOLD
from floe_pipeline.settings import Settings
from floe_pipeline.transform import runner

SIZES = {
    "seed_orders": 300,
    "seed_customers": 40,
    "seed_products": 15,
    "cycle_orders": 20,
    "cycle_customers": 2,
}


@dataclass
class Platform:
    """A bootstrapped lake that the process' FLOE_* variables name, and a Dagster instance of its own."""

    settings: Settings
    instance: dg.DagsterInstance
    results: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake.connect(self.settings)

    def run(self, job: str, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        """Run a job in this process; a failed run is returned, not raised."""
        result = defs.resolve_job_def(job).execute_in_process(
            run_config=config or {}, instance=self.instance, raise_on_error=False
        )
        self.results.append(result)
        return result

    def totals(self) -> dict[str, TableTotals]:
        """Rows and cents of every table, counted by DuckDB."""
        return self.lake.table_totals((*BRONZE, *GOLD))

    def rows(self, identifier: str) -> int:
        return self.totals()[identifier].rows


def _platform(
    settings: Settings,
    patch: pytest.MonkeyPatch,
    instances: Callable[[], AbstractContextManager[dg.DagsterInstance]],
) -> Iterator[Platform]:
    bootstrap(settings)
    for name, value in settings.environment().items():
        patch.setenv(name, value)
    with instances() as instance:
        yield Platform(settings, instance)
    runner._disconnect()


@pytest.fixture
def platform(make_settings: Callable[..., Settings]) -> Iterator[Platform]:
    """A platform of the test's own, whose tables do not exist yet."""
    with pytest.MonkeyPatch.context() as patch:
        yield from _platform(make_settings(traces="file", **SIZES), patch, dg.instance_for_test)


@pytest.fixture(scope="module")
def seeded(make_settings: Callable[..., Settings]) -> Iterator[Platform]:
    """A platform on which `seed_job` has run; shared by a module, so tests compare before and after."""
    with pytest.MonkeyPatch.context() as patch:
        settings = make_settings(traces="file", traces_url="http://jaeger.example:16686", **SIZES)
        for platform in _platform(settings, patch, dg.DagsterInstance.ephemeral):
            assert platform.run("seed_job").success
            yield platform
