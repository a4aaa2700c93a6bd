'use strict';
// What Cube's connection to DuckDB lacks: each statement is planned once, waits for its turn, and is given up when
// DuckDB hangs.

// No statement of a lake that is slow or away takes so long: each of its requests is given up after 20 seconds.
const HUNG_MS = 60_000;

// The parts of a statement in which a question mark is no placeholder, and placeholders.
const PARTS = /'[^']*'|"[^"]*"|--.*|\/\*[^]*?\*\/|\?/g;

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

/** A statement with its values in it, or nothing when they are not all texts that SQL can hold, or not as many. */
function withValues(sql, values) {
  if (values.some((value) => typeof value !== 'string' || value.includes('\0'))) return undefined;
  let placed = 0;
  const text = sql.replace(PARTS, (part) => (part === '?' ? quoted(values[placed++] ?? '') : part));
  return placed === values.length ? text : undefined;
}

/**
 * Lets a connection plan each statement once. One that is prepared, as the driver's all are, is planned again when it
 * runs, for an Iceberg table may have changed in between; and to plan is half of what a question costs.
 */
function planOnce(connection) {
  const run = connection.run.bind(connection);
  connection.run = (sql, values = []) => {
    const text = withValues(sql, values);
    return text === undefined ? run(sql, values) : run(text);
  };
}

function inTime(running, milliseconds, late) {
  let timer;
  const over = new Promise((_, reject) => { timer = setTimeout(() => reject(late()), milliseconds); });
  return Promise.race([running, over]).finally(() => clearTimeout(timer));
}

/**
 * Runs statements one after another, as DuckDB does itself, but without a thread of Node.js waiting for each, and gives
 * all of them up when one hangs. DuckDB 1.5.5 waits for itself for good when the storage goes away while it reads a
 * manifest: it asks for new keys and opens the file again, and has not let go of it before.
 */
function giveUpWhenHung(connection, onHung, milliseconds) {
  const run = connection.run.bind(connection);
  let last = Promise.resolve();
  let hung;
  const late = () => {
    hung = new Error(`IO Error: the storage went away, and DuckDB gave no answer for ${milliseconds / 1000} s`);
    onHung();
    return hung;
  };
  connection.run = (...statement) => {
    const turn = last.then(() => {
      if (hung) throw hung;
      return inTime(run(...statement), milliseconds, late);
    });
    last = turn.catch(() => {});
    return turn;
  };
}

/** Gives a connection all of that; `onHung` is called once, when nothing can be asked of it any more. */
function mend(connection, onHung, milliseconds = HUNG_MS) {
  planOnce(connection);
  giveUpWhenHung(connection, onHung, milliseconds);
}

module.exports = { mend, quoted };
