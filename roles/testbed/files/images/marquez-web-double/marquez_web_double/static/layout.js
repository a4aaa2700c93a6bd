// Where each node of a lineage graph goes: columns by the longest way from a source, rows by their neighbours' middle.

export const NODE = { width: 220, height: 48, gapX: 90, gapY: 22 };

/**
 * @param {{id: string, inEdges: {origin: string}[]}[]} nodes as /api/v1/lineage returns them
 * @returns {{places: Map<string, {x: number, y: number}>, edges: [string, string][], width: number, height: number}}
 */
export function layout(nodes) {
  const known = new Set(nodes.map((node) => node.id));
  const parents = new Map(nodes.map((node) => [node.id, node.inEdges.map((e) => e.origin).filter((o) => known.has(o))]));
  const columns = columnsOf(nodes, parents);
  const places = new Map();
  const tallest = Math.max(...columns.map((column) => column.length));
  const height = tallest * (NODE.height + NODE.gapY) - NODE.gapY;
  columns.forEach((column, index) => {
    const middle = (id) => {
      const ys = parents.get(id).filter((p) => places.has(p)).map((p) => places.get(p).y);
      return ys.length ? ys.reduce((a, b) => a + b) / ys.length : Number.MAX_SAFE_INTEGER;
    };
    const sorted = [...column].sort((a, b) => middle(a) - middle(b) || a.localeCompare(b));
    const top = (height - (sorted.length * (NODE.height + NODE.gapY) - NODE.gapY)) / 2;
    sorted.forEach((id, row) => places.set(id, { x: index * (NODE.width + NODE.gapX), y: top + row * (NODE.height + NODE.gapY) }));
  });
  const edges = nodes.flatMap((node) => parents.get(node.id).map((origin) => [origin, node.id]));
  return { places, edges, width: columns.length * (NODE.width + NODE.gapX) - NODE.gapX, height };
}

// A job that reads what it writes makes a circle: the edge that closes it does not count.
function columnsOf(nodes, parents) {
  const depth = new Map();
  const open = new Set();
  const visit = (id) => {
    if (depth.has(id)) return depth.get(id);
    if (open.has(id)) return -1;
    open.add(id);
    const value = 1 + Math.max(-1, ...parents.get(id).map(visit));
    open.delete(id);
    depth.set(id, value);
    return value;
  };
  const columns = [];
  for (const { id } of nodes) (columns[visit(id)] ??= []).push(id);
  return columns.filter(Boolean);
}
