"""The exposures of the dbt project are the cubes of the chart: lineage goes on to what a user asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "charts/floe-cube/model"
DBT = ROOT / "pipeline/dbt/models"

Members = dict[str, list[str]]


def cubes() -> dict[str, dict[str, Any]]:
    """The cubes by name."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(MODEL.glob("*.yml"))]
    return {cube["name"]: cube for file in files for cube in file.get("cubes", [])}


def exposures() -> dict[str, dict[str, Any]]:
    """The exposures by name."""
    file = yaml.safe_load((DBT / "exposures.yml").read_text())
    return {exposure["name"]: exposure for exposure in file["exposures"]}


def columns_of(mart: str) -> list[str]:
    """Columns of a mart in their order."""
    models = yaml.safe_load((DBT / "marts/_marts.yml").read_text())["models"]
    return next([column["name"] for column in model["columns"]] for model in models if model["name"] == mart)


def members_of(cube: dict[str, Any]) -> Members:
    """Columns that each dimension and measure is made of, through the measures that it refers to."""
    columns = columns_of(cube["sql_table"].rpartition(".")[2])
    members = {member["name"]: member for member in [*cube["dimensions"], *cube["measures"]]}
    key = next(member["sql"] for member in cube["dimensions"] if member.get("primary_key"))

    def made_of(name: str) -> set[str]:
        member = members[name]
        sql = " ".join(
            [str(member.get("sql", key)), *(condition["sql"] for condition in member.get("filters", []))]
        )
        own = re.sub(r"\{(?!CUBE\})\w+\}", " ", sql).replace("{CUBE}.", " ")
        found = set(re.findall(r"\w+", re.sub(r"'[^']*'", " ", own))) & set(columns)
        return found.union(*(made_of(other) for other in re.findall(r"\{(\w+)\}", sql) if other in members))

    return {name: [column for column in columns if column in made_of(name)] for name in members}


def test_each_cube_is_an_exposure_of_its_mart() -> None:
    assert {name: exposure["depends_on"] for name, exposure in exposures().items()} == {
        name: [f"ref('{cube['sql_table'].rpartition('.')[2]}')"] for name, cube in cubes().items()
    }


@pytest.mark.parametrize("name", sorted(cubes()))
def test_members_and_their_columns_are_those_of_the_cube(name: str) -> None:
    told = exposures()[name]["config"]["meta"]["members"]
    assert told == members_of(cubes()[name])
    assert list(told) == list(members_of(cubes()[name]))
