// Where the lineage page puts its nodes. Run: node --test tests/doubles/js
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

// The page's modules are plain .js for browsers; Node.js takes this one as a module from its text.
const file = new URL('../../../roles/testbed/files/images/marquez-web-double/marquez_web_double/static/layout.js', import.meta.url);
const { layout } = await import(`data:text/javascript,${encodeURIComponent(await readFile(file, 'utf8'))}`);

const node = (id, ...origins) => ({ id, inEdges: origins.map((origin) => ({ origin, destination: id })) });

test('a node stands to the right of everything it comes from', () => {
  const { places, edges } = layout([node('daily', 'job2'), node('job2', 'orders', 'raw'), node('orders', 'job1'), node('job1', 'raw'), node('raw')]);
  for (const [from, to] of edges) assert.ok(places.get(from).x < places.get(to).x, `${from} is left of ${to}`);
});

test('no two nodes lie on each other', () => {
  const { places } = layout([node('a'), node('b'), node('c', 'a', 'b'), node('d', 'a')]);
  const spots = [...places.values()].map(({ x, y }) => `${x},${y}`);
  assert.equal(new Set(spots).size, 4);
});

test('a circle and an edge from outside the graph are drawn all the same', () => {
  const { places, edges } = layout([node('job', 'table', 'elsewhere'), node('table', 'job')]);
  assert.equal(places.size, 2);
  assert.deepEqual(edges.sort(), [['job', 'table'], ['table', 'job']]);
});
