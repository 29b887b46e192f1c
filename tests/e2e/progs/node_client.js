// Posts to an http server and to node's own https; prints what came back of the marker.
//   node_client.js ADDRESS PORT TLS-PORT MARKER CA
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const https = require('https');
const [host, port, tlsPort, marker, ca] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

function post(library, options, body) {
  return new Promise((resolve, reject) => {
    const request = library.request({ host, method: 'POST', ...options }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts)));
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function main() {
  const plain = { port: Number(port), agent };
  const own = { port: Number(tlsPort), ca: fs.readFileSync(ca), checkServerIdentity: () => undefined };
  console.log((await post(http, plain, marker)).toString());
  const big = crypto.randomBytes(10000000);
  assert((await post(http, plain, big)).equals(big));
  const small = Array.from({ length: 100 }, (_, i) => post(http, plain, `${marker} ${i}`));
  (await Promise.all(small)).forEach((reply, i) => assert.equal(reply.toString(), `${marker} ${i}`));
  console.log((await post(https, own, 'own tls works')).toString());
  assert((await post(https, own, big)).equals(big));
  agent.destroy();
}
main();
