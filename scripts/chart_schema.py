"""Write what a chart's dependencies may be given into its values.schema.json: chart_schema.py CHART [FOLDER].

The official charts accept any key in silence, so a typing error would change nothing and say nothing. Their
real keys are those of their values.yaml and those that their templates read. Run this after a dependency's
version was changed; FOLDER holds the dependencies as folders or .tgz files: CHART/charts, which
`helm dependency build` fills, unless another is named.
"""

import argparse
import io
import json
import re
import tarfile
from pathlib import Path

import yaml

READ = re.compile(r"\.Values((?:\.[A-Za-z][A-Za-z0-9]*)+)")
# Maps that a template writes out whole: anything of Kubernetes may be in them.
WRITTEN_WHOLE = re.compile(
    r"(?i)(securityContext|resources|labels|annotations|selector|affinity|probe|strategy|sysctls|"
    r"spec|options|dataSource|configuration|userconfig|scripts|environment|cmdlineParams|commonLabels)$"
)
SCALARS = {bool: ["boolean"], int: ["integer", "string", "null"], float: ["number", "string", "null"]}


def schema_of(value, name=""):
    """Return the schema of a value from its default, generous in types and strict in names.

    Args:
        value: default of a key.
        name: of the key.
    """
    if isinstance(value, dict):
        if not value or WRITTEN_WHOLE.search(name):
            return {"type": ["object", "null"]}
        members = {key: schema_of(value[key], key) for key in sorted(value)}
        return {"type": "object", "additionalProperties": False, "properties": members}
    if value is None:
        return {}
    if isinstance(value, list):
        return {"type": ["array", "string", "null"]}  # a string is a template of a list
    return {"type": SCALARS.get(type(value), ["string", "number", "null"])}


def add_read(schema, path):
    """Add a key that templates read though values.yaml does not have it."""
    for name in path:
        if "properties" not in schema:
            return
        schema = schema["properties"].setdefault(name, {})


def dependency_schema(files):
    """Return the schema of a chart's values.

    Args:
        files: path inside the chart -> text.
    """
    schema = schema_of(yaml.safe_load(files["values.yaml"]))
    for path, text in files.items():
        if path.startswith("templates/"):
            for found in sorted(set(READ.findall(text))):
                add_read(schema, found.strip(".").split("."))
    # Helm itself adds these: values shared by all charts, and those of a library chart
    for name in (
        "global",
        *(library.split("/")[1] for library in files if re.match(r"charts/[^/]+/Chart", library)),
    ):
        schema["properties"].setdefault(name, {"type": "object"})
    return schema


def files_of(folder, name):
    """Return the text files of one dependency: path inside the chart -> text."""
    archives = sorted(folder.glob(f"{name}-*.tgz"))
    if archives:
        with tarfile.open(fileobj=io.BytesIO(archives[-1].read_bytes())) as archive:
            members = [member for member in archive if member.isfile()]
            texts = {m.name.split("/", 1)[1]: archive.extractfile(m).read() for m in members}
    else:
        root = folder / name
        texts = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    return {path: text.decode(errors="replace") for path, text in sorted(texts.items())}


def written(schema):
    """Return the schema as text, with a line for each key of a dependency."""
    dependencies = schema["$defs"].pop("dependencies")
    text = json.dumps(schema, indent=2)
    schema["$defs"]["dependencies"] = dependencies
    parts = []
    for name, one in sorted(dependencies.items()):
        keys = ",\n".join(
            f"      {json.dumps(key)}: {json.dumps(one['properties'][key])}"
            for key in sorted(one["properties"])
        )
        head = '{"type": "object", "additionalProperties": false, "properties": {'
        parts.append(f"    {json.dumps(name)}: {head}\n{keys}\n    }}}}")
    block = '"$defs": {\n    "dependencies": {\n' + ",\n".join(parts) + "\n    },"
    return text.replace('"$defs": {', block, 1) + "\n"


def main():
    """Rewrite the part of the schema that is about dependencies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chart", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    arguments = parser.parse_args()
    file = arguments.chart / "values.schema.json"
    schema = json.loads(file.read_text())
    dependencies = yaml.safe_load((arguments.chart / "Chart.yaml").read_text())["dependencies"]
    folder = arguments.folder or arguments.chart / "charts"
    schema["$defs"]["dependencies"] = {
        each["name"]: dependency_schema(files_of(folder, each["name"])) for each in dependencies
    }
    file.write_text(written(schema))


if __name__ == "__main__":
    main()
