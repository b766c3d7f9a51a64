/**
 * Preloaded: keeps a program on this machine. A connection to anywhere but loopback fails; where VENDOR_PORT is set the
 * vendor's host name is this machine, and its port 443 is that one.
 */
import dns from "node:dns";
import net from "node:net";

const VENDOR = "api.openai.com";
const port = Number(process.env.VENDOR_PORT ?? 0);
const { lookup } = dns;
const { connect } = net.Socket.prototype;

dns.lookup = (name, options, callback = options) => {
  if (name === VENDOR && port) return lookup("127.0.0.1", options, callback);
  return net.isIP(name) ? lookup(name, options, callback) : callback(new Error(`${name} is not on this machine`));
};

net.Socket.prototype.connect = function (...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  const host = options?.host ?? "127.0.0.1";
  if (host === VENDOR && port) options.port = port;
  else if (!options?.path && !host.startsWith("127.")) throw new Error(`${host} is not on this machine`);
  return connect.apply(this, given);
};
