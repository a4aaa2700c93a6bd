"""Runs the tests of the doubles' JavaScript with Node.js' own runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import IMAGES

HERE = Path(__file__).parent
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
def test_units_of_the_page_and_of_the_addon() -> None:
    files = sorted([*HERE.glob("js/*.test.js"), *HERE.glob("js/*.test.mjs")])
    assert len(files) == 2
    done = subprocess.run([str(NODE), "--test", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
@pytest.mark.parametrize("path", sorted((IMAGES / "cube" / "native").rglob("*.js")), ids=lambda p: p.name)
def test_the_addon_parses(path: Path) -> None:
    done = subprocess.run([str(NODE), "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
