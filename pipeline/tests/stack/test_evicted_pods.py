"""A pod that its node evicted, whose program ended well, says nothing of it: an event does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from floe_stack.checks.pods import services
from floe_stack.stack import Stack

FULL = "Pod ephemeral local storage usage exceeds the total limit of containers 5Gi. "


def stack_of(pod: dict[str, Any], events: list[dict[str, Any]]) -> Stack:
    """One pod and the events of the namespace, as Kubernetes lists them."""
    found = {"pods": [pod], "events": events}
    return cast("Stack", SimpleNamespace(kubectl=SimpleNamespace(items=lambda kind, *_: found[kind])))


@pytest.mark.parametrize(
    ("events", "why"),
    [([{"message": FULL}], FULL), ([], "its node ended it")],
    ids=["event", "event forgotten"],
)
def test_a_pod_that_ended_well_is_told_as_evicted(events: list[dict[str, Any]], why: str) -> None:
    pod = {"metadata": {"name": "minio-6c5f-aaaaa"}, "status": {"phase": "Succeeded"}}
    (found,) = services(stack_of(pod, events))
    assert (found["status"]["reason"], found["status"]["message"]) == ("Evicted", why)


@pytest.mark.parametrize(
    "pod",
    [
        {"metadata": {"name": "minio-6c5f-aaaaa"}, "status": {"phase": "Running"}},
        {"metadata": {"name": "a", "deletionTimestamp": "now"}, "status": {"phase": "Succeeded"}},
        {"metadata": {"name": "a"}, "status": {"phase": "Failed", "reason": "Evicted", "message": FULL}},
    ],
    ids=["running", "deleted", "failed"],
)
def test_any_other_pod_is_told_as_it_is(pod: dict[str, Any]) -> None:
    before = dict(pod["status"])
    (found,) = services(stack_of(pod, [{"message": "another"}]))
    assert found["status"] == before


def test_a_job_is_left_out() -> None:
    owner = {"ownerReferences": [{"kind": "Job"}]}
    pod = {"metadata": {"name": "floe-bootstrap", **owner}, "status": {"phase": "Succeeded"}}
    assert services(stack_of(pod, [])) == []
