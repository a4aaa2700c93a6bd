'use strict';
// From the driver's columns to the rows of an answer, in the three shapes that the REST API offers.

/** Times leave Cube as YYYY-MM-DDTHH:mm:ss.SSS without a zone; what is not a time passes unchanged. */
function timeText(value) {
  if (value instanceof Date) return value.toISOString().slice(0, 23);
  const text = String(value).trim().replace(' ', 'T');
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}(?::?\d{2})?)?$/.exec(text);
  if (!match) return value;
  const [, day, clock = '00:00:00', fraction = '', zone] = match;
  if (zone && zone !== 'Z') return new Date(text.replace(/([+-]\d{2})$/, '$1:00')).toISOString().slice(0, 23);
  return `${day}T${clock}.${fraction.padEnd(3, '0').slice(0, 3)}`;
}

const cell = (value, type) => (value != null && (type === 'time' || value instanceof Date) ? timeText(value) : value);

function dateRange(query) {
  const range = query.timeDimensions?.[0]?.dateRange;
  if (!Array.isArray(range)) throw new Error('QueryTimeDimension should be specified for the compare date range query.');
  return range.join(' - ');
}

/** The members of an answer in order: [name, read(row)]. */
function plan({ aliasToMemberNameMap, annotation, query, queryType }, { members, columns }) {
  const found = [];
  members.forEach((alias, index) => {
    const member = aliasToMemberNameMap[alias];
    const type = annotation[member]?.type;
    if (!member || !annotation[member]) {
      throw new Error(`You requested hidden member: '${alias}'. Please make it visible using \`public: true\`. `
        + 'Please note primaryKey fields are `public: false` by default.');
    }
    const read = (row) => cell(columns[index][row], type);
    found.push([member, read]);
    // Orders.createdAt.day is also answered as Orders.createdAt
    const [cube, name, granularity] = member.split('.');
    if (granularity && !(query.dimensions ?? []).includes(`${cube}.${name}`)) found.push([`${cube}.${name}`, read]);
  });
  if (queryType === 'compareDateRangeQuery') found.push(['compareDateRange', () => dateRange(query)]);
  if (queryType === 'blendingQuery') {
    const { dimension, granularity } = query.timeDimensions[0];
    const [, read] = found.find(([name]) => name === `${dimension}.${granularity}`);
    found.push([`time.${granularity}`, read]);
  }
  return found;
}

function transform(description, raw) {
  const data = JSON.parse(Buffer.from(raw).toString('utf8')); // { members: [alias], columns: [[value]] }
  const length = data.columns[0]?.length ?? 0;
  const found = plan(description, data);
  const rows = Array.from({ length }, (_, row) => row);
  const members = length ? found.map(([name]) => name) : [];
  switch (description.resType) {
    case 'compact': return { members, dataset: rows.map((row) => found.map(([, read]) => read(row))) };
    case 'columnar': return { members, columns: length ? found.map(([, read]) => rows.map(read)) : [] };
    default: return rows.map((row) => Object.fromEntries(found.map(([name, read]) => [name, read(row)])));
  }
}

const finalResult = async (description, raw, answer) => (
  Buffer.from(JSON.stringify({ ...answer, data: transform(description, raw) })));

const finalResults = async (descriptions, raws, answer) => Buffer.from(JSON.stringify({
  ...answer,
  results: answer.results.map((result, i) => ({ ...result, data: transform(descriptions[i], raws[i]) })),
}));

module.exports = { finalResult, finalResults, timeText };
