'use strict';
// Stands in for the Rust addon of @cubejs-backend/native, which no package carries: `require('…/index.node')` finds this
// folder. REST and GraphQL need only the result transform; the SQL API is a small one of its own (sql-api/).
const { finalResult, finalResults } = require('./results');
const sqlApi = require('./sql-api');

console.warn('cube-double: this is the real Cube server, but its Rust addon is a JavaScript stand-in of the testbed');

const absent = (what) => () => {
  throw new Error(`${what} needs Cube's Rust addon, which the testbed replaces by a stand-in without it`);
};

module.exports = {
  isFallbackBuild: () => true,
  setupLogger: () => undefined,
  resetLogger: () => undefined,
  redactSqlLiterals: (sql) => String(sql).replace(/'(?:[^']|'')*'/g, "'redacted'"),
  getFinalQueryResult: finalResult,
  getFinalQueryResultMulti: finalResults,
  registerInterface: sqlApi.start,
  shutdownInterface: sqlApi.stop,
  newJinjaEngine: () => ({ loadTemplate: absent('A Jinja model'), renderTemplate: absent('A Jinja model') }),
  buildSqlAndParams: absent('The Tesseract SQL planner (set CUBEJS_TESSERACT_SQL_PLANNER=false)'),
  execSql: absent('POST /v1/cubesql'),
  sql4sql: absent('SQL for SQL'),
  rest4sql: absent('REST for SQL'),
  pythonLoadConfig: absent('cube.py'),
  pythonLoadModel: absent('globals.py'),
  parseCubestoreResultMessage: absent('Cube Store'),
  getCubestoreResult: absent('Cube Store'),
};
