"""E2: a bootstrap that fails is tried again, then shown; what stands on it waits, and heals by itself."""

from __future__ import annotations

import re
import time

from floe_stack.stack import Stack

from .conftest import Record
from .deploys import play
from .faults import away, eventually, healed, is_ready, restarts

PROMISE = 60
TRIES = 4  # once, and three times again


def test_a_bootstrap_that_fails_is_shown_and_heals(stack: Stack, record: Record) -> None:
    before = {part: restarts(stack, part) for part in ("cube", "dagster-daemon", "dagster-webserver")}
    with away(stack, "polaris"):
        played = play("--tags", "polaris_bootstrap", "-e", "floe_bootstrap_rerun=true")
        tries = stack.kubectl.items("pods", "--selector=job-name=floe-bootstrap")
        eventually(lambda: not is_ready(stack, "cube"))
    assert played.returncode != 0
    assert [each["status"]["phase"] for each in tries] == ["Failed"] * TRIES
    said = re.search(r"http://polaris-mgmt:8182/q/health/ready did not answer[^\n]*", played.stdout)
    assert said, played.stdout
    assert "docs/troubleshooting.md#the-bootstrap-job-failed" in played.stdout
    played = play("--tags", "polaris_bootstrap")
    began = time.monotonic()
    assert played.returncode == 0, played.stdout
    proof = healed(stack, began)
    assert {part: restarts(stack, part) for part in before} == before
    record("E2 bootstrap", "The bootstrap fails four times", promise=PROMISE, user_sees=said[0], **proof)
