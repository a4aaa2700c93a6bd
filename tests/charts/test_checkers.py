"""Independent checkers over what the charts render; each exception has its reason.

They are not in the test environment: checkov brings 150 packages, kube-score compiles for minutes. They run
where they are on PATH, for instance after
    pip install checkov==3.3.30
    go install github.com/zegl/kube-score/cmd/kube-score@v1.20.0
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .conftest import Render
from .helm import find_tool
from .test_every_chart import NAMES

CHECKOV_EXCEPTIONS = {
    "CKV_K8S_21": "the namespace is that of the release, which templates do not write",
    "CKV_K8S_43": "tags are what a reader recognizes; a digest can be given as a value",
    "CKV_K8S_15": "what was built on the machine is in no registry to pull it from",
    "CKV_K8S_11": "a CPU limit would only slow down starts, which are most of what a demo does",
    "CKV_K8S_35": "the images read their passwords from variables",
    "CKV_K8S_38": "MinIO's and Jaeger's charts do not let it be said, and the keeper uses its token",
    "CKV_K8S_29": "MinIO's chart sets it for the container only",
    "CKV_K8S_40": "the user of Bitnami's image is 1001",
    "CKV2_K8S_6": "the networks of local clusters do not enforce NetworkPolicies",
}
KUBE_SCORE_EXCEPTIONS = {
    "container-image-pull-policy": "what was built on the machine is in no registry to pull it from",
    "container-ephemeral-storage-request-and-limit": "the data is on emptyDirs, and grows with the demo",
    "container-security-context-user-group-id": "the user of Bitnami's image is 1001",
    "pod-networkpolicy": "the networks of local clusters do not enforce NetworkPolicies",
    "pod-probes-identical": "a start page and Jaeger's chart have one health check for both",
    "deployment-replicas": "one node, one user: a second replica would serve nobody",
    "deployment-strategy": "a second server would need the memory twice",
}
for_every_chart = pytest.mark.parametrize("name", NAMES)


def written(render: Render, name: str, folder: Path) -> Path:
    file = folder / "objects.yaml"
    file.write_text(render(name).text)
    return file


@for_every_chart
def test_checkov_finds_nothing_else(render: Render, name: str, tmp_path: Path) -> None:
    checkov = find_tool("checkov")
    if checkov is None:
        pytest.skip("checkov is not on PATH")
    command = [str(checkov), "--file", str(written(render, name, tmp_path)), "--framework", "kubernetes"]
    command += ["--skip-download", "--compact", "--quiet", "--output", "json"]
    command += ["--skip-check", ",".join(CHECKOV_EXCEPTIONS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 50
    assert [
        f"{each['resource']}: {each['check_name']}" for each in report["results"].get("failed_checks", [])
    ] == []


@for_every_chart
def test_kube_score_finds_nothing_else(render: Render, name: str, tmp_path: Path) -> None:
    kube_score = find_tool("kube-score")
    if kube_score is None:
        pytest.skip("kube-score is not on PATH")
    command = [str(kube_score), "score", str(written(render, name, tmp_path)), "--output-format", "ci"]
    command += ["--ignore-container-cpu-limit"]  # the reason is CKV_K8S_11's
    command += [f"--ignore-test={each}" for each in KUBE_SCORE_EXCEPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) > 10, done.stderr
    assert [line for line in lines if line.startswith(("[CRITICAL]", "[WARNING]"))] == []
