'use strict';
// Cube's own functions behind the addon's calling convention: JSON in, a channel that resolves with JSON.
const crypto = require('crypto');

const call = (callback, argument) => new Promise((resolve, reject) => {
  callback(JSON.stringify(argument), {
    resolve: (result) => resolve(typeof result === 'string' && result ? JSON.parse(result) : result),
    reject: (message) => reject(new Error(message)),
  });
});

class Gateway {
  #callbacks;

  constructor(callbacks) { this.#callbacks = callbacks; }

  /** The session of a user, or null when user or password is wrong. */
  async logIn(user, password) {
    const request = { ...this.#request(), protocol: 'postgres', method: 'password' };
    const known = await call(this.#callbacks.checkSqlAuth, { request, user, password }).catch(() => null);
    if (!known || !(known.skipPasswordCheck || known.password === password)) return null;
    return { user, superuser: known.superuser, securityContext: known.securityContext };
  }

  /** Cubes and views with their members. */
  async cubes(session) {
    const { cubes } = await call(this.#callbacks.meta, { request: this.#request(), session });
    return cubes;
  }

  /** Runs a query; returns { members, columns }. */
  async load(session, query) {
    const request = this.#request();
    const argument = { request, session, query, queryKey: query, streaming: false, cacheMode: 'stale-if-slow' };
    const answer = await call(this.#callbacks.sqlApiLoad, argument);
    const result = answer.isWrapper
      ? JSON.parse(Buffer.from(await answer.getResults()[0].getFinalResult()).toString('utf8'))
      : answer.results[0];
    return result.data;
  }

  #request() { // eslint-disable-line class-methods-use-this
    return { id: crypto.randomUUID(), meta: { protocol: 'postgres', apiType: 'sql', appName: null } };
  }
}

module.exports = { Gateway };
