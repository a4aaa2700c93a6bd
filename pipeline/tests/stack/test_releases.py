"""What Helm keeps in Secrets, read without Helm."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from floe_stack import releases
from floe_stack.checks.finding import Finding
from floe_stack.checks.releases import QUESTIONS
from floe_stack.connection import Connection
from floe_stack.kubectl import Kubectl
from floe_stack.stack import Stack, open_stack

from .conftest import Cluster


def kept(name: str, revision: int, status: str, **dependencies: str) -> dict[str, Any]:
    chart = {"metadata": {"dependencies": [{"name": n, "version": v} for n, v in dependencies.items()]}}
    packed = base64.b64encode(gzip.compress(json.dumps({"chart": chart}).encode()))
    return {
        "metadata": {"labels": {"name": name, "version": str(revision), "status": status, "owner": "helm"}},
        "data": {"release": base64.b64encode(packed).decode()},
    }


CHARTS = {"postgresql": "17.1.0", "minio": "5.4.0", "jaeger": "4.11.1"}
KEPT = [
    kept("floe-infrastructure", 10, "deployed", **CHARTS),
    kept("floe-infrastructure", 9, "superseded"),
    kept("floe-dagster", 1, "deployed"),
    kept("floe-cube", 2, "failed"),
    kept("floe-cube", 1, "deployed"),
]


def write(cluster: Cluster, kind: str, items: list[dict[str, Any]]) -> None:
    (cluster.folder / f"{kind}.json").write_text(json.dumps({"items": items}))


def look(connection: Connection) -> dict[str, Finding]:
    def answers(stack: Stack) -> dict[str, Finding]:
        return {next(iter(question.promises)): question.look(stack)[0] for question in QUESTIONS}

    with open_stack(connection) as stack:
        return answers(stack)


@pytest.fixture
def deployed(cluster: Cluster) -> Cluster:
    write(cluster, "secrets", KEPT)
    parts = ["postgresql", "minio", "polaris", "jaeger", "marquez"]
    write(cluster, "deployments,statefulsets", [owned(part) for part in parts])
    return cluster


def owned(part: str, release: str = "floe-infrastructure") -> dict[str, Any]:
    return {"metadata": {"name": part, "annotations": {"meta.helm.sh/release-name": release}}}


def test_the_newest_revision_is_by_number_and_not_by_name(deployed: Cluster, connection: Connection) -> None:
    newest = releases.newest(Kubectl(connection))
    assert {name: (each.revision, each.status) for name, each in newest.items()} == {
        "floe-infrastructure": (10, "deployed"), "floe-dagster": (1, "deployed"), "floe-cube": (2, "failed"),
    }  # fmt: skip
    assert newest["floe-infrastructure"].dependencies() == CHARTS


def test_releases_that_are_as_promised_pass(deployed: Cluster, connection: Connection) -> None:
    found = look(connection)
    assert all(finding.passed for finding in found.values())
    assert found["FR-003"].seen == "postgresql 17.1.0, minio 5.4.0, jaeger 4.11.1 as dependencies"


def test_what_is_missing_or_of_another_release_is_named(deployed: Cluster, connection: Connection) -> None:
    write(
        deployed, "secrets", [kept("floe-infrastructure", 1, "deployed", postgresql="^17.0.0", minio="5.4.0")]
    )
    write(deployed, "deployments,statefulsets", [owned("minio"), owned("polaris", "mine"), owned("jaeger")])
    wrong = {name: finding.evidence["differences"] for name, finding in look(connection).items()}
    assert wrong == {
        "FR-001": ["release floe-dagster is not deployed", "release floe-cube is not deployed"],
        "FR-002": ["postgresql is not there", "polaris is of release mine", "marquez is not there"],
        "FR-003": [
            "the chart jaeger is no dependency",
            "the chart postgresql is asked for as ^17.0.0, which is no version",
        ],
    }
