"""The command line as a user meets it, run in this process or, where that matters, in one of its own."""

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from floe_pipeline.cli import main
from floe_pipeline.options import Chosen

COMMAND = (sys.executable, "-c", "from floe_pipeline.cli import main; main()")


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def run_here(*arguments) -> Ran:
    """Run `floe` in this process: the imports are paid once for all tests."""
    out, err = io.StringIO(), io.StringIO()
    Chosen.verbose = False
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return Ran(left.value.code, out.getvalue(), err.getvalue())


def start(*arguments) -> subprocess.Popen:
    """Start `floe` in a process of its own, its output piped."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture(scope="session")
def floe():
    """`floe("query", "SELECT 1")` runs in this process."""
    return run_here


@pytest.fixture(scope="session")
def start_floe():
    """`start_floe("demo")` runs in a process of its own."""
    return start


@pytest.fixture(scope="session")
def number(floe):
    """The one number that a query on a home's lake gives."""

    def ask(home, sql):
        ran = floe("query", "--home", home, "--format", "csv", sql)
        assert ran.code == 0, ran.err
        return int(ran.out.splitlines()[1])

    return ask


@pytest.fixture(autouse=True, scope="session")
def _extensions_of_the_session(duckdb_extensions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOE_DUCKDB_EXTENSION_DIRECTORY", str(duckdb_extensions))
        yield


@dataclass(frozen=True)
class Demo:
    """A demo that was run once for many tests."""

    home: Path
    out: Path
    ran: Ran
    orders: int


@pytest.fixture(scope="session")
def demo(tmp_path_factory, floe):
    """`floe demo` on a fresh home: a seed of 400 orders and one cycle of 100."""
    folder = tmp_path_factory.mktemp("demo")
    home, out = folder / "home", folder / "build"
    sizes = ("--orders", 400, "--customers", 80, "--cycles", 1)
    return Demo(home, out, floe("demo", "--home", home, "--out", out, *sizes), orders=500)


@pytest.fixture
def small_lake(tmp_path, floe):
    """Home of a lake of the test's own: one batch in bronze, nothing in gold yet."""
    home = tmp_path / "home"
    ran = floe("generate", "--home", home, "--orders", 120, "--customers", 30)
    assert ran.code == 0, ran.err
    return home
