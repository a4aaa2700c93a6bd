"""The package as others get it: a wheel, installed in an environment of its own, away from the checkout."""

import json
import os
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [pytest.mark.wheel, pytest.mark.slow]


@pytest.fixture(scope="module")
def uv():
    """The uv that set up this checkout: it links packages from its cache, so an environment takes seconds."""
    return runpy.run_path(str(ROOT / "scripts" / "environment.py"))["find_uv"](sys.executable)


@pytest.fixture(scope="module")
def wheel(uv, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([uv, "build", "--quiet", "--wheel", ROOT / "pipeline", "--out-dir", folder], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_carries_the_dbt_project_and_nothing_of_a_run(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"floe_pipeline/dbt/dbt_project.yml", "floe_pipeline/dbt/profiles.yml"} <= names
    assert {"floe_pipeline/report/page/page.html.j2", "floe_synthetic/vocabulary.json"} <= names
    models = {name.rsplit("/", 1)[-1] for name in names if name.startswith("floe_pipeline/dbt/models/marts/")}
    assert {"orders.sql", "customers.sql", "products.sql", "daily_revenue.sql"} <= models
    assert not [name for name in names if "/target/" in name or "/logs/" in name or "__pycache__" in name]


def test_the_installed_command_runs_the_demo_in_another_folder(uv, wheel, tmp_path):
    environment, elsewhere = tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    python = environment / "bin" / "python"
    lock = ROOT / "pipeline" / "requirements.lock"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "--constraint", lock, f"{wheel}[report]"],
        check=True,
    )
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    arguments = ["demo", "--orders", "500", "--customers", "100", "--cycles", "0", "--home", "home"]
    ran = subprocess.run(
        [environment / "bin" / "floe", *arguments],
        cwd=elsewhere,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Every cent accounted for." in (elsewhere / "build" / "report.html").read_text()
    evidence = json.loads((elsewhere / "build" / "evidence" / "demo.json").read_text())
    assert evidence["failed"] == 0
    assert sorted(entry.name for entry in elsewhere.iterdir()) == ["build", "home"]  # nothing strewn about
