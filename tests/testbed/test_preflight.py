"""Refusals: each names what is wrong and what to do, all at once, before anything is touched."""

import dataclasses
import json
from pathlib import Path

import pytest

from floe_testbed import cgroups, network, preflight
from floe_testbed.layout import Settings, TestbedError


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Settings:
    """A machine on which nothing stands in the way, whatever the one we run on is like."""
    monkeypatch.setattr(preflight, "SETTINGS_FILE", tmp_path / "state" / "settings.json")
    monkeypatch.setattr(preflight, "STATE", tmp_path / "state")
    monkeypatch.setattr(preflight, "HOST_LINK", "no-such-link")
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "_has", lambda program: True)
    monkeypatch.setattr(preflight, "_FEATURES", {})
    monkeypatch.setattr(preflight.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(preflight.build, "output_of", lambda *argv: "go1.99.0\n")
    monkeypatch.setattr(cgroups, "trees", list)
    monkeypatch.setattr(network, "clashes", list)
    monkeypatch.setattr(network, "run", lambda *argv: "")
    monkeypatch.setattr(preflight, "_controllers", lambda: {"cpu", "memory", "pids", "cpuset"})
    return Settings(
        checkout=tmp_path / "checkout",
        cache=tmp_path / "cache",
        kubeconfig=tmp_path / "kubeconfig",
        minimum_memory_mib=1,
        minimum_disk_gib=0,
    )


def leave_testbed_of(checkout: Path, settings: Settings) -> None:
    preflight.STATE.mkdir()
    values = json.loads(settings.to_json()) | {"checkout": str(checkout)}
    preflight.SETTINGS_FILE.write_text(json.dumps(values))


def test_nothing_in_the_way(machine):
    assert preflight.problems(machine) == []


def test_other_systems_are_told_at_once(machine, monkeypatch):
    monkeypatch.setattr(preflight.platform, "system", lambda: "Darwin")
    (problem,) = preflight.problems(machine)
    assert "Darwin" in problem
    assert "inventory/local" in problem


def test_root_is_needed(machine, monkeypatch):
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    (problem,) = preflight.problems(machine)
    assert "sudo make testbed-up" in problem


def test_everything_wrong_is_said_at_once(machine, monkeypatch, tmp_path):
    taken = tmp_path / "cgroup"
    taken.mkdir()
    monkeypatch.setattr(preflight, "HOST_LINK", "lo")
    monkeypatch.setattr(cgroups, "trees", lambda: [taken])
    monkeypatch.setattr(network, "clashes", lambda: ["10.200.0.0/16 dev tun0"])
    monkeypatch.setattr(preflight, "_controllers", lambda: {"cpu", "pids", "cpuset"})
    monkeypatch.setattr(network, "run", lambda *argv: "virtual cables (veth)\n")
    greedy = Settings(
        machine.checkout,
        machine.cache,
        machine.kubeconfig,
        minimum_memory_mib=1 << 40,
        minimum_disk_gib=1 << 30,
    )
    problems = preflight.problems(greedy)
    for part in (
        "link lo exists",
        str(taken),
        "10.200.0.0/16 dev tun0",
        "controllers not available: memory",
        "no virtual cables (veth): load the module",
        "lower testbed_minimum_memory_mib",
        "lower testbed_minimum_disk_gib",
    ):
        assert sum(part in problem for problem in problems) == 1, part


def test_missing_packages_are_named_unless_they_will_be_installed(machine, monkeypatch):
    monkeypatch.setattr(preflight, "_has", lambda program: program not in ("runc", "ctr", "containerd"))
    (problem,) = preflight.problems(machine)
    assert "apt-get install containerd runc" in problem
    assert preflight.problems(machine, packages_will_be_installed=True) == []


def test_a_compiler_is_needed(machine, monkeypatch):
    monkeypatch.setattr(preflight.shutil, "which", lambda program: None)
    (problem,) = preflight.problems(machine)
    assert "no Go compiler on PATH" in problem
    compiler, installer = preflight.problems(machine, stack_images=True)
    assert "no Go compiler on PATH" in compiler
    assert "no npm on PATH" in installer


@pytest.mark.parametrize(("version", "stack_images"), [("go1.23.12", False), ("go1.24.4", True)])
def test_a_compiler_that_is_too_old_is_told_what_the_modules_ask(machine, monkeypatch, version, stack_images):
    monkeypatch.setattr(preflight.build, "output_of", lambda *argv: f"{version}\n")
    (problem,) = preflight.problems(machine, stack_images=stack_images)
    assert f"{version}, too old" in problem
    assert f"install Go 1.{26 if stack_images else '24.4'} or newer" in problem


def test_programs_that_build_images_are_missed_only_where_images_are_built(machine, monkeypatch):
    monkeypatch.setattr(preflight, "_has", lambda program: program != "buildah")
    assert preflight.problems(machine) == []
    (problem,) = preflight.problems(machine, stack_images=True)
    assert "apt-get install buildah" in problem


def test_another_working_copy_keeps_its_testbed(machine, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    leave_testbed_of(other, machine)
    (problem,) = preflight.problems(machine)
    assert f"`make testbed-down` in {other} first" in problem


@pytest.mark.parametrize("gone", [True, False])
def test_own_testbed_and_that_of_a_deleted_copy_are_no_obstacle(machine, tmp_path, gone):
    leave_testbed_of(tmp_path / "deleted" if gone else machine.checkout, machine)
    assert preflight.problems(machine) == []


def test_state_that_no_testbed_wrote_is_left_alone(machine):
    preflight.STATE.mkdir()
    (problem,) = preflight.problems(machine)
    assert "move it away" in problem


def test_kernel_is_really_tried(machine, monkeypatch):
    monkeypatch.undo()
    if preflight.os.geteuid() != 0:
        pytest.skip("only root makes namespaces")
    monkeypatch.setattr(
        preflight,
        "_FEATURES",
        {"a thing (x)": "ip link add a type no-such-type", "loopback": "ip link show lo"},
    )
    assert preflight._kernel() == [
        "the kernel has no a thing (x): load the module with modprobe, or use another kernel"
    ]


@pytest.mark.parametrize(
    "text", ["{", '{"checkout": "/x"}', '{"checkout": "/x", "cache": "/c", "kubeconfig": "/k", "typo": 1}']
)
def test_settings_that_are_wrong_are_refused(text):
    with pytest.raises(TestbedError, match="settings"):
        Settings.from_json(text)


def test_settings_survive_the_file(machine):
    assert Settings.from_json(machine.to_json()) == machine


def test_other_minimums_are_no_reason_to_start_the_node_anew(machine):
    assert dataclasses.replace(machine, minimum_memory_mib=2, minimum_disk_gib=2) == machine
    assert dataclasses.replace(machine, kubernetes=Path("/other")) != machine


def test_the_disk_has_to_hold_what_the_first_build_makes(machine, monkeypatch):
    settings = dataclasses.replace(machine, minimum_disk_gib=24)
    usage = type("Usage", (), {"free": 10 << 30})
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda folder: usage)
    (problem,) = preflight.problems(settings)
    assert "10 GiB are free" in problem
    assert "24 are needed" in problem
    settings.image_store.mkdir(parents=True)
    assert preflight.problems(settings) == []
    usage.free = 3 << 30
    assert all("4 are needed" in problem for problem in preflight.problems(settings))
    assert preflight.problems(settings) != []
