'use strict';
// Configuration of Cube: its DuckDB reads the lake through the catalog, as a principal that may only read.
const { DuckDBDriver } = require('@cubejs-backend/duckdb-driver');

function setting(name, pattern = /./, wanted = 'not empty') {
  const value = process.env[name] ?? '';
  // The value is not shown: some are secrets.
  if (!pattern.test(value)) throw new Error(`${name} cannot be used: it must be ${wanted}`);
  return value;
}

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

const catalogUri = setting('FLOE_CATALOG_URI', /^https?:\/\/[^/]+/, 'a URL such as http://polaris:8181/api/catalog');
const freshnessSeconds = Number(setting('FLOE_CUBE_FRESHNESS_SECONDS', /^[1-9]\d{0,3}$/, 'a whole number from 1 to 9999'));

// GLOBAL, because streamed queries open connections of their own. Days begin at midnight UTC, as in the pipeline.
// A catalog or storage that is cut off is an error after seconds, not after DuckDB's minutes. Table metadata is kept
// for the freshness: it spares every query a call of the catalog.
const ATTACH_LAKE = `
  SET GLOBAL TimeZone = 'UTC';
  SET GLOBAL http_timeout = 10;
  SET GLOBAL http_retries = 1;
  CREATE OR REPLACE SECRET floe_catalog (
    TYPE iceberg,
    CLIENT_ID ${quoted(setting('FLOE_CATALOG_CLIENT_ID'))},
    CLIENT_SECRET ${quoted(setting('FLOE_CATALOG_CLIENT_SECRET'))},
    OAUTH2_SCOPE ${quoted(setting('FLOE_CATALOG_SCOPE'))},
    OAUTH2_SERVER_URI ${quoted(`${catalogUri}/v1/oauth/tokens`)}
  );
  ATTACH ${quoted(setting('FLOE_CATALOG_NAME'))} AS lake (
    TYPE iceberg,
    ENDPOINT ${quoted(catalogUri)},
    SECRET floe_catalog,
    READ_ONLY,
    MAX_TABLE_STALENESS '${freshnessSeconds} seconds'
  );`;

class CubeDataSource extends DuckDBDriver {
  /** Attaches the lake or fails, to be tried again by the next query; the driver's own initSql would only log. */
  async init() {
    const state = await super.init();
    try {
      await state.defaultConnection.run(ATTACH_LAKE);
      return state;
    } catch (error) {
      state.defaultConnection.closeSync();
      state.instance.closeSync();
      throw error;
    }
  }

  /**
   * Asks the catalog, where the driver's own asks DuckDB alone; /readyz calls it.
   *
   * After a failure the next query attaches anew: DuckDB keeps what it was told at the first time, also a secret that
   * was rotated or a catalog that was lost and made again. The old one is not closed, queries may be running in it.
   */
  async testConnection() {
    try {
      await this.query('SELECT count(*) FROM (SHOW TABLES FROM lake.gold)');
    } catch (error) {
      this.initPromise = null;
      throw error;
    }
  }

  /** Pre-aggregations are never built in the lake. */
  readOnly() { // eslint-disable-line class-methods-use-this
    return true;
  }
}

module.exports = {
  driverFactory: () => new CubeDataSource(),
  // Looks at the tables' snapshots (the cubes' refresh keys) all the time, so that no question meets an outdated key.
  scheduledRefreshTimer: freshnessSeconds,
};
