#!/usr/bin/python
"""Puts a chart and its dependencies together in a folder of its own; the source tree stays as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.chart_folder import ChartError, build_chart

DOCUMENTATION = r"""
module: chart_build
short_description: Copy a chart, put its dependencies into the copy, and write its values beside it
description:
  - Dependencies come from their repositories as C(Chart.lock) says, or from folders. Nothing is done when the
    copy is up to date. The copy's version ends with a digest of its content, so that an upgrade happens
    whenever a template changed, and only then.
  - What it writes is a result of a build, so it never reports a change, and works in check mode.
options:
  source: {description: Folder of the chart., type: path, required: true}
  destination: {description: Folder of the copy., type: path, required: true}
  dependencies:
    description: >-
      Name of each dependency -> folder of its chart. All of them, or none for C(helm dependency build).
    type: dict
    default: {}
  values:
    description: What is written to a file beside the copy, with its name and C(.values.yaml).
    type: dict
    default: {}
  helm: {description: Helm 3 or 4., type: path, default: helm}
"""

RETURN = r"""
version: {description: Version of the copy., type: str, returned: always}
built: {description: Whether the copy was made anew., type: bool, returned: always}
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "destination": {"type": "path", "required": True},
            "dependencies": {"type": "dict", "default": {}},
            "values": {"type": "dict", "default": {}},
            "helm": {"type": "path", "default": "helm"},
        },
        supports_check_mode=True,
    )
    helm = module.params["helm"]

    def run_helm(*arguments: str, home: Path) -> None:
        # a repository file of our own: Helm 3 builds only from repositories that it was told of
        environment = {**os.environ, "HELM_REPOSITORY_CONFIG": f"{home}/repositories.yaml",
                       "HELM_REPOSITORY_CACHE": f"{home}/cache"}  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603 - what a task says
                [helm, *arguments], env=environment, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise ChartError(
                f"{helm} cannot be run ({error.strerror}): install Helm 3.19 or newer"
            ) from error
        if done.returncode:
            raise ChartError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")

    try:
        built, version = build_chart(
            module.params["source"], module.params["destination"], module.params["dependencies"], run_helm
        )
    except ChartError as error:
        module.fail_json(msg=str(error))
    values = Path(module.params["destination"] + ".values.yaml")
    values.touch(mode=0o600)
    values.write_text(yaml.safe_dump(module.params["values"]))
    module.exit_json(changed=False, built=built, version=version)


if __name__ == "__main__":
    main()
