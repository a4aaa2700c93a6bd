'use strict';
// What a span may show of a question: names of members, and SQL without its literals. Values of filters, which may be a
// person's, stay in Cube.
const MEMBER = /^\w+(\.\w+){1,2}$/;
const LITERALS = /"[^"]*"|'[^']*'|\b\d[\w.]*/g; // and names in quotes, which stay

const list = (value) => [].concat(value ?? []);

/** A member: what the SQL API asks for may be an expression, and hold values. */
const shown = (member) => (MEMBER.test(member) ? member : 'expression');

/** The members that a filter looks at. */
function filtered(filter) {
  const nested = filter?.and ?? filter?.or;
  return nested ? list(nested).flatMap(filtered) : [shown(filter?.member ?? filter?.dimension)];
}

/** The members of queries that are one question: lists of names. */
function membersOf(queries) {
  const of = (pick) => [...new Set(queries.flatMap(pick))];
  const times = (query, kind) => list(query?.timeDimensions).filter((time) => time?.[kind]);
  const periods = (query) => times(query, 'granularity').map((time) => `${time.dimension}.${time.granularity}`);
  return {
    measures: of((query) => list(query?.measures).map(shown)),
    dimensions: of((query) => [...list(query?.dimensions), ...periods(query)].map(shown)),
    segments: of((query) => list(query?.segments).map(shown)),
    filters: of((query) => [...list(query?.filters), ...times(query, 'dateRange')].flatMap(filtered)),
  };
}

function nameOf({ measures, dimensions }) {
  const name = `load ${measures.join(', ')}${measures.length && dimensions.length ? ' by ' : ''}${dimensions.join(', ')}`;
  return name.length > 100 ? `${name.slice(0, 99)}…` : name;
}

const withoutLiterals = (sql) => (
  sql.replace(LITERALS, (part) => (part[0] === '"' ? part : '?')).replace(/\s+/g, ' ').slice(0, 2000));

/** What went wrong, up to the first quotation mark, since a value may follow; of SQL's expressions, only its kind. */
function reasonOf(error, api) {
  const text = String(error).replace(/^(Error: )+/, '').split(/['"`\n]/, 1)[0].slice(0, 300).trim();
  return api === 'sql' ? text.split(':', 1)[0] : text;
}

module.exports = { membersOf, nameOf, reasonOf, withoutLiterals };
