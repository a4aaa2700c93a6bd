"""Make the Python environment that a make target needs: `environment.py demo|test|tools [--python 3.12]`.

Runs on the bare interpreter, so it uses the standard library only. Does nothing when all is up to date.
Exit code 3 with --python: nothing to do, since .venv has that version or this machine has not (fails in CI).
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.12", "3.13", "3.11")  # in order of preference; pipeline/pyproject.toml allows the same
TOOLS_SUPPORTED = ("3.12", "3.13")  # ansible-core 2.21 starts at 3.12
UV_VERSION = "0.13.9"  # resolves and installs ten times faster than pip, and reads universal locks
LOCKS = {
    "demo": "pipeline/requirements.lock",
    "test": "requirements-dev.lock",
    "tools": "requirements-tools.lock",
}
# No package index has kubernetes.core by itself, not every mirror has Galaxy, but all have this wheel.
ANSIBLE_WHEEL = ("14.5.0", "245623ccc2d31d0f6f4bdb63168d550cad305fb032cc43d96e8f61ce8ab0ba84")
COLLECTION = ROOT / ".cache" / "collections" / "ansible_collections" / "kubernetes" / "core"
NOTHING_TO_DO = 3
CHROMIUM_PACKAGES = ("chromium", "fonts-dejavu-core")


class SetupError(Exception):
    """Something is missing that only the user can provide; the message says how."""


def say(message):
    """Print one line about what is being done, at once, so that a long download is never silent."""
    print(f"floe: {message}", flush=True)


def run(command, **kwargs):
    """Run a command; a failure ends with its own output, not with a traceback of ours."""
    done = subprocess.run(command, check=False, **kwargs)
    if done.returncode:
        raise SetupError(f"`{' '.join(map(str, command))}` exited with {done.returncode}")


def version_of(interpreter):
    """Return "3.12" for a working interpreter, None for one that does not run (a pyenv shim, say)."""
    command = [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def find_python(wanted):
    """Return the path of an interpreter of the first version in `wanted` that this machine has, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in wanted:
        pyenvs = sorted(pyenv.glob(f"{version}.*/bin/python"))
        for candidate in filter(None, [sys.executable, shutil.which(f"python{version}"), *pyenvs]):
            if version_of(candidate) == version:
                return str(candidate)
    return None


def install_debian(packages, purpose):
    """Install Debian packages when we are root on Debian; otherwise tell how."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            f"{purpose} needs {' '.join(packages)}; on Debian or Ubuntu: sudo {' '.join(command)}"
        )
    say(f"installing {' '.join(packages)} ({purpose})")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], env=environment)
    run([*command, "-qq"], env=environment, stdout=subprocess.DEVNULL)


def find_uv(python):
    """Return the path of uv: the user's own of our version, or one put into .cache/uv."""
    own = shutil.which("uv")
    if own and subprocess.check_output([own, "--version"], text=True).split()[1] == UV_VERSION:
        return own
    home = ROOT / ".cache" / f"uv-{UV_VERSION}"
    uv = home / "bin" / "uv"
    if not uv.exists():
        say(f"fetching uv {UV_VERSION}")
        make_venv = [python, "-m", "venv", "--clear", str(home)]
        if subprocess.run(make_venv, capture_output=True, check=False).returncode:
            install_debian(["python3-venv"], "making a Python environment")
            run(make_venv)
        run([str(home / "bin" / "pip"), "install", "--quiet", f"uv=={UV_VERSION}"])
    return str(uv)


def fingerprint(profile, python):
    """Return a hash of everything that decides what the environment contains."""
    digest = hashlib.sha256(python.encode())
    for name in (LOCKS[profile], *(() if profile == "tools" else ("pipeline/pyproject.toml",))):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def ensure_environment(profile, version):
    """Make or refresh the environment and return its folder.

    Raises:
        SetupError: no supported interpreter, or an installation failed.
    """
    supported = (version,) if version else TOOLS_SUPPORTED if profile == "tools" else SUPPORTED
    python = find_python(supported)
    if python is None:
        wanted = " or ".join(sorted(supported))
        raise SetupError(
            f"Python {wanted} not found (this is {sys.version.split()[0]}); install it and run again"
        )
    suffix = version or ("tools" if profile == "tools" else "")
    environment = ROOT / (f".venv-{suffix}" if suffix else ".venv")
    # the test environment holds everything that the demo needs, at the same versions
    profiles = ("test", "demo") if profile == "demo" else (profile,)
    stamps = {name: environment / f".floe-{name}" for name in profiles}
    for name, stamp in stamps.items():
        if stamp.exists() and stamp.read_text() == fingerprint(name, python):
            return environment
    uv = find_uv(python)
    begun = time.monotonic()
    say(f"installing {LOCKS[profile]} into {environment.name}; the first time it downloads")
    own_python = environment / "bin" / "python"
    if not own_python.exists() or version_of(str(own_python)) != version_of(python):
        run([uv, "venv", "--quiet", "--clear", "--python", python, str(environment)])
    install = [uv, "pip", "install", "--quiet", "--python", str(own_python)]
    run([*install, "--require-hashes", "--requirement", str(ROOT / LOCKS[profile])])
    if profile != "tools":
        run([*install, "--no-deps", "--editable", str(ROOT / "pipeline")])
    stamps[profile].write_text(fingerprint(profile, python))
    say(f"environment ready after {time.monotonic() - begun:.0f} s")
    return environment


def collection_version():
    """Return the version of kubernetes.core in .cache/collections, None when it is not there."""
    manifest = COLLECTION / "MANIFEST.json"  # the last file to be extracted
    return json.loads(manifest.read_text())["collection_info"]["version"] if manifest.exists() else None


def ensure_collection(environment):
    """Put the collection of requirements.yml where ansible.cfg looks for it.

    Raises:
        SetupError: the download is not what we know, or holds another version than requirements.yml.
    """
    asked = re.search(r"kubernetes\.core\s+version: (\S+)", (ROOT / "requirements.yml").read_text())[1]
    if collection_version() == asked:
        return
    version, sha256 = ANSIBLE_WHEEL
    say(f"fetching kubernetes.core out of ansible {version}")
    with tempfile.TemporaryDirectory() as folder:
        pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        run(
            [
                *pip,
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
                folder,
                f"ansible=={version}",
            ]
        )
        (wheel,) = Path(folder).iterdir()
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != sha256:
            raise SetupError(f"{wheel.name} has sha256 {found}, not {sha256}: the package index changed it")
        shutil.rmtree(COLLECTION, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            inside = COLLECTION.relative_to(ROOT / ".cache" / "collections").as_posix() + "/"
            members = [name for name in archive.namelist() if name.startswith(inside)]
            members.sort(key=lambda name: name == f"{inside}MANIFEST.json")
            archive.extractall(ROOT / ".cache" / "collections", members)
    if collection_version() != asked:
        raise SetupError(
            f"ansible {version} has kubernetes.core {collection_version()}, not {asked} as requirements.yml "
            "asks: change ANSIBLE_WHEEL in scripts/environment.py with it"
        )


def ensure_chromium():
    """Install Chromium, which the report's test drives; without root, say what will be skipped and go on."""
    if any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return
    try:
        install_debian(CHROMIUM_PACKAGES, "the test of the report page")
    except SetupError as missing:
        if os.environ.get("CI") == "true":
            raise
        say(f"the test of the report page will be skipped: {missing}")


def worth_testing(version):
    """Tell whether an environment for this other Python is wanted and can be made; say so when it cannot."""
    if version_of(str(ROOT / ".venv" / "bin" / "python")) == version:
        return False
    if find_python((version,)) is None and os.environ.get("CI") != "true":
        say(f"Python {version} is not on this machine: unit tests on it are skipped; install it to run them")
        return False
    return True


def main():
    """Parse arguments, set up, and end with one clear line when something is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", choices=sorted(LOCKS))
    parser.add_argument(
        "--python", choices=sorted(SUPPORTED), help="make .venv-VERSION with this interpreter instead"
    )
    arguments = parser.parse_args()
    try:
        if arguments.python and not worth_testing(arguments.python):
            sys.exit(NOTHING_TO_DO)
        environment = ensure_environment(arguments.profile, arguments.python)
        if arguments.profile == "tools":
            ensure_collection(environment)
        if arguments.profile == "test" and not arguments.python:
            ensure_chromium()
    except SetupError as error:
        sys.exit(f"floe: {error}")


if __name__ == "__main__":
    main()
