'use strict';
// One statement: what it is, which columns and parameters it has, and how it runs.
const { parseSync } = require('libpg-query');
const { SqlError, unsupported } = require('./errors');
const { constant } = require('./filters');
const { kindOf, names } = require('./members');
const { refuseUnknownClauses, rowsOf, translate } = require('./select');
const { TYPES } = require('./types');

const VERSION = '14.2 (Cube SQL)';
const TRANSACTIONS = {
  TRANS_STMT_BEGIN: 'BEGIN',
  TRANS_STMT_START: 'BEGIN',
  TRANS_STMT_COMMIT: 'COMMIT',
  TRANS_STMT_ROLLBACK: 'ROLLBACK',
};
const COMMANDS = { // taken, and without effect
  VariableSetStmt: 'SET',
  DiscardStmt: 'DISCARD ALL',
  DeallocateStmt: 'DEALLOCATE',
  ClosePortalStmt: 'CLOSE CURSOR',
  UnlistenStmt: 'UNLISTEN',
};
const SETTINGS = {
  server_version: VERSION,
  transaction_isolation: 'read committed',
  standard_conforming_strings: 'on',
  timezone: 'Etc/UTC',
};

/** Splits a query string into statements; raises SqlError where PostgreSQL's own grammar refuses it. */
function parse(sql) {
  try {
    return (sql.trim() ? parseSync(sql).stmts ?? [] : []).map(({ stmt }) => stmt);
  } catch (error) {
    if (!error.sqlDetails) throw error;
    throw new SqlError('42601', error.message, { position: String(error.sqlDetails.cursorPosition + 1) });
  }
}

/** A column of constants: SELECT 1, SELECT version(), SHOW ... */
function constants(select, session) {
  const functions = {
    version: `PostgreSQL ${VERSION}`,
    current_schema: 'public',
    current_database: 'cube',
    current_user: session.user,
  };
  return select.targetList.map(({ ResTarget: { name, val } }) => {
    if (val.A_Const) {
      const type = val.A_Const.ival ? TYPES.bigint : TYPES.text;
      return { name: name ?? '?column?', type, value: constant(val.A_Const) };
    }
    const called = val.FuncCall
      ? names(val.FuncCall.funcname).at(-1)
      : val.SQLValueFunction?.op.replace('SVFOP_', '').toLowerCase();
    if (functions[called] === undefined) throw unsupported(`SELECT of ${called ? `${called}()` : kindOf(val)} without FROM`);
    return { name: name ?? called, type: TYPES.text, value: functions[called] };
  });
}

const fixed = (columns, tag) => ({
  columns, parameterTypes: [], tag, run: async () => [columns.map((column) => column.value)],
});
const command = (tag, transaction) => ({ columns: null, parameterTypes: [], tag, transaction, run: async () => [] });

/**
 * What a statement is.
 * @returns {Promise<object>} {columns: null where no rows come, parameterTypes: oids, tag, transaction, run(values): rows}
 */
async function prepare(statement, gateway, session) {
  const kind = kindOf(statement);
  if (COMMANDS[kind]) return command(COMMANDS[kind]);
  if (kind === 'TransactionStmt') {
    const tag = TRANSACTIONS[statement.TransactionStmt.kind];
    if (!tag) throw unsupported('SAVEPOINT');
    return command(tag, tag);
  }
  if (kind === 'VariableShowStmt') {
    const { name } = statement.VariableShowStmt;
    return fixed([{ name, type: TYPES.text, value: SETTINGS[name.toLowerCase()] ?? '' }], 'SHOW');
  }
  if (kind !== 'SelectStmt') throw unsupported(kind.replace(/Stmt$/, '').toUpperCase());
  const select = statement.SelectStmt;
  refuseUnknownClauses(select);
  if (!select.fromClause) return fixed(constants(select, session), 'SELECT 1');
  const cubes = await gateway.cubes(session);
  const { columns, parameterTypes } = translate(select, cubes, null);
  return {
    columns,
    parameterTypes,
    tag: 'SELECT',
    run: async (values) => rowsOf(await gateway.load(session, translate(select, cubes, values).query), columns),
  };
}

module.exports = { parse, prepare, VERSION };
