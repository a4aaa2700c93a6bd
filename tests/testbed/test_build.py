"""Builds: what changes the result changes the hash, what does not, does not; half a build is none."""

import dataclasses
import shutil

import pytest

from floe_testbed import build
from floe_testbed.layout import TestbedError


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> build.Recipe:
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "go.mod").write_text("module hello\n\ngo 1.24\n")
    (tmp_path / "hello" / "main.go").write_text(
        'package main\n\nvar who = "?"\n\nfunc main() { println("hello", who) }\n'
    )
    return build.Recipe("hello", (".",), 1, links=("hi",))


def test_hash_follows_what_the_result_depends_on(recipe):
    first = recipe.fingerprint()
    (recipe.folder / "README.md").write_text("not compiled")
    assert dataclasses.replace(recipe, seconds=99).fingerprint() == first
    (recipe.folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    assert recipe.fingerprint() != first
    assert dataclasses.replace(recipe, links=()).fingerprint() != recipe.fingerprint()


def test_versions_come_from_go_mod():
    assert build.KUBERNETES.version("k8s.io/kubernetes").startswith("v1.34.")
    assert "gitVersion=v1.34." in " ".join(build.KUBERNETES.argv())
    with pytest.raises(TestbedError, match=r"does not require example\.org/x"):
        build.TOOLS.version("example.org/x")


@pytest.mark.skipif(not shutil.which("go"), reason="needs a Go compiler")
def test_second_build_finds_the_first_and_another_machine_would_get_the_same(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "RECIPES", (recipe,))
    folders, built = build.build_programs(tmp_path / "cache")
    assert built
    assert (folders["hello"] / "hi").resolve().name == "hello"
    assert build.build_programs(tmp_path / "cache") == (folders, False)
    again, _ = build.build_programs(tmp_path / "other-cache")
    assert (again["hello"] / "hello").read_bytes() == (folders["hello"] / "hello").read_bytes()


@pytest.mark.skipif(not shutil.which("go"), reason="needs a Go compiler")
def test_failed_build_says_why_and_leaves_nothing(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "RECIPES", (recipe,))
    (recipe.folder / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(TestbedError, match="undefined: nonsense"):
        build.build_programs(tmp_path / "cache")
    assert not list((tmp_path / "cache" / "binaries").iterdir())
