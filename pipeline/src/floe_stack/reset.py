"""`floe stack reset-data`: the lake begins anew, seeded by the sensor as on the first day."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from minio import Minio
from minio.deleteobjects import DeleteObject

from floe_stack.checks.lake import place_of, vended
from floe_stack.cube import COUNT
from floe_stack.dagster import SEED_JOB, SUCCESS
from floe_stack.errors import StackError
from floe_stack.patience import until
from floe_stack.stack import Stack

SEED_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Reset:
    """What was removed, and how long it took until Cube answered again."""

    tables: list[str]
    objects: int
    run: str
    orders: int
    seconds: float


def reset_data(stack: Stack) -> Reset:
    """Drop every table, remove its files, and wait until the seed is in Cube.

    Files go by the keys that the catalog vends with their table, and by name: the seed's new files come into
    the same folders.

    Raises:
        StackError: A run does not end, a file cannot be removed, or no seed comes.
    """
    stack.say("waiting until no run is under way")
    stack.dagster.wait_quiet()
    before = {run.id for run in stack.dagster.runs(SEED_JOB)}
    lake = stack.lake()
    tables = lake.tables()
    files: list[tuple[Minio, str, list[str]]] = []
    for table in tables.values():
        bucket, prefix = place_of(table.location())
        client = vended(stack, table)
        found = client.list_objects(bucket, prefix=prefix, recursive=True)
        files.append((client, bucket, [each.object_name for each in found if each.object_name]))
    began = time.monotonic()
    # Marts first, orders before what they refer to: whoever reads meanwhile sees less, never something wrong.
    for name in sorted(tables, key=lambda name: (not name.startswith("gold."), name != "bronze.orders")):
        stack.say(f"dropping {name}")
        lake.lake.catalog.drop_table(name)
    removed = sum(_remove(*each) for each in files)
    run, orders = _wait_for_seed(stack, before)
    return Reset(sorted(tables), removed, run, orders, time.monotonic() - began)


def _remove(client: Minio, bucket: str, names: list[str]) -> int:
    failed = list(client.remove_objects(bucket, [DeleteObject(name) for name in names]))
    if failed:
        raise StackError(
            f"{len(failed)} files stay in MinIO, for example {failed[0].name}: {failed[0].message}"
        )
    return len(names)


def _wait_for_seed(stack: Stack, before: set[str]) -> tuple[str, int]:
    """The run that seeded, and the orders that Cube then counted."""

    def look() -> tuple[str, int] | None:
        seed = next((run for run in stack.dagster.runs(SEED_JOB) if run.id not in before), None)
        if seed is None:
            stack.say("waiting for the sensor to see that the tables are empty")
        elif seed.status == SUCCESS:
            wanted, counted = stack.dagster.run(seed.id).rows("gold.orders"), _counted(stack)
            if counted is not None and counted >= wanted:
                return seed.id, counted
            stack.say("waiting for Cube")
        elif seed.ended:
            raise StackError(f"the seed ended as {seed.status}: {stack.dagster.url}/runs/{seed.id} shows why")
        else:
            stack.say(f"seeding: run {seed.id} is {seed.status.lower()}")
        return None

    seeded = until(look, bool, seconds=SEED_SECONDS, every=0.3)
    if seeded is None:
        raise StackError(f"no seed within {SEED_SECONDS:.0f} s: `make status` shows what waits")
    return seeded


def _counted(stack: Stack) -> int | None:
    """Orders that Cube counts; None while it finds no table, which it keeps for seconds."""
    try:
        return stack.cube.number(COUNT)
    except StackError:
        return None
