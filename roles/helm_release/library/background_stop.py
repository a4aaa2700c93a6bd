#!/usr/bin/python
"""Ends an asynchronous task and the programs that it started, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: background_stop
short_description: End an asynchronous task with the programs that it started
description:
  - Sends SIGTERM to the task's process groups, so that Helm can still mark its release as failed, and waits.
options:
  job: {description: Its C(ansible_job_id)., type: str, required: true}
"""

SECONDS = 15


def process_groups(job: str) -> set[int]:
    """Process groups of a job's async_wrapper processes, which carry its id without the last number."""
    command = ["ps", "-A", "-o", "pgid=,args="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    wrappers = [
        line for line in listing.splitlines() if "async_wrapper" in line and job.partition(".")[0] in line
    ]
    return {int(line.split(None, 1)[0]) for line in wrappers} - {os.getpgrp()}


def is_alive(group: int) -> bool:
    """Whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={"job": {"type": "str", "required": True}})
    groups = process_groups(module.params["job"])
    for group in filter(is_alive, groups):
        os.killpg(group, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS
    while any(map(is_alive, groups)) and time.monotonic() < deadline:
        time.sleep(0.2)
    module.exit_json(changed=bool(groups))


if __name__ == "__main__":
    main()
