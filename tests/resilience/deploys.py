"""Deploys in the middle of a test."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the scenario deployed the stack with: its namespace and values.
ARGUMENTS = os.environ.get("FLOE_DEPLOY_ARGUMENTS", "")


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A deploy as a user starts it, with what the scenario deployed with; a guess would hit another stack."""
    if not ARGUMENTS:
        pytest.skip("FLOE_DEPLOY_ARGUMENTS does not say how the stack was deployed")
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "false"}
    return subprocess.run(
        ["ansible-playbook", "-i", "inventory/testbed", "deploy.yml", *json.loads(ARGUMENTS), *arguments],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
