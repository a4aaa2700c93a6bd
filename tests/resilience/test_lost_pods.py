"""Any pod lost: new orders are in Cube again, to the cent, within a minute, and nobody touched anything."""

from __future__ import annotations

import pytest

from floe_stack.stack import Stack

from .conftest import Record
from .faults import healed, lose_pod

PROMISE, OURS = 60, 60


@pytest.mark.parametrize(
    "part",
    [
        "jaeger",
        "marquez",
        "marquez-web",
        "floe-keeper",
        "cube",
        "dagster-webserver",
        "dagster-daemon",
        "dagster-code",
        "polaris",
    ],
)
def test_a_pod_is_lost(stack: Stack, record: Record, part: str) -> None:
    """Without a grace period, as with a node that is gone."""
    began = lose_pod(stack, part, at_once=True)
    proof = healed(stack, began)
    record(f"B2 {part}", f"{part}: its pod is killed", promise=PROMISE, **proof)
