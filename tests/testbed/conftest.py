"""Makes the testbed's programs importable and gives tests the role's folder."""

import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[2] / "roles" / "testbed"
sys.path[:0] = [str(ROLE / "files"), str(ROLE / "files" / "oci")]


@pytest.fixture
def role() -> Path:
    return ROLE
