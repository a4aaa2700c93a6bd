'use strict';
// Configuration of Cube: its DuckDB reads the lake through the catalog, as a principal that may only read.
const os = require('os');
const path = require('path');
const { DuckDBDriver } = require('@cubejs-backend/duckdb-driver');
const { mend, quoted } = require('./connection');
const { tracing } = require('./traces');

function setting(name, pattern = /./, wanted = 'not empty') {
  const value = process.env[name] ?? '';
  // The value is not shown: some are secrets.
  if (!pattern.test(value)) throw new Error(`${name} cannot be used: it must be ${wanted}`);
  return value;
}

const catalogUri = setting('FLOE_CATALOG_URI', /^https?:\/\/[^/]+/, 'a URL such as http://polaris:8181/api/catalog');
const freshnessSeconds = Number(setting('FLOE_CUBE_FRESHNESS_SECONDS', /^[1-9]\d{0,3}$/, 'a whole number from 1 to 9999'));

// GLOBAL, because streamed queries open connections of their own. Days begin at midnight UTC, as in the pipeline.
// A catalog or storage that is cut off is an error after seconds, not after DuckDB's minutes.
const SET_UP = `
  SET GLOBAL TimeZone = 'UTC';
  SET GLOBAL temp_directory = ${quoted(path.join(os.tmpdir(), 'duckdb'))};
  SET GLOBAL http_timeout = 10;
  SET GLOBAL http_retries = 1;`;

// Detached first: ATTACH OR REPLACE keeps a lake of the same name and address, and all that DuckDB remembers of it.
// Table metadata is kept for the freshness: that spares every query a call of the catalog.
const ATTACH_LAKE = `
  CREATE OR REPLACE SECRET floe_catalog (
    TYPE iceberg,
    CLIENT_ID ${quoted(setting('FLOE_CATALOG_CLIENT_ID'))},
    CLIENT_SECRET ${quoted(setting('FLOE_CATALOG_CLIENT_SECRET'))},
    OAUTH2_SCOPE ${quoted(setting('FLOE_CATALOG_SCOPE'))},
    OAUTH2_SERVER_URI ${quoted(`${catalogUri}/v1/oauth/tokens`)}
  );
  DETACH DATABASE IF EXISTS lake;
  ATTACH IF NOT EXISTS ${quoted(setting('FLOE_CATALOG_NAME'))} AS lake (
    TYPE iceberg,
    ENDPOINT ${quoted(catalogUri)},
    SECRET floe_catalog,
    READ_ONLY,
    MAX_TABLE_STALENESS '${freshnessSeconds} seconds'
  );`;

// What DuckDB calls a failure of the catalog or the storage, a lake whose marts were not built yet, or one that is
// being attached anew.
const LAKE_FAILED = /^((Catalog|Connection|HTTP|IO|Invalid Configuration|Network|Permission) Error|Binder Error: Catalog "lake")/;

const MOST_HUNG = 3; // of the four threads that Node.js has for DuckDB, files and names

class CubeDataSource extends DuckDBDriver {
  /** Whether the last query failed because of the lake. */
  isLakeDown = false;

  #opened = null;

  #hung = [];

  /**
   * Attaches the lake or fails, and then the next query tries again; the driver's own initSql would only log.
   *
   * DuckDB is opened once, loading its extensions takes half a second. Detaching leaves the lake that was attached
   * before to the queries that run in it.
   */
  async init() {
    this.#opened ??= this.#open();
    const state = await this.#opened;
    await state.defaultConnection.run(ATTACH_LAKE);
    return state;
  }

  async #open() {
    try {
      const state = await super.init();
      await state.defaultConnection.run(SET_UP);
      mend(state.defaultConnection, () => this.#giveUp(state));
      return state;
    } catch (error) {
      this.#opened = null;
      throw error;
    }
  }

  /** Leaves a DuckDB that hangs, and the thread of Node.js that it holds; the next query opens another one. */
  #giveUp(state) {
    this.initPromise = null;
    this.#opened = null;
    this.#hung.push(state); // kept, for whoever frees it waits for it
    console.error(`DuckDB hangs and is given up, ${this.#hung.length} of at most ${MOST_HUNG} times`);
    if (this.#hung.length === MOST_HUNG) process.exit(1); // Kubernetes starts Cube anew
  }

  async query(sql, values, options) {
    try {
      const rows = await super.query(sql, values, options);
      this.isLakeDown = false;
      return rows;
    } catch (error) {
      this.isLakeDown = LAKE_FAILED.test(error.message);
      throw error;
    }
  }

  /**
   * Asks the catalog, where the driver's own asks DuckDB alone; /readyz calls it.
   *
   * After a failure the next query attaches anew, because DuckDB keeps what it was told once: above all that there is
   * no namespace gold, which it concludes for good from any query while a catalog is made again, or refuses.
   */
  async testConnection() {
    try {
      await this.query('SELECT count(*) FROM (SHOW TABLES FROM lake.gold)');
    } catch (error) {
      this.initPromise = null;
      throw error;
    }
  }

  async release() {
    if (this.initPromise) this.#opened = null; // closed now: the next query opens it anew
    await super.release();
  }

  /** Pre-aggregations are never built in the lake. */
  readOnly() { // eslint-disable-line class-methods-use-this
    return true;
  }
}

const lake = new CubeDataSource();
const isTraced = setting('FLOE_TRACES', /^(otlp|off)$/, 'otlp or off') === 'otlp';
const { logger, contextOf } = tracing(
  isTraced && setting('FLOE_OTLP_ENDPOINT', /^https?:\/\/[^/]+(\/.*[^/])?$/, 'a URL such as http://jaeger:4318'),
);

/** A lake that fails is answered with 503. Cube's own answer to any failure of a data source is 400, "your mistake". */
function answerWithTheRightStatus({ res }) {
  if (!res) return; // a session of the SQL API
  const setStatus = res.status.bind(res);
  res.status = (code) => setStatus(code === 400 && lake.isLakeDown ? 503 : code);
}

module.exports = {
  driverFactory: () => lake,
  extendContext(request) {
    answerWithTheRightStatus(request);
    return contextOf(request);
  },
  logger,
  // Looks at the tables' snapshots (the cubes' refresh keys) all the time, so that no question meets an outdated key.
  scheduledRefreshTimer: freshnessSeconds,
};
