"""The role helm_release as Ansible runs it; helm and kubectl are programs that keep a cluster in a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import CHECKOUT

STAND_INS = Path(__file__).parent / "cluster_in_a_folder"
TOOLS = CHECKOUT / ".venv-tools/bin"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TOOLS.exists(), reason="needs Ansible: make tools-environment"),
]
Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cluster without a release, a chart, and what Ansible needs."""
    folder = shutil.copytree(STAND_INS, tmp_path / "cluster")
    for name in ("helm_release", "kubernetes_api"):
        shutil.copytree(CHECKOUT / "roles" / name, folder / "roles" / name)
    collection = folder / "collections/ansible_collections/kubernetes/core/plugins"
    collection.mkdir(parents=True)
    (folder / "modules").rename(collection / "modules")
    shutil.copy(collection / "modules/k8s_info.py", collection / "modules/k8s.py")  # nothing is to be patched
    (folder / "chart").mkdir()
    (folder / "chart/Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    return folder


@pytest.fixture
def play(folder: Path) -> Play:
    """Runs the play and returns how it ended."""
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_ROLES_PATH": str(folder / "roles"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(TOOLS / "ansible-playbook"), "-i", "localhost,", "play.yml", *arguments]
        environment = {**os.environ, **settings}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def phases(folder: Path) -> dict[str, dict[str, Any]]:
    """What the role says of each release, by name."""
    return {phase["name"]: phase for phase in json.loads((folder / "phases.json").read_text())}


def test_releases_come_up_together_and_a_second_run_changes_nothing(folder: Path, play: Play) -> None:
    (folder / "together").touch()
    first = play()
    assert "changed=2 " in first.stdout, first.stdout + first.stderr
    assert first.returncode == 0
    assert {name: phase["changed"] for name, phase in phases(folder).items()} == {"one": True, "two": True}
    assert all(phase["seconds"] > 0 for phase in phases(folder).values())

    for file in (*folder.glob("*.compared"), *folder.glob("*.began")):
        file.unlink()
    second = play()
    assert "changed=0 " in second.stdout, second.stdout + second.stderr
    assert {name: phase["changed"] for name, phase in phases(folder).items()} == {"one": False, "two": False}
    assert not list(folder.glob("*.compared")), "Helm takes seconds to say what its record says at once"

    rehearsed = play("--check", "-e", '{"replicas": 2}')
    assert "changed=2 " in rehearsed.stdout, rehearsed.stdout + rehearsed.stderr
    assert not list(folder.glob("*.began")), "a rehearsal starts no Helm"


def test_a_release_that_fails_is_told_by_its_own_name_and_words(folder: Path, play: Play) -> None:
    (folder / "two.fails").touch()
    played = play()
    said = played.stdout + played.stderr
    assert played.returncode != 0
    assert "Release two is not ready" in said
    assert "Error: two cannot be upgraded" in said
    assert "Release one is not ready" not in said
