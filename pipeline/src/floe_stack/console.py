"""`floe stack psql`: Cube's SQL API from a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from floe_stack.doors import CUBE_SQL
from floe_stack.errors import StackError
from floe_stack.stack import CUBE_SECRET, Stack


def answer(stack: Stack, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of one statement.

    Raises:
        StackError: Cube refuses it, with its own words.
    """
    try:
        with stack.cube_sql() as session, session.cursor() as cursor:
            cursor.execute(sql)
            columns = [column.name for column in cursor.description or ()]
            return columns, cursor.fetchall() if columns else []
    except psycopg2.Error as error:
        raise StackError(f"Cube: {str(error).strip().partition(chr(10))[0]}") from error


def open_psql(stack: Stack) -> int:
    """Open psql on a forward of its own; returns its exit code.

    Raises:
        StackError: psql is not installed.
    """
    program = shutil.which("psql")
    if program is None:
        raise StackError(
            "psql is not installed (Debian: postgresql-client, macOS: libpq); one statement works without it:"
            ' make psql-cube SQL="SELECT MEASURE(count) FROM Orders"'
        )
    secret, place = stack.secret(CUBE_SECRET), urlsplit(stack.forwards.address(CUBE_SQL))
    command = [program, "--host", str(place.hostname), "--port", str(place.port)]
    command += ["--username", secret["sql-user"], "--dbname", place.path.lstrip("/")]
    stack.say("")  # the terminal is psql's now
    # The password in the environment: arguments are shown to every user of the machine.
    done = subprocess.run(command, env=os.environ | {"PGPASSWORD": secret["sql-password"]}, check=False)  # noqa: S603
    return done.returncode
