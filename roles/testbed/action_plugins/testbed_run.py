"""Runs programs side by side and shows what they say while they say it: a long build is never silent.

    testbed_run:
      programs:
        - {label: images, argv: [python3, -m, image_builder], environment: {PYTHONPATH: ...}}

What a program prints is shown line by line, but for a JSON object in the last line of standard output:
those objects, merged, are the task's result (`changed` if any says so). When one fails, the task fails with
what it said last, after all have ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_display = Display()
_TAIL = 30


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core has no types
    """The action; its only argument is `programs`."""

    _supports_check_mode = False
    _VALID_ARGS = frozenset({"programs"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Runs the programs and merges their results."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        programs = self._task.args.get("programs")
        if not isinstance(programs, list) or not all(isinstance(p, dict) and "argv" in p for p in programs):
            raise AnsibleActionFail("programs: wants a list of {label, argv, environment}")
        with ThreadPoolExecutor(len(programs) or 1) as pool:
            outcomes = list(pool.map(_run, programs))
        failures = [f"{label} failed:\n{tail}" for label, code, tail, _ in outcomes if code]
        for _, _, _, values in outcomes:
            changed = result.get("changed", False) or values.get("changed", False)
            result |= values | {"changed": changed}
        if failures:
            result |= {"failed": True, "msg": "\n".join(failures)}
        return result


def _run(program: dict[str, Any]) -> tuple[str, int, str, dict[str, Any]]:
    """Returns a program's label, exit code, last lines and result."""
    argv = [str(part) for part in program["argv"]]
    label = str(program.get("label", argv[0]))
    environment = {key: str(value) for key, value in program.get("environment", {}).items()}
    tail: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(  # noqa: S603 - what the role says
        argv,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout
        assert process.stderr
        shower = threading.Thread(target=_show, args=(label, process.stderr, tail))
        shower.start()
        last = _show(label, process.stdout, tail)
        shower.join()
    return label, process.returncode, "\n".join(tail), _result(last)


def _show(label: str, stream: IO[str], tail: deque[str]) -> str:
    """Shows lines as they come; holds a JSON object back and returns it if it was the last line."""
    held = ""
    for line in stream:
        for text in filter(None, (held, line.rstrip())):
            if text.startswith("{") and text is not held:
                held = text
            else:
                tail.append(text)
                _display.display(f"  {label}: {text}")
                held = ""
    return held


def _result(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line) if line else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
