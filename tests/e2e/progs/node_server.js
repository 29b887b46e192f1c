// An http server, and in the same process node's own https (its own OpenSSL) on a second port.
//   node_server.js ADDRESS PORT TLS-PORT KEY CERTIFICATE
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const [address, port, tlsPort, key, cert] = process.argv.slice(2);

function answer(request, response) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => response.end(Buffer.concat(parts)));
}
http.createServer(answer).listen(Number(port), address);
https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) }, answer)
  .listen(Number(tlsPort), address);
