'use strict';
// A SELECT -> the query that Cube's REST API would be asked, and the columns that come back.
const { SqlError, unsupported } = require('./errors');
const { Filters, constant } = require('./filters');
const { Source, equal } = require('./members');
const { TYPES } = require('./types');

const DEFAULT_LIMIT = 50_000; // of Cube's own SQL API

/** Values of $1, $2 ...; while a statement is only being described there are none, and their types are collected. */
class Parameters {
  constructor(values) {
    this.values = values;
    this.types = [];
  }

  value(number, type) {
    this.types[number - 1] ??= type.oid;
    if (!this.values) return type === TYPES.time ? '2000-01-01' : '0';
    if (number > this.values.length) throw new SqlError('08P01', `there is no value for parameter $${number}`);
    return this.values[number - 1];
  }
}

const UNKNOWN_CLAUSES = {
  withClause: 'WITH',
  distinctClause: 'SELECT DISTINCT',
  windowClause: 'WINDOW',
  lockingClause: 'FOR UPDATE',
  valuesLists: 'VALUES',
};

function refuseUnknownClauses(select) {
  for (const [key, name] of Object.entries(UNKNOWN_CLAUSES)) if (select[key]) throw unsupported(name);
  if (select.op !== 'SETOP_NONE') throw unsupported(select.op.replace('SETOP_', ''));
}

/** A column by its place (1), its alias or its expression. */
function picked(node, columns, source) {
  const place = node.A_Const?.ival?.ival;
  if (place !== undefined) {
    if (!columns[place - 1]) throw new SqlError('42P10', `position ${place} is not in select list`);
    return columns[place - 1];
  }
  const name = node.ColumnRef?.fields.length === 1 && node.ColumnRef.fields[0].String?.sval;
  return columns.find((column) => name && column.name === name) ?? source.resolve(node);
}

function grouping(select, columns, source) {
  const grouped = (select.groupClause ?? []).map((node) => picked(node, columns, source));
  const measure = grouped.find((it) => it.kind === 'measure');
  if (measure) throw new SqlError('42803', `aggregate functions are not allowed in GROUP BY: ${measure.member}`);
  const aggregates = Boolean(select.groupClause) || columns.some((it) => it.kind === 'measure');
  const loose = columns.find((it) => it.kind !== 'measure' && !grouped.some((g) => equal(g, it)));
  if (aggregates && loose) {
    throw new SqlError('42803', `column "${loose.member}" must appear in the GROUP BY clause or be used in MEASURE()`);
  }
  return { grouped, aggregates };
}

function ordering(select, columns, source) {
  return (select.sortClause ?? []).map(({ SortBy: { node, sortby_dir: direction, sortby_nulls: nulls } }) => {
    if (nulls !== 'SORTBY_NULLS_DEFAULT') throw unsupported('NULLS FIRST or LAST');
    const column = picked(node, columns, source);
    if (!columns.some((it) => equal(it, column))) throw unsupported('ORDER BY of what is not selected');
    return [column.member, direction === 'SORTBY_DESC' ? 'desc' : 'asc'];
  });
}

function count(node, parameters, fallback) {
  if (!node || node.A_Const?.isnull) return fallback;
  const given = node.ParamRef ? parameters.value(node.ParamRef.number, TYPES.bigint) : constant(node.A_Const ?? {});
  const value = Number(given);
  if (!Number.isInteger(value) || value < 0) {
    throw new SqlError('2201W', `LIMIT and OFFSET must be whole numbers, zero or more, not ${given}`);
  }
  return value;
}

const uniqueMembers = (columns) => [...new Set(columns.map((it) => it.member))];

/**
 * @param {object} select a SelectStmt with a FROM clause and without unknown ones
 * @param {object[]} cubes from Cube's metadata
 * @param {?(string|boolean|null)[]} values of the parameters, or null to learn their types
 * @returns {{columns: object[], query: object, parameterTypes: number[]}}
 */
function translate(select, cubes, values) {
  const source = Source.of(select.fromClause, cubes);
  const parameters = new Parameters(values);
  const filters = new Filters(source, parameters);
  const columns = select.targetList.map(({ ResTarget: { name, val } }) => {
    const column = source.resolve(val);
    return { ...column, name: name ?? column.name };
  });
  const { grouped, aggregates } = grouping(select, columns, source);
  const asked = [...columns, ...grouped.filter((g) => !columns.some((it) => equal(it, g)))];
  const times = asked.filter((it, i) => it.kind === 'time' && asked.findIndex((other) => equal(it, other)) === i);
  const query = {
    measures: uniqueMembers(asked.filter((it) => it.kind === 'measure')),
    dimensions: uniqueMembers(asked.filter((it) => it.kind === 'dimension')),
    timeDimensions: times.map(({ member, granularity }) => ({ dimension: member, granularity })),
    segments: [],
    filters: [select.whereClause, select.havingClause].filter(Boolean).flatMap((node) => filters.list(node)),
    limit: count(select.limitCount, parameters, DEFAULT_LIMIT),
    offset: count(select.limitOffset, parameters, 0),
    order: ordering(select, columns, source),
    ...(aggregates ? {} : { ungrouped: true }),
  };
  return { columns, query, parameterTypes: [...parameters.types].map((oid) => oid ?? TYPES.text.oid) };
}

/** Rows of an answer in the order of the columns. */
function rowsOf({ members, columns: data }, columns) {
  const places = columns.map((it) => members.indexOf(it.kind === 'time' ? `${it.member}.${it.granularity}` : it.member));
  return Array.from({ length: data[0]?.length ?? 0 }, (_, row) => places.map((place) => data[place][row]));
}

module.exports = { refuseUnknownClauses, rowsOf, translate };
