"""Loads the Python of the roles the way Ansible does not: by its path, without Ansible."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parents[2]


def load(path: str) -> ModuleType:
    """A file of a role as a module of its own name."""
    file = CHECKOUT / path
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def rules() -> ModuleType:
    return load("roles/preflight/module_utils/preflight_rules.py")


@pytest.fixture(scope="session")
def local_ports() -> ModuleType:
    return load("roles/preflight/module_utils/local_ports.py")


@pytest.fixture(scope="session")
def registry() -> ModuleType:
    return load("roles/preflight/module_utils/registry.py")


@pytest.fixture(scope="session")
def release_state() -> ModuleType:
    return load("roles/helm_release/module_utils/release_state.py")


@pytest.fixture(scope="session")
def chart_folder() -> ModuleType:
    return load("roles/helm_release/module_utils/chart_folder.py")


@pytest.fixture(scope="session")
def kubernetes_api() -> ModuleType:
    return load("roles/kubernetes_api/module_utils/kubernetes_api.py")


@pytest.fixture(scope="session")
def helm_record() -> ModuleType:
    return load("roles/kubernetes_api/module_utils/helm_record.py")


@pytest.fixture(scope="session")
def secret_values() -> ModuleType:
    return load("roles/credentials/module_utils/secret_values.py")


@pytest.fixture(scope="session")
def catalog_access() -> ModuleType:
    return load("roles/polaris_bootstrap/module_utils/catalog_access.py")


@pytest.fixture(scope="session")
def chart_values() -> ModuleType:
    return load("roles/helm_release/filter_plugins/chart_values.py")
