// Loaded into NNI's manager by NODE_OPTIONS="--require loopback.js". NNI 3.0 serves its page and its REST interface, by
// which a caller can run any command, on every address, without a credential and without an option for either. This
// file has every TCP server of the process listen on 127.0.0.1, and refuses requests that a foreign web page sends
// (their Host or Origin names another site).
'use strict';

const http = require('http');
const net = require('net');

const ADDRESS = '127.0.0.1';
const HERE = new Set(['127.0.0.1', 'localhost', '[::1]']);

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...args) {
    const first = args[0];
    if (first !== null && typeof first === 'object') {
        if (first.port !== undefined) {
            args[0] = { ...first, host: ADDRESS };
        }
    } else if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
        args.splice(1, typeof args[1] === 'string' ? 1 : 0, ADDRESS);
    } else if (typeof first !== 'string') { // no port given: any free one
        args.splice(0, typeof first === 'function' ? 0 : 1, 0, ADDRESS);
    }
    return listen.apply(this, args);
};

function isOurs(text, prefix) {
    try {
        return HERE.has(new URL(prefix + text).hostname);
    } catch {
        return false;
    }
}

function isForeign({ host, origin }) {
    return !isOurs(host, 'http://') || (origin !== undefined && !isOurs(origin, ''));
}

const emit = http.Server.prototype.emit;

http.Server.prototype.emit = function (event, request, response, ...rest) {
    if (event === 'request' && isForeign(request.headers)) {
        response.writeHead(403).end('this page is served to this machine only\n');
        return true;
    }
    if (event === 'upgrade' && isForeign(request.headers)) {
        response.destroy(); // here it is the socket
        return true;
    }
    return emit.call(this, event, request, response, ...rest);
};
