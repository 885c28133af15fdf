// Loaded before the suite's server, which would listen on every address: keeps it on 127.0.0.1.
const { Server } = require('node:net')

const listen = Server.prototype.listen
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, Number(port), '127.0.0.1', ...rest)
}
