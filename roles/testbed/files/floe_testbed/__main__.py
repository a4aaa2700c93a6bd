"""Command line of the testbed's programs, for the role: settings in, one JSON object out.

python -m floe_testbed check|build|up|import|wait|status|down --settings JSON
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import cluster, containers, lifecycle, node, preflight, status
from .build import build_programs
from .layout import SETTINGS_FILE, Settings, TestbedError
from .system_images import write_system_images


def check(arguments: argparse.Namespace) -> dict[str, Any]:
    """Says what stands in the way, and which packages are missing."""
    found = preflight.problems(
        arguments.settings,
        packages_will_be_installed=arguments.packages_will_be_installed,
        stack_images=arguments.stack_images,
    )
    packages = preflight.missing_packages(stack_images=arguments.stack_images)
    return {"changed": False, "problems": found, "missing_packages": packages}


def build(arguments: argparse.Namespace) -> dict[str, Any]:
    """Builds programs and the images of those that run as pods."""
    cache = arguments.settings.cache
    programs, built = build_programs(cache)
    images, written = write_system_images(cache, programs["tools"])
    folders = {name: str(folder) for name, folder in programs.items()}
    return {"changed": built or written, "programs": folders, "images": images}


def up(arguments: argparse.Namespace) -> dict[str, Any]:
    """Starts the node."""
    with lifecycle.exclusive():
        return {
            "changed": lifecycle.up(
                replace(arguments.settings, kubernetes=arguments.kubernetes, tools=arguments.tools)
            )
        }


def import_images(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gives the node its images."""
    with lifecycle.exclusive():
        images = containers.read_lists([path for path in arguments.images if path.exists()])
        imported = containers.import_images(images, arguments.settings.image_store / "imported.json")
        return {"changed": bool(imported), "imported": imported}


def wait(arguments: argparse.Namespace) -> dict[str, Any]:
    """Waits until the cluster serves and tells that it has the images."""
    if (ours := preflight.owner()) is None:  # the settings that it was started with count
        raise TestbedError("there is no testbed on this machine: `make testbed-up`")
    cluster.wait_until_serving(ours)
    images = containers.read_lists([path for path in arguments.images if path.exists()])
    cluster.wait_until_listed(ours, {name for image in images for name in image.refs})
    return {"changed": False}


def show_status(arguments: argparse.Namespace) -> dict[str, Any]:
    """Tells what is up."""
    images = containers.read_lists([path for path in arguments.images if path.exists()])
    return {"changed": False} | status.report(images)


def down(arguments: argparse.Namespace) -> dict[str, Any]:
    """Takes the testbed away."""
    with lifecycle.exclusive():
        return {"changed": lifecycle.down(arguments.settings)}


_COMMANDS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "check": check,
    "build": build,
    "up": up,
    "import": import_images,
    "wait": wait,
    "status": show_status,
    "down": down,
}


def main() -> int:
    """Runs one command; a failure is one message on standard error and exit code 1."""
    parser = argparse.ArgumentParser(prog="floe_testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in _COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        command.add_argument("--settings", required=True, metavar="JSON")
        command.add_argument("--images", action="append", type=Path, default=[], metavar="LIST")
        command.add_argument("--kubernetes", type=Path, default=Path(), metavar="FOLDER")
        command.add_argument("--tools", type=Path, default=Path(), metavar="FOLDER")
        command.add_argument("--packages-will-be-installed", action="store_true")
        command.add_argument("--stack-images", action="store_true")
    internal = commands.add_parser("run-node", help="(started by `up` in namespaces of its own)")
    internal.add_argument("host_namespace", type=int)
    arguments = parser.parse_args()
    try:
        if arguments.command == "run-node":
            node.run_node(Settings.from_json(SETTINGS_FILE.read_text()), arguments.host_namespace)
        else:
            arguments.settings = Settings.from_json(arguments.settings)
            sys.stdout.write(json.dumps(_COMMANDS[arguments.command](arguments)) + "\n")
    except TestbedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
