"""Whatever is typed wrongly is answered in one line that names option, value and what is allowed."""

import subprocess
import sys

import pytest

BAD = [
    (["demo", "--orders", "0"], 2, ["--orders", "'0'", "a whole number, 1 or more"]),
    (["demo", "--orders", "many"], 2, ["--orders", "'many'", "a whole number, 1 or more"]),
    (["demo", "--customers", "1.5"], 2, ["--customers", "'1.5'", "a whole number, 1 or more"]),
    (["demo", "--cycles", "-1"], 2, ["--cycles", "'-1'", "a whole number, 0 or more"]),
    (["demo", "--home"], 2, ["--home", "requires an argument"]),
    (["demo", "--size", "3"], 2, ["--size"]),
    (["demmo"], 2, ["demmo"]),
    (["query"], 2, ["SQL"]),
    (["query", "SELECT 1", "--format", "xml"], 2, ["--format", "'xml'", "'table', 'csv', 'json'"]),
    (["generate", "--products", "-2"], 2, ["--products", "'-2'", "a whole number, 0 or more"]),
    (["catalog", "serve", "--port", "70000"], 2, ["--port", "'70000'", "a whole number from 0 to 65535"]),
    (["demo-ui", "--port", "http"], 2, ["--port", "'http'", "a whole number from 1 to 65535"]),
    (["bench", "--sizes", "10,x"], 2, ["--sizes", "'10,x'", "1000,10000"]),
    (["bench", "--cycles", "0"], 2, ["--cycles", "'0'", "a whole number, 1 or more"]),
    (["demo", "--home", "/dev/null/x"], 1, ["--home /dev/null/x", "Not a directory", "can be written to"]),
    (["verify", "--home", "/dev/null"], 1, ["--home /dev/null", "can be written to"]),
]


@pytest.mark.parametrize(("arguments", "code", "named"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_arguments(arguments, code, named, floe):
    ran = floe(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("floe: ")
    for words in named:
        assert words in ran.err


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"FLOE_SEED": "abc"}, ["FLOE_SEED='abc'", "whole number"]),
        ({"FLOE_DUCKDB_MEMORY_LIMIT": "much"}, ["FLOE_DUCKDB_MEMORY_LIMIT='much'", "1GB"]),
        ({"FLOE_CATALOG_CLIENT_ID": "me"}, ["FLOE_CATALOG_CLIENT_SECRET is not set"]),
        (
            {"FLOE_CATALOG_CLIENT_ID": "me", "FLOE_CATALOG_URI": "ftp://x"},
            ["FLOE_CATALOG_URI='ftp://x'", "http://host:8181/path"],
        ),
    ],
)
def test_bad_environment(variables, named, monkeypatch, tmp_path, floe):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    home = [] if "FLOE_CATALOG_CLIENT_ID" in variables else ["--home", tmp_path]
    ran = floe("query", *home, "SELECT 1")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    for words in named:
        assert words in ran.err


def test_a_catalog_that_is_down_is_named(monkeypatch, floe):
    monkeypatch.setenv("FLOE_CATALOG_CLIENT_ID", "me")
    monkeypatch.setenv("FLOE_CATALOG_CLIENT_SECRET", "secret")
    monkeypatch.setenv("FLOE_CATALOG_URI", "http://127.0.0.1:9/api/catalog")
    ran = floe("transform")
    assert ran.code == 1
    assert "FLOE_CATALOG_URI=http://127.0.0.1:9/api/catalog does not answer" in ran.err
    assert "secret" not in ran.err


def test_another_seed_is_refused(small_lake, monkeypatch, floe):
    monkeypatch.setenv("FLOE_SEED", "7")
    ran = floe("demo", "--home", small_lake)
    assert ran.code == 1
    assert "seed 7: this lake was begun with seed 42" in ran.err


def test_verbose_adds_the_traceback_and_nothing_else_does(tmp_path, floe):
    arguments = ("query", "--home", "/dev/null/x", "SELECT 1")
    assert "Traceback" not in floe(*arguments).err
    assert "Traceback" in floe(*arguments, "--verbose").err
    assert "Traceback" in floe("--verbose", *arguments).err


def test_alone_it_prints_its_help(tmp_path, floe):
    alone, asked = floe(), floe("--help")
    assert alone.out.strip() == asked.out.strip()
    assert (alone.code, asked.code) == (0, 0)
    assert "..." not in asked.out.partition("Commands:")[2]  # every command's line fits


def test_help_imports_nothing_heavy():
    heavy = {
        "duckdb",
        "pyiceberg",
        "pyarrow",
        "dbt",
        "dagster",
        "numpy",
        "plotly",
        "pydantic_settings",
        "httpx",
    }
    script = (
        "import sys\nfrom floe_pipeline.cli import app\napp(['demo', '--help'], standalone_mode=False)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
