"""The table of promises names each id that a command looks at, beside that command, and no other."""

from __future__ import annotations

import re

import pytest

from floe_stack.checks import QUESTIONS

from .shell_blocks import ROOT

ROW = re.compile(r"^\| ([A-Z][^|]*?) \|.*\| (verify|resilience|bench) \|$", re.MULTILINE)
ID = r'"((?:US|FR|SC|B|E)-?\d[^" ]*)'


def documented(command: str) -> set[str]:
    rows = ROW.findall((ROOT / "docs/promises.md").read_text())
    return {name for ids, looks in rows if looks == command for name in ids.split(", ")}


def ids_in(folder: str, before: str) -> set[str]:
    """Ids that stand right behind a call in the sources of a folder."""
    sources = "".join(path.read_text() for path in sorted((ROOT / folder).glob("*.py")))
    return set(re.findall(before + ID, sources))


@pytest.mark.parametrize(
    ("command", "looked_at"),
    [
        ("verify", {name for question in QUESTIONS for name in question.promises}),
        ("resilience", ids_in("tests/resilience", r"record\(\s*f?")),
        ("bench", ids_in("pipeline/src/floe_pipeline/bench", r"Check\(\s*")),
    ],
)
def test_the_table_is_what_the_commands_look_at(command: str, looked_at: set[str]) -> None:
    assert documented(command) == looked_at
