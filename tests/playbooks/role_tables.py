"""Tables of variables in the READMEs of roles, made from meta/argument_specs.yml: run it to write them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parents[2] / "roles"
WITH_TABLE = (
    "preflight", "pipeline_image", "credentials", "helm_release", "infrastructure", "polaris_bootstrap",
    "dagster", "cube", "verify",
)  # fmt: skip
TABLE = re.compile(r"(?<=<!-- variables -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table(role: str) -> str:
    """The table of a role's variables, in Markdown."""
    options: dict[str, Any] = {}
    for entry in yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())[
        "argument_specs"
    ].values():
        options = entry["options"] | options
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options.items():
        default = "required" if option.get("required") else f"`{_text(option.get('default', ''))}`"
        meaning = re.sub(r"C\((.*?)\)", r"`\1`", " ".join(str(option["description"]).split()))
        lines.append(f"| `{name}` | {option['type']} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("'", "") if value != "" else '""'


def written(role: str) -> str:
    """The README as it should be."""
    return TABLE.sub(lambda _: table(role), (ROLES / role / "README.md").read_text())


if __name__ == "__main__":
    for name in WITH_TABLE:
        (ROLES / name / "README.md").write_text(written(name))
