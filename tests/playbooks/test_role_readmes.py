"""READMEs of the roles show the variables that the roles have."""

from __future__ import annotations

import pytest
import yaml

from .role_tables import ROLES, WITH_TABLE, written


@pytest.mark.parametrize("role", WITH_TABLE)
def test_the_table_is_up_to_date(role: str) -> None:
    assert (ROLES / role / "README.md").read_text() == written(role), (
        "run python -m tests.playbooks.role_tables"
    )


@pytest.mark.parametrize("role", WITH_TABLE)
def test_defaults_are_those_of_the_specification(role: str) -> None:
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    entries = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    specified = {
        name: option["default"]
        for entry in entries.values()
        for name, option in entry["options"].items()
        if "default" in option
    }
    assert defaults == specified
