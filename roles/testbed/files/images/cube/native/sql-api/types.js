'use strict';
// PostgreSQL's types that a cube's members have, and their text and binary forms on the wire.
const { timeText } = require('../results');

const TYPES = {
  boolean: { oid: 16, size: 1 },
  bigint: { oid: 20, size: 8 },
  text: { oid: 25, size: -1 },
  number: { oid: 701, size: 8 },
  time: { oid: 1114, size: 8 },
};
const EPOCH_2000_MS = Date.UTC(2000, 0, 1);

/** The type that Cube's SQL API gives a member: counts are whole numbers, other numbers are doubles. */
function memberType({ type, aggType }) {
  if (aggType === 'count') return TYPES.bigint;
  return { number: TYPES.number, time: TYPES.time, boolean: TYPES.boolean }[type] ?? TYPES.text;
}

const milliseconds = (value) => Date.parse(`${timeText(value)}Z`);
const isTrue = (value) => value === true || value === 1 || /^(t|true|1)$/i.test(String(value));

function textOf(value, type) {
  switch (type) {
    case TYPES.boolean: return isTrue(value) ? 't' : 'f';
    case TYPES.number: return String(Number(value));
    case TYPES.time: return timeText(value).replace('T', ' ').padEnd(26, '0');
    default: return String(value);
  }
}

function binaryOf(value, type) {
  const bytes = Buffer.alloc(Math.max(type.size, 0));
  switch (type) {
    case TYPES.boolean: bytes.writeInt8(isTrue(value) ? 1 : 0); return bytes;
    case TYPES.bigint: bytes.writeBigInt64BE(BigInt(value)); return bytes;
    case TYPES.number: bytes.writeDoubleBE(Number(value)); return bytes;
    case TYPES.time: bytes.writeBigInt64BE(BigInt(milliseconds(value) - EPOCH_2000_MS) * 1000n); return bytes;
    default: return Buffer.from(String(value));
  }
}

/** A value as a field of a DataRow, or null. */
const encode = (value, type, binary) => {
  if (value == null) return null;
  return binary ? binaryOf(value, type) : Buffer.from(textOf(value, type));
};

const isoTime = (sinceEpoch2000) => new Date(EPOCH_2000_MS + sinceEpoch2000).toISOString().slice(0, 23);
const fromMicroseconds = (bytes) => isoTime(Number(bytes.readBigInt64BE() / 1000n));
const BINARY_PARAMETERS = {
  16: (b) => b.readInt8() === 1,
  20: (b) => String(b.readBigInt64BE()),
  21: (b) => String(b.readInt16BE()),
  23: (b) => String(b.readInt32BE()),
  700: (b) => String(b.readFloatBE()),
  701: (b) => String(b.readDoubleBE()),
  1082: (b) => isoTime(b.readInt32BE() * 86_400_000).slice(0, 10),
  1114: fromMicroseconds,
  1184: fromMicroseconds,
};

/** A parameter as it came in Bind, as text or boolean; unknown binary types are taken as text. */
const decode = (bytes, oid, binary) => {
  if (bytes === null) return null;
  return binary && BINARY_PARAMETERS[oid] ? BINARY_PARAMETERS[oid](bytes) : bytes.toString('utf8');
};

module.exports = { TYPES, memberType, encode, decode };
