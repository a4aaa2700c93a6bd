"""What the tests and their processes do to a lake: write, maintain, and die at a chosen moment."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.catalog.rest import RestCatalog

from floe_pipeline.lake import engine
from floe_pipeline.lake.append import AppendResult, append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.maintain import maintain
from floe_pipeline.settings import Settings

OPENING = datetime(2024, 1, 1, tzinfo=UTC)
NOW = OPENING + timedelta(days=365)
SEED_BATCH: dict[str, Any] = {
    "batch_id": "seed",
    "seed": 42,
    "orders": 200,
    "customers": 50,
    "products": 20,
    "until": NOW,
    "start": OPENING,
}


def append_seed(lake: Lake) -> AppendResult:
    return append_batch(lake, **SEED_BATCH)


def append_cycle(lake: Lake, number: int, batch_id: str | None = None) -> AppendResult:
    """Append the batch of the `number`-th five minutes after the seed."""
    return append_batch(
        lake,
        batch_id=batch_id or f"cycle-{number}",
        seed=42,
        orders=20,
        customers=2,
        until=NOW + timedelta(minutes=5 * number),
    )


def die_at(commit: int, moment: str) -> None:
    """Kill this process at its `commit`-th commit (from 1), `before` or `after` the catalog has taken it."""
    original, count = RestCatalog.commit_table, 0

    def commit_table(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count == commit and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = original(*args, **kwargs)
        if count == commit:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    RestCatalog.commit_table = commit_table  # type: ignore[method-assign]


def append_and_die(settings: Settings, batch: dict[str, Any], commit: int, moment: str) -> None:
    lake = Lake.connect(settings)
    die_at(commit, moment)
    append_batch(lake, **batch)


def append_many(settings: Settings, name: str, batches: int) -> None:
    """Append batches like a schedule that ticks each minute, as fast as possible."""
    lake = Lake.connect(settings)
    for number in range(batches):
        append_batch(
            lake,
            batch_id=f"{name}-{number}",
            seed=42,
            orders=10,
            customers=2,
            until=NOW + timedelta(minutes=number),
        )


def maintain_many(settings: Settings, times: int) -> None:
    lake = Lake.connect(settings)
    for _ in range(times):
        maintain(lake, settings)


def install_extensions(settings: Settings) -> None:
    engine.connect(settings).execute("SHOW ALL TABLES").fetchall()
