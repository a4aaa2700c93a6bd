"""Fixtures that render the project's charts into typed objects.

    def test_something(render):
        polaris = render("floe-infrastructure", {"polaris": {...}}).pod("polaris")

`render` uses Helm 4; `every_helm` runs a test with Helm 4 and with Helm 3 where there is one. Dependencies
are the testbed's stand-ins, or the charts unpacked in the folder FLOE_OFFICIAL_CHARTS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from .helm import CHARTS, MINIO_CHART, STAND_INS, Helm, HelmError, find_helm, with_dependencies
from .manifests import Manifests

Render = Callable[..., Manifests]
Refusal = Callable[[str, Mapping[str, Any]], str]
Chart = Callable[[str], Path]
OFFICIAL = Path(os.environ.get("FLOE_OFFICIAL_CHARTS", STAND_INS))
DEPENDENCIES = {"floe-infrastructure": (OFFICIAL / "postgresql", MINIO_CHART, OFFICIAL / "jaeger")}


def _helm(major: int) -> Helm:
    found = find_helm(major)
    if found is None and major == 3:
        pytest.skip("no Helm 3 in build/testbed/bin or on PATH; `make testbed-up` builds one")
    assert found, f"no Helm {major}: run `make test-charts`, which fetches it"
    return found


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm 4."""
    return _helm(4)


@pytest.fixture(scope="session", params=[4, 3], ids=["helm4", "helm3"])
def every_helm(request: pytest.FixtureRequest) -> Helm:
    """Each supported Helm; a test with this fixture runs once for each."""
    return _helm(request.param)


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Folder of a chart by its name, ready to be rendered: dependencies are in place."""
    ready: dict[str, Path] = {}

    def prepare(name: str) -> Path:
        if name not in ready:
            dependencies = DEPENDENCIES.get(name, ())
            into = tmp_path_factory.mktemp("charts")
            ready[name] = with_dependencies(CHARTS / name, dependencies, into)
        return ready[name]

    return prepare


@pytest.fixture(scope="session")
def render(helm: Helm, chart: Chart) -> Render:
    """Render a chart by name with values; the same rendering is made once."""
    made: dict[str, Manifests] = {}

    def rendered(name: str, values: Mapping[str, Any] | None = None, *, namespace: str = "floe") -> Manifests:
        key = repr((name, values, namespace))
        if key not in made:
            made[key] = helm.template(chart(name), values, namespace=namespace)
        return made[key]

    return rendered


@pytest.fixture(scope="session")
def refusal(helm: Helm, chart: Chart) -> Refusal:
    """What helm says against values that a chart must not accept."""

    def refused(name: str, values: Mapping[str, Any]) -> str:
        with pytest.raises(HelmError) as error:
            helm.template(chart(name), values)
        return str(error.value)

    return refused
