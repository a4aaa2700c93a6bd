'use strict';
// An error as PostgreSQL's clients expect it: a message with an SQLSTATE code.

class SqlError extends Error {
  constructor(code, message, { hint, position } = {}) {
    super(message);
    Object.assign(this, { code, hint, position });
  }
}

const HINT = 'It understands SELECT of dimensions, MEASURE() and DATE_TRUNC() from one cube or view, with WHERE, GROUP BY, '
  + 'HAVING, ORDER BY, LIMIT and OFFSET. The real Cube understands more.';

const unsupported = (what) => (
  new SqlError('0A000', `${what} is not supported by the stand-in SQL API of the testbed`, { hint: HINT }));

module.exports = { SqlError, unsupported };
