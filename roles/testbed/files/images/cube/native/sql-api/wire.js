'use strict';
// PostgreSQL's protocol, version 3, from the server's side: bytes -> messages, and the messages that a server sends.
const { BufferReader } = require('pg-protocol/dist/buffer-reader');
const { Writer } = require('pg-protocol/dist/buffer-writer');
const { encode } = require('./types');

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const MAX_MESSAGE = 16 * 1024 * 1024;

/** Messages of a socket in order: {type, reader}; the first, without a type byte, has type ''. */
async function* messages(socket) {
  let buffer = Buffer.alloc(0);
  let started = false;
  // the socket stays open when the session stops reading, so that its last words still go out
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    buffer = buffer.length ? Buffer.concat([buffer, chunk]) : chunk;
    for (;;) {
      const head = started ? 1 : 0;
      if (buffer.length < head + 4) break;
      const length = buffer.readInt32BE(head);
      if (length < 4 || length > MAX_MESSAGE) throw new Error(`a message of ${length} bytes`);
      if (buffer.length < head + length) break;
      const type = started ? String.fromCharCode(buffer[0]) : '';
      const reader = new BufferReader();
      reader.setBuffer(0, buffer.subarray(head + 4, head + length));
      buffer = buffer.subarray(head + length);
      const code = started ? 0 : reader.buffer.readInt32BE(0);
      if (code === SSL_REQUEST || code === GSS_REQUEST) {
        socket.write('N'); // neither is offered; the client goes on without or gives up
      } else if (code !== CANCEL_REQUEST) {
        started = true;
        yield { type, reader };
      }
    }
  }
}

/** User and other parameters of the first message. */
function startup(reader) {
  const version = reader.int32();
  const parameters = {};
  for (let key = reader.cstring(); key; key = reader.cstring()) parameters[key] = reader.cstring();
  return { major: version >> 16, parameters };
}

const list = (reader, read) => Array.from({ length: reader.int16() }, () => read());
const field = (reader) => { const length = reader.int32(); return length < 0 ? null : reader.bytes(length); };

/** Parse: a statement gets a name. */
const readParse = (reader) => ({ name: reader.cstring(), sql: reader.cstring(), types: list(reader, () => reader.int32()) });

/** Bind: a statement and values become a portal. */
const readBind = (reader) => ({
  portal: reader.cstring(),
  statement: reader.cstring(),
  formats: list(reader, () => reader.int16()),
  values: list(reader, () => field(reader)),
  resultFormats: list(reader, () => reader.int16()),
});

/** Whether field number i is binary: none given means text, one means all. */
const isBinary = (formats, i) => (formats.length === 1 ? formats[0] : formats[i] ?? 0) === 1;

const message = (type, fill = () => undefined) => {
  const writer = new Writer();
  fill(writer);
  return writer.flush(type.charCodeAt(0));
};

const send = {
  askPassword: () => message('R', (w) => w.addInt32(3)),
  welcome: () => message('R', (w) => w.addInt32(0)),
  status: (name, value) => message('S', (w) => w.addCString(name).addCString(value)),
  key: () => message('K', (w) => w.addInt32(1).addInt32(1)),
  ready: (state) => message('Z', (w) => w.addString(state)),
  parsed: () => message('1'),
  bound: () => message('2'),
  closed: () => message('3'),
  noData: () => message('n'),
  suspended: () => message('s'),
  empty: () => message('I'),
  complete: (tag) => message('C', (w) => w.addCString(tag)),
  parameters: (oids) => message('t', (w) => { w.addInt16(oids.length); oids.forEach((oid) => w.addInt32(oid)); }),
  columns: (columns, formats) => message('T', (w) => {
    w.addInt16(columns.length);
    columns.forEach(({ name, type }, i) => w.addCString(name).addInt32(0).addInt16(0).addInt32(type.oid)
      .addInt16(type.size)
      .addInt32(-1)
      .addInt16(isBinary(formats, i) ? 1 : 0));
  }),
  row: (values, columns, formats) => message('D', (w) => {
    w.addInt16(values.length);
    values.forEach((value, i) => {
      const bytes = encode(value, columns[i].type, isBinary(formats, i));
      if (bytes === null) w.addInt32(-1); else w.addInt32(bytes.length).add(bytes);
    });
  }),
  error: ({ code = 'XX000', message: text, hint, position }, severity = 'ERROR') => message('E', (w) => {
    const fields = { S: severity, V: severity, C: code, M: text, H: hint, P: position };
    Object.entries(fields).forEach(([key, value]) => { if (value) w.addString(key).addCString(value); });
    w.addCString('');
  }),
};

module.exports = { messages, startup, readParse, readBind, isBinary, send };
