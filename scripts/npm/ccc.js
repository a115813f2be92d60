#!/usr/bin/env node
// Starts the program of this system, which npm has installed as a package of its own, in the place of this process where node can
// do that, and beside it elsewhere.
'use strict';

const { constants } = require('node:os');
const { spawn } = require('node:child_process');

const name = `ccc-supervisor-${process.platform}-${process.arch}`;

function find() {
  try {
    return require.resolve(`${name}/bin/ccc`);
  } catch {
    console.error(
      `ccc: the package ${name} is not installed.\n` +
        'npm leaves it out with --omit=optional, and on a system that ccc has no\n' +
        'program for.\n' +
        'To install it: npm install ccc-supervisor --include=optional',
    );
    process.exit(1);
  }
}

const program = find();
const args = process.argv.slice(2);

// From node 22.15 on. It says that this is experimental, which is not ccc's to tell.
if (typeof process.execve === 'function') {
  process.removeAllListeners('warning');
  process.execve(program, [program, ...args]);
}

// Before the program starts, so that none of these ends this process while the program goes on.
let child;
// The terminal sends Ctrl-C and Ctrl-\ to the program, too: this process only waits for what it makes of them.
for (const signal of ['SIGINT', 'SIGQUIT']) process.on(signal, () => {});
// These come from elsewhere, to this process alone.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));

child = spawn(program, args, { stdio: 'inherit' });
child.on('error', (error) => {
  console.error(`ccc: ${program} cannot be started: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  process.exit(signal === null ? code : 128 + constants.signals[signal]);
});
