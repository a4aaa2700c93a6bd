"""psql on Cube's SQL API."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from floe_stack.connection import Connection
from floe_stack.console import open_psql
from floe_stack.errors import StackError
from floe_stack.forwards import Forwards
from floe_stack.stack import open_stack

from .conftest import Cluster

CREDENTIALS = {"sql-user": "cube", "sql-password": "not-in-argv"}


def test_psql_has_the_terminal_for_itself_and_the_password_in_no_argument(
    cluster: Cluster, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in CREDENTIALS.items()}
    (cluster.folder / "secret.json").write_text(json.dumps({"data": data}))
    monkeypatch.setattr(Forwards, "address", lambda *_: "postgresql://127.0.0.1:15432/cube")
    program, told = tmp_path / "psql", tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$@" >{told}\ntest "$PGPASSWORD" = not-in-argv && exit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said: list[str] = []
    with open_stack(connection, said.append) as stack:
        assert open_psql(stack) == 3
    assert said[-1] == ""  # nothing is drawn any more
    assert "--username cube --dbname cube" in told.read_text()
    assert "not-in-argv" not in told.read_text()


def test_without_psql_the_error_says_what_to_install(
    cluster: Cluster, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stack(connection) as stack:
        monkeypatch.setenv("PATH", str(cluster.folder))
        with pytest.raises(StackError, match="postgresql-client"):
            open_psql(stack)
