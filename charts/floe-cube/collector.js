'use strict';
// Sends spans to Jaeger, or whatever takes OTLP over HTTP as JSON, beside the questions: nothing waits for it, and
// spans that nobody takes are lost.
const MOST_SPANS = 512; // that wait to be sent; those beyond are lost
const SEND_MS = 1000; // after the first of them
const TIMEOUT_MS = 2000;
const ERROR = 2;

const attribute = ([key, value]) => ({
  key, value: Number.isInteger(value) ? { intValue: String(value) } : { stringValue: String(value) },
});

const nanoseconds = (milliseconds) => `${Math.round(milliseconds)}000000`;

const asOtlp = ({ traceId, spanId, parentSpanId, name, kind, began, ended, attributes, error }) => ({
  traceId,
  spanId,
  parentSpanId,
  name,
  kind,
  startTimeUnixNano: nanoseconds(began),
  endTimeUnixNano: nanoseconds(ended),
  attributes: Object.entries(attributes).filter(([, value]) => value !== undefined && value !== '').map(attribute),
  status: error === undefined ? {} : { code: ERROR, message: error },
});

class Collector {
  #url;

  #say;

  #spans = [];

  #timer = null;

  #isLosing = false;

  /** An address such as http://jaeger:4318, and what is called with a line when spans begin to be lost or arrive again. */
  constructor(address, say) {
    this.#url = `${address}/v1/traces`;
    this.#say = say;
  }

  add(span) {
    if (this.#spans.length < MOST_SPANS) this.#spans.push(span);
    this.#timer ??= setTimeout(() => this.#send(), SEND_MS).unref();
  }

  async #send() {
    const isLosing = !await this.#post(this.#spans.splice(0));
    if (isLosing !== this.#isLosing) this.#say(isLosing ? 'Traces are lost' : 'Traces arrive again');
    this.#isLosing = isLosing;
    this.#timer = this.#spans.length ? setTimeout(() => this.#send(), SEND_MS).unref() : null;
  }

  /** Whether they were taken. */
  async #post(spans) {
    const service = [{ key: 'service.name', value: { stringValue: 'cube' } }];
    const scopeSpans = [{ scope: { name: 'floe-cube' }, spans: spans.map(asOtlp) }];
    try {
      const answer = await fetch(this.#url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ resourceSpans: [{ resource: { attributes: service }, scopeSpans }] }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await answer.body?.cancel();
      return answer.ok;
    } catch {
      return false;
    }
  }
}

module.exports = { Collector };
