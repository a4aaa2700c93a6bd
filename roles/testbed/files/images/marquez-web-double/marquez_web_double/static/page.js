// The page: lists what Marquez knows, draws the chosen one's lineage, and shows its details.
import { layout, NODE } from './layout.js';

const list = document.getElementById('list');
const stage = document.getElementById('stage');
const details = document.getElementById('details');
const search = document.getElementById('search');
const REFRESH_MS = 10_000;
let drawn = '';

const get = async (path) => {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${(await answer.json().catch(() => ({}))).message ?? ''}`);
  return answer.json();
};
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
};
const svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
};
const nodeId = (kind, { namespace, name }) => `${kind}:${namespace}:${name}`;
const chosen = () => decodeURIComponent(location.hash.slice(1));
const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

async function everything() {
  const { jobs } = await get('/api/v1/jobs?limit=200');
  const { namespaces } = await get('/api/v1/namespaces?limit=200');
  const pages = await Promise.all(
    namespaces.map(({ name }) => get(`/api/v1/namespaces/${encodeURIComponent(name)}/datasets?limit=500`)),
  );
  return { jobs, datasets: pages.flatMap((page) => page.datasets) };
}

function showList({ jobs, datasets }) {
  const group = (title, kind, items) => {
    const wanted = items.filter((it) => it.name.toLowerCase().includes(search.value.toLowerCase()));
    const links = wanted.map((it) => {
      const id = nodeId(kind, it);
      const link = element('a', { href: `#${encodeURIComponent(id)}`, title: it.namespace }, element('span', { class: `dot ${kind}` }), it.name);
      if (id === chosen()) link.setAttribute('aria-current', 'true');
      return link;
    });
    return [element('h2', {}, `${title} (${wanted.length})`), ...links];
  };
  list.replaceChildren(...group('Datasets', 'dataset', datasets), ...group('Jobs', 'job', jobs));
}

function drawNode(node, { x, y }) {
  const kind = node.type.toLowerCase();
  const state = node.data.latestRun?.state ?? '';
  const classes = ['node', kind, state === 'FAILED' ? 'failed' : '', node.id === chosen() ? 'chosen' : ''].join(' ');
  const sub = kind === 'job' ? state.toLowerCase() || 'never ran' : `${node.data.fields.length} columns`;
  const drawing = svg('g', { class: classes, transform: `translate(${x},${y})`, tabindex: 0, role: 'link' },
    svg('title', {}, node.id),
    svg('rect', { width: NODE.width, height: NODE.height, rx: kind === 'job' ? 24 : 6 }),
    svg('text', { x: 18, y: 21 }, short(node.data.simpleName ?? node.data.name, 27)),
    svg('text', { x: 18, y: 37, class: 'sub' }, `${kind} · ${sub}`));
  const open = () => { location.hash = encodeURIComponent(node.id); };
  drawing.addEventListener('click', open);
  drawing.addEventListener('keydown', (event) => { if (event.key === 'Enter') open(); });
  return drawing;
}

function draw(graph) {
  const { places, edges, width, height } = layout(graph);
  const paths = edges.map(([from, to]) => {
    const a = places.get(from);
    const b = places.get(to);
    const [x1, y1, x2, y2] = [a.x + NODE.width, a.y + NODE.height / 2, b.x - 7, b.y + NODE.height / 2];
    const bend = Math.max(40, (x2 - x1) / 2);
    return svg('path', { class: 'edge', 'marker-end': 'url(#tip)', d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}` });
  });
  const tip = svg('marker', { id: 'tip', viewBox: '0 0 8 8', refX: 2, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' },
    svg('path', { d: 'M0,0 L8,4 L0,8 z', fill: 'var(--edge)' }));
  stage.replaceChildren(svg('svg', { width: width + 8, height: height + 8, viewBox: `-4 -4 ${width + 8} ${height + 8}`, role: 'img', 'aria-label': 'Lineage graph' },
    svg('defs', {}, tip), ...paths, ...graph.map((node) => drawNode(node, places.get(node.id)))));
  stage.querySelector('.chosen')?.scrollIntoView({ block: 'center', inline: 'center' });
}

function showDetails(node) {
  const { data } = node;
  const run = data.latestRun;
  const rows = node.type === 'JOB'
    ? { Namespace: data.namespace, Parent: data.parentJobName, 'Last run': run?.id, State: run?.state, Started: run?.startedAt, Took: run?.durationMs != null ? `${run.durationMs} ms` : null }
    : { Namespace: data.namespace, Source: data.sourceName, Changed: data.lastModifiedAt };
  const facts = Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]);
  const columns = (data.fields ?? []).map((f) => element('tr', {}, element('td', {}, f.name), element('td', {}, f.type ?? '')));
  details.replaceChildren(element('h2', {}, data.name), data.description ?? '', element('dl', {}, ...facts), element('table', {}, ...columns));
  details.hidden = false;
}

async function refresh() {
  try {
    const all = await everything();
    if (!chosen()) {
      const first = all.jobs.find((job) => job.inputs.length + job.outputs.length) ?? all.jobs[0];
      if (first) history.replaceState(null, '', `#${encodeURIComponent(nodeId('job', first))}`);
    }
    showList(all);
    if (!chosen()) {
      stage.replaceChildren(element('p', { class: 'hint' }, 'No lineage yet: it appears after the first run.'));
      return;
    }
    const { graph } = await get(`/api/v1/lineage?nodeId=${encodeURIComponent(chosen())}&depth=20`);
    const now = JSON.stringify([chosen(), graph]);
    if (now === drawn) return;
    drawn = now;
    draw(graph);
    showDetails(graph.find((node) => node.id === chosen()));
  } catch (error) {
    drawn = '';
    stage.replaceChildren(element('p', { class: 'hint' }, String(error.message)));
  }
}

search.addEventListener('input', refresh);
addEventListener('hashchange', refresh);
setInterval(refresh, REFRESH_MS);
refresh();
