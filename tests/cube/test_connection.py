"""A DuckDB that hangs: its statements are given up, and another one answers."""

from __future__ import annotations

import pytest

from .conftest import Cube
from .test_lake import DRIVER, run_node

pytestmark = pytest.mark.services

# A connection whose statements end when their number is called, and what was asked of it.
CONNECTION = """
const { mend } = require('./connection.js');
const asked = [];
const answer = (sql) => (sql === 'hang' ? new Promise(() => {}) : sql);
const connection = { run: (sql) => { asked.push(sql); return answer(sql); } };
let hung = 0;
mend(connection, () => { hung += 1; }, 200);
const told = (sql) => connection.run(sql).catch((error) => error.message);
"""


def test_statements_of_a_connection_that_hangs_are_given_up_together(cube: Cube) -> None:
    script = """
    Promise.all(['1', 'hang', '2', '3'].map(told)).then(async (answers) => {
      console.log(JSON.stringify([answers, await told('4'), asked, hung]));
    });"""
    done = run_node(cube, CONNECTION + script)
    gave_up = '"IO Error: the storage went away, and DuckDB gave no answer for 0.2 s"'
    assert done.stdout.strip() == f'[["1",{gave_up},{gave_up},{gave_up}],{gave_up},["1","hang"],1]', (
        done.stderr
    )


def test_statements_run_one_after_another_and_a_failure_stops_none(cube: Cube) -> None:
    script = """
    const running = new Set();
    let most = 0;
    const real = { run: async (sql) => {
      running.add(sql); most = Math.max(most, running.size);
      await new Promise((done) => { setImmediate(done); });
      running.delete(sql);
      if (sql === 'bad') throw new Error('no such table');
      return sql;
    } };
    mend(real, () => {}, 200);
    Promise.allSettled(['1', 'bad', '2'].map((sql) => real.run(sql))).then((ends) => {
      console.log(most, ends.map((end) => end.value ?? end.reason.message).join());
    });"""
    done = run_node(cube, CONNECTION + script)
    assert done.stdout.strip() == "1 1,no such table,2", done.stderr


def test_another_duckdb_answers_and_the_third_that_hangs_ends_cube(cube: Cube) -> None:
    script = f"""
    const lake = {DRIVER};
    const count = () => lake.query('SELECT count(*) AS orders FROM lake.gold.orders');
    const hang = async () => {{
      const {{ defaultConnection }} = await lake.getInitiatedState();
      const {{ run }} = defaultConnection;
      return run.call(defaultConnection, 'hang').catch((error) => error.message);
    }};
    """
    script += """
    const { DuckDBConnection } = require('@duckdb/node-api');
    const real = DuckDBConnection.prototype.run;
    DuckDBConnection.prototype.run = function run(sql, ...rest) {
      return sql === 'hang' ? new Promise(() => {}) : real.call(this, sql, ...rest);
    };
    const timer = setTimeout;
    global.setTimeout = (call, after, ...rest) => timer(call, after === 60000 ? 2000 : after, ...rest);
    (async () => {
      for (const time of [1, 2, 3]) {
        console.log(time, (await count())[0].orders > 0);
        console.log(await hang());
      }
    })();
    """
    done = run_node(cube, script)
    gave_up = "IO Error: the storage went away, and DuckDB gave no answer for 60 s"
    assert done.stdout.split("\n") == ["1 true", gave_up, "2 true", gave_up, "3 true", ""], done.stderr
    assert "3 of at most 3 times" in done.stderr
    assert done.returncode == 1
