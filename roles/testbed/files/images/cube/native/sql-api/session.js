'use strict';
// One client's connection: log in, then simple and extended queries until it leaves.
const { SqlError } = require('./errors');
const { parse, prepare, VERSION } = require('./statements');
const { decode } = require('./types');
const wire = require('./wire');

const { send } = wire;
const STATUS = {
  server_version: VERSION, server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO', TimeZone: 'Etc/UTC',
  integer_datetimes: 'on', standard_conforming_strings: 'on',
};
const EMPTY = { columns: null, parameterTypes: [], tag: '', run: async () => [] };

class Session {
  #socket;

  #gateway;

  #identity = null;

  #transaction = 'I'; // idle, in a Transaction, or in a failed one (E)

  #skipping = false; // after an error in the extended protocol, until Sync

  #statements = new Map();

  #portals = new Map();

  constructor(socket, gateway) {
    this.#socket = socket;
    this.#gateway = gateway;
  }

  /** Serves the connection until it ends. */
  async run() {
    let user = null;
    for await (const { type, reader } of wire.messages(this.#socket)) {
      if (type === 'X') break;
      if (type === '') user = this.#greet(wire.startup(reader));
      else if (this.#identity) await this.#handle(type, reader);
      else if (type !== 'p' || !await this.#logIn(user, reader.cstring())) break;
    }
    this.#socket.end();
  }

  #write(...parts) { this.#socket.write(Buffer.concat(parts)); }

  #greet({ parameters }) {
    this.#write(send.askPassword());
    return parameters.user ?? '';
  }

  async #logIn(user, password) {
    this.#identity = await this.#gateway.logIn(user, password);
    if (!this.#identity) {
      this.#write(send.error(new SqlError('28P01', `password authentication failed for user "${user}"`), 'FATAL'));
      return false;
    }
    const status = Object.entries(STATUS).map(([name, value]) => send.status(name, value));
    this.#write(send.welcome(), ...status, send.key(), send.ready('I'));
    return true;
  }

  async #handle(type, reader) {
    if (type === 'S') {
      this.#skipping = false;
      this.#write(send.ready(this.#transaction));
      return;
    }
    if (this.#skipping) return;
    try {
      if (type === 'Q') await this.#simple(reader.cstring());
      else if (type === 'P') await this.#parse(wire.readParse(reader));
      else if (type === 'B') this.#bind(wire.readBind(reader));
      else if (type === 'D') this.#describe(String.fromCharCode(reader.byte()), reader.cstring());
      else if (type === 'E') await this.#execute(reader.cstring(), reader.int32());
      else if (type === 'C') this.#close(String.fromCharCode(reader.byte()), reader.cstring());
      else if (type !== 'H') throw new SqlError('08P01', `message of type "${type}" is not understood`);
    } catch (error) {
      if (this.#transaction === 'T') this.#transaction = 'E';
      this.#skipping = type !== 'Q';
      this.#write(send.error(error));
    }
    if (type === 'Q') this.#write(send.ready(this.#transaction));
  }

  async #simple(sql) {
    const statements = parse(sql);
    if (!statements.length) this.#write(send.empty());
    for (const statement of statements) {
      const prepared = await this.#prepare(statement);
      const rows = await this.#run(prepared, []);
      const { columns } = prepared;
      if (columns) this.#write(send.columns(columns, []), ...rows.map((row) => send.row(row, columns, [])));
      this.#write(send.complete(Session.#tag(prepared, rows.length)));
    }
  }

  async #prepare(statement) {
    const prepared = await prepare(statement, this.#gateway, this.#identity);
    if (this.#transaction === 'E' && !['COMMIT', 'ROLLBACK'].includes(prepared.transaction)) {
      throw new SqlError('25P02', 'current transaction is aborted, commands ignored until end of transaction block');
    }
    return prepared;
  }

  async #run(prepared, values) {
    const rows = await prepared.run(values);
    if (prepared.transaction) this.#transaction = prepared.transaction === 'BEGIN' ? 'T' : 'I';
    return rows;
  }

  static #tag({ tag }, count) { return tag === 'SELECT' ? `SELECT ${count}` : tag; }

  async #parse({ name, sql, types }) {
    const statements = parse(sql);
    if (statements.length > 1) throw new SqlError('42601', 'cannot insert multiple commands into a prepared statement');
    const prepared = statements.length ? await this.#prepare(statements[0]) : EMPTY;
    const oids = prepared.parameterTypes.map((oid, i) => types[i] || oid);
    this.#statements.set(name, { prepared, oids });
    this.#write(send.parsed());
  }

  #bind({ portal, statement, formats, values, resultFormats }) {
    const { prepared, oids } = Session.#named(this.#statements, statement, '26000', 'prepared statement');
    if (values.length !== oids.length) {
      throw new SqlError('08P01', `the statement has ${oids.length} parameters, and ${values.length} values came`);
    }
    const decoded = values.map((bytes, i) => decode(bytes, oids[i], wire.isBinary(formats, i)));
    this.#portals.set(portal, { prepared, values: decoded, formats: resultFormats, rows: null, sent: 0 });
    this.#write(send.bound());
  }

  #describe(kind, name) {
    if (kind === 'S') {
      const { prepared, oids } = Session.#named(this.#statements, name, '26000', 'prepared statement');
      this.#write(send.parameters(oids), prepared.columns ? send.columns(prepared.columns, []) : send.noData());
      return;
    }
    const { prepared, formats } = Session.#named(this.#portals, name, '34000', 'portal');
    this.#write(prepared.columns ? send.columns(prepared.columns, formats) : send.noData());
  }

  async #execute(name, most) {
    const portal = Session.#named(this.#portals, name, '34000', 'portal');
    const { prepared, values, formats } = portal;
    if (prepared === EMPTY) {
      this.#write(send.empty());
      return;
    }
    portal.rows ??= await this.#run(prepared, values);
    const end = most > 0 ? Math.min(portal.sent + most, portal.rows.length) : portal.rows.length;
    const part = prepared.columns ? portal.rows.slice(portal.sent, end) : [];
    portal.sent = end;
    const last = end === portal.rows.length ? send.complete(Session.#tag(prepared, part.length)) : send.suspended();
    this.#write(...part.map((row) => send.row(row, prepared.columns, formats)), last);
  }

  #close(kind, name) {
    (kind === 'S' ? this.#statements : this.#portals).delete(name);
    this.#write(send.closed());
  }

  static #named(map, name, code, what) {
    if (!map.has(name)) throw new SqlError(code, `${what} "${name}" does not exist`);
    return map.get(name);
  }
}

module.exports = { Session };
