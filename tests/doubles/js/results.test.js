// The result transform of the stand-in for Cube's addon. Run: node --test tests/doubles/js
'use strict';
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { finalResult, timeText } = require('../../../roles/testbed/files/images/cube/native/results');

const raw = (members, ...columns) => Buffer.from(JSON.stringify({ members, columns }));
const description = (resType) => ({
  aliasToMemberNameMap: { orders__day: 'Orders.at.day', orders__count: 'Orders.count' },
  annotation: { 'Orders.at.day': { type: 'time' }, 'Orders.count': { type: 'number' } },
  query: { dimensions: [] },
  queryType: 'regularQuery',
  resType,
});

test('times come without a zone and with milliseconds, whatever form they had', () => {
  const expected = '2026-01-02T03:04:05.600';
  assert.equal(timeText('2026-01-02 03:04:05.6'), expected);
  assert.equal(timeText('2026-01-02T03:04:05.600Z'), expected);
  assert.equal(timeText('2026-01-02 05:04:05.6+02'), expected);
  assert.equal(timeText(new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 600))), expected);
  assert.equal(timeText('2026-01-02'), '2026-01-02T00:00:00.000');
  assert.equal(timeText('not a time'), 'not a time');
});

test('a granular time is answered under both of its names', async () => {
  const answer = JSON.parse(await finalResult(description(), raw(['orders__day', 'orders__count'], ['2026-01-02'], ['3']), { a: 1 }));
  const at = '2026-01-02T00:00:00.000';
  assert.deepEqual(answer, { a: 1, data: [{ 'Orders.at.day': at, 'Orders.at': at, 'Orders.count': '3' }] });
});

test('columnar and empty answers keep their shape', async () => {
  const columnar = JSON.parse(await finalResult(description('columnar'), raw(['orders__count'], ['3', null]), {})).data;
  assert.deepEqual(columnar, { members: ['Orders.count'], columns: [['3', null]] });
  assert.deepEqual(JSON.parse(await finalResult(description('compact'), raw(['orders__count'], []), {})).data, { members: [], dataset: [] });
});

test('a member that the model hides is named in the error', async () => {
  await assert.rejects(finalResult(description(), raw(['orders__secret'], [1]), {}), /hidden member: 'orders__secret'/);
});
