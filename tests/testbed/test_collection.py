"""How kubernetes.core gets here: the right version, from bytes that are known, and once."""

import hashlib
import importlib.util
import json
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
INSIDE = "ansible_collections/kubernetes/core"


def environment_script():
    spec = importlib.util.spec_from_file_location("environment", CHECKOUT / "scripts" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel_of(version: str, path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        manifest = {"collection_info": {"version": version}}
        archive.writestr(f"{INSIDE}/MANIFEST.json", json.dumps(manifest))
        archive.writestr(f"{INSIDE}/plugins/modules/helm.py", "")
        archive.writestr("ansible_collections/other/thing/MANIFEST.json", "{}")
    return path.read_bytes()


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script in a checkout that asks for 6.6.0 and whose package index has a wheel with just that."""
    module = environment_script()
    (tmp_path / "requirements.yml").write_text((CHECKOUT / "requirements.yml").read_text())
    wheel = wheel_of("6.6.0", tmp_path / "wheel")
    module.downloads = 0

    def download(command):
        module.downloads += 1
        (Path(command[command.index("--dest") + 1]) / "ansible.whl").write_bytes(wheel)

    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "COLLECTION", tmp_path / ".cache" / "collections" / INSIDE)
    monkeypatch.setattr(module, "ANSIBLE_WHEEL", ("14", hashlib.sha256(wheel).hexdigest()))
    monkeypatch.setattr(module, "run", download)
    return module


def test_only_the_collection_is_taken_and_only_once(script):
    script.ensure_collection(Path("venv"))
    script.ensure_collection(Path("venv"))
    assert script.downloads == 1
    assert (script.COLLECTION / "plugins/modules/helm.py").exists()
    assert not (script.COLLECTION.parents[1] / "other").exists()


def test_an_older_collection_is_replaced_whole(script):
    script.COLLECTION.mkdir(parents=True)
    (script.COLLECTION / "MANIFEST.json").write_text('{"collection_info": {"version": "6.2.0"}}')
    (script.COLLECTION / "gone.py").write_text("")
    script.ensure_collection(Path("venv"))
    assert script.collection_version() == "6.6.0"
    assert not (script.COLLECTION / "gone.py").exists()


def test_a_wheel_with_other_bytes_is_refused(script, monkeypatch):
    monkeypatch.setattr(script, "ANSIBLE_WHEEL", ("14", "0" * 64))
    with pytest.raises(script.SetupError, match=f"sha256 [0-9a-f]+, not {'0' * 64}"):
        script.ensure_collection(Path("venv"))
    assert script.collection_version() is None


def test_requirements_and_wheel_may_not_drift_apart(script):
    requirements = script.ROOT / "requirements.yml"
    requirements.write_text(requirements.read_text().replace("6.6.0", "6.7.0"))
    with pytest.raises(script.SetupError, match=r"not 6\.7\.0 as requirements\.yml asks"):
        script.ensure_collection(Path("venv"))
