'use strict';
// The SQL API: a server on the PostgreSQL port that lets each connection ask Cube through the callbacks it was given.
const net = require('net');
const { loadModule } = require('libpg-query');
const { Gateway } = require('./gateway');
const { Session } = require('./session');

const CLIENT_GONE = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

async function start(callbacks) {
  await loadModule();
  const gateway = new Gateway(callbacks);
  const sockets = new Set();
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    new Session(socket, gateway).run().catch((error) => {
      if (!CLIENT_GONE.has(error.code)) console.error(`cube-double: SQL connection closed: ${error.stack}`);
      socket.destroy();
    });
  });
  if (callbacks.pgPort == null) return { server, sockets };
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(callbacks.pgPort, resolve);
  });
  console.warn(`cube-double: SQL API of the stand-in listens on port ${server.address().port}`);
  return { server, sockets };
}

async function stop({ server, sockets }) {
  sockets.forEach((socket) => socket.end());
  if (server.listening) await new Promise((resolve) => { server.close(resolve); sockets.forEach((s) => s.destroySoon()); });
}

module.exports = { start, stop };
