'use strict';
// Traces of Cube's questions, made of what Cube tells its logger, for Cube has no OpenTelemetry of its own.
const crypto = require('crypto');
const { createLogger } = require('@cubejs-backend/server-core');
const { getEnv } = require('@cubejs-backend/shared');
const { Collector } = require('./collector');
const { membersOf, nameOf, reasonOf, withoutLiterals } = require('./shown');

const SERVER = 2; // OTLP's kinds of spans
const CLIENT = 3;
const MOST_QUESTIONS = 512; // that are remembered while nobody has said how they end
const PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-|$)/; // W3C's traceparent
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])/;
const ANSWERED_FROM = {
  'Using cache for': 'cache', 'Missing cache for': 'duckdb', 'Waiting for renew': 'duckdb', 'Force no cache for': 'duckdb',
};

const newId = (bytes) => crypto.randomBytes(bytes).toString('hex');

function remember(map, key, value) {
  if (map.size >= MOST_QUESTIONS) map.delete(map.keys().next().value);
  map.set(key, value);
}

/** Makes spans of the events of Cube's log: one for each question, below it one for each query that DuckDB ran for it. */
class Traces {
  #collector;

  #parents = new Map(); // id of a request -> what its traceparent says

  #questions = new Map(); // id of a request -> its question

  #failing = new Set(); // refresh keys that failed when they were looked at last

  #count = 0;

  constructor(collector) { this.#collector = collector; }

  /** For Cube's extendContext: also of requests that tell the same parent each has an id of its own. */
  contextOf(request) {
    const [parent, traceId, parentSpanId] = PARENT.exec(request.get?.('traceparent')) ?? [];
    if (!parent) return {};
    const requestId = request.get('x-request-id') || `${parent}-span-${++this.#count}`;
    remember(this.#parents, requestId, { traceId, parentSpanId });
    return { requestId };
  }

  /** Takes an event of Cube's log. */
  take(event, params) {
    const question = this.#questions.get(params.requestId);
    const isAnswer = 'securityContext' in params; // as the API says it; below it one failure is told several times
    if (event === 'Performing query completed' || event === 'Error while querying') this.#ran(question, params);
    else if (event === 'Load Request' && params.apiType !== 'sql') this.#begin(question, params);
    else if (event === 'Load Request SQL' && params.apiType === 'sql') this.#begin(question, params);
    else if (!question) return;
    else if (event in ANSWERED_FROM && params.primaryQuery && !params.renewCycle) question.from = ANSWERED_FROM[event];
    else if (event === 'Load Request Success') this.#end(question, params);
    else if (event === 'Query completed' && question.api === 'sql') this.#end(question, params);
    else if (event === 'Continue wait' && isAnswer) this.#end(question, { isWaiting: true });
    else if (event === 'Orchestrator error') this.#end(question, params);
    else if (params.error && isAnswer) this.#end(question, { error: event }); // its text repeats what was asked
  }

  #begin(open, { requestId, apiType, query }) {
    if (open && !open.isOver) {
      if (apiType !== 'sql') open.asked.push(query); // GraphQL asks several things at once
      return;
    }
    const parent = this.#parents.get(requestId);
    this.#parents.delete(requestId);
    // Cube's own ids are UUIDs: what its log calls a question leads to the trace.
    const traceId = UUID.test(requestId) ? requestId.slice(0, 36).replaceAll('-', '') : newId(16);
    const span = { traceId, ...parent, spanId: newId(8), began: Date.now() };
    remember(this.#questions, requestId, { ...span, requestId, api: apiType, asked: [query], answers: 0 });
  }

  #end(question, { error, isWaiting }) {
    question.error ??= error && reasonOf(error, question.api);
    question.answers += 1;
    if (question.answers < question.asked.length || question.isOver) return;
    question.isOver = true;
    // Whoever is told to ask again leaves a query running, and its span belongs here.
    if (!isWaiting) this.#questions.delete(question.requestId);
    const { api, from } = question;
    const members = membersOf(question.asked.flat());
    const attributes = { 'cube.api': api, 'cube.answered_from': isWaiting ? 'nothing yet' : from };
    Object.entries(members).forEach(([kind, names]) => { attributes[`cube.${kind}`] = names.join(', ').slice(0, 500); });
    this.#collector.add({ ...question, name: nameOf(members), kind: SERVER, ended: Date.now(), attributes });
  }

  /** A query of DuckDB is over. Refresh keys that nobody's question waits for are told when they begin to fail. */
  #ran(question, { queryKey, requestId, duration, timeInQueue, error }) {
    const isRefreshKey = typeof queryKey?.[2] === 'boolean';
    if (!question) {
      if (!isRefreshKey) return;
      const [sql] = queryKey;
      const isNews = Boolean(error) && !this.#failing.has(sql);
      this.#failing[error ? 'add' : 'delete'](sql);
      if (!isNews) return;
    }
    const ended = Date.now();
    const { traceId, spanId: parentSpanId, api } = question ?? { traceId: newId(16) };
    this.#collector.add({
      traceId,
      parentSpanId,
      spanId: newId(8),
      name: isRefreshKey ? 'duckdb.refresh_key' : 'duckdb.query',
      kind: CLIENT,
      began: ended - duration,
      ended,
      error: error && reasonOf(error, api),
      attributes: {
        'db.system.name': 'duckdb',
        'db.query.text': api === 'sql' ? undefined : withoutLiterals(String(queryKey?.[0])),
        'cube.queue_ms': timeInQueue,
      },
    });
  }
}

/** Options of Cube that trace its questions to a collector; without its address none, and Cube is as it was. */
function tracing(address) {
  if (!address) return { contextOf: () => ({}) };
  const log = createLogger(process.env.NODE_ENV === 'production', getEnv('logLevel')); // the one that Cube makes itself
  const traces = new Traces(new Collector(address, (event) => log(event, { warning: `FLOE_OTLP_ENDPOINT=${address}` })));
  const logger = (event, params) => {
    log(event, params);
    try {
      traces.take(event, params);
    } catch (error) {
      log('Not traced', { error: error.stack }); // a question is answered though its trace is wrong
    }
  };
  return { logger, contextOf: (request) => traces.contextOf(request) };
}

module.exports = { tracing };
