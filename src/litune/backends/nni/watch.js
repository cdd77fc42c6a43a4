// Loaded into NNI's manager when a litune driver starts it: ends the manager with all that it started as soon as the
// driver is gone, however it went. The driver's socket is at DIRECTORY/driver.sock; "keep" on it takes this back.
'use strict';

const net = require('net');
const path = require('path');

const directory = process.env.LITUNE_NNI_RUN;

if (directory && path.basename(process.argv[1] || '') === 'main.js' && process.argv.includes('--experiment-id')) {
    const before = process.cwd();
    process.chdir(directory); // a socket's path may have 107 bytes, the directory's more
    const driver = net.connect('driver.sock');
    process.chdir(before);
    let kept = false;
    driver.on('connect', () => driver.write('{"type": "watch"}\n'));
    driver.on('data', (data) => {
        kept = kept || data.includes('keep');
    });
    driver.on('error', () => {});
    driver.on('close', () => {
        if (!kept) {
            process.kill(-process.pid, 'SIGKILL'); // nni makes the manager the leader of its group
        }
    });
    driver.unref();
}
