// Finds the executable that npm installed for this system, and is it as far as one process can be another: its streams,
// its arguments, the name it is called by, its signals, its exit status.
"use strict";

const { spawn } = require("node:child_process");
const { closeSync, openSync } = require("node:fs");
const { constants } = require("node:os");
const path = require("node:path");

// The packages that may carry it here. The static executable runs on every Linux; where there is glibc the other one is
// better, which asks the system for users and hosts as all its programs do.
function packages(platform, processor) {
  const name = `claviger-cli-${platform}-${processor}`;
  return platform === "linux" ? [`${name}-gnu`, `${name}-musl`] : [name];
}

function installed(name, resolve) {
  try {
    return path.dirname(resolve(`${name}/package.json`));
  } catch (error) {
    if (error.code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

function hasGlibc() {
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime !== undefined;
}

// An npm that knows nothing of C libraries has installed both.
function choose(wanted, resolve, glibc) {
  const found = wanted.map((name) => installed(name, resolve)).filter((folder) => folder !== undefined);
  return found.length > 1 && !glibc() ? found[1] : found[0];
}

// Whatever the streams are. A console of Windows' is one, and a signal that is sent there would end the child outright.
function hasTerminal() {
  if (process.platform === "win32") return true;
  try {
    closeSync(openSync("/dev/tty", "r+"));
    return true;
  } catch {
    return false;
  }
}

function run(name) {
  const fail = (what) => {
    process.stderr.write(`claviger: error: ${what}\n`);
    process.exitCode = 1;
  };
  const wanted = packages(process.platform, process.arch);
  const folder = choose(wanted, require.resolve, hasGlibc);
  if (folder === undefined) {
    fail(
      `${wanted.join(" or ")} is not installed: install claviger-cli again, without --omit=optional; ` +
        "for a system that has no such package, build claviger from its source",
    );
    return;
  }
  const program = path.join(folder, "bin", process.platform === "win32" ? "claviger.exe" : "claviger");
  const child = spawn(program, process.argv.slice(2), { argv0: name, stdio: "inherit" });

  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
  const pass = (signal) => {
    // What a terminal sends, it sends to the child too, and a second one means more than the first.
    if (signal === "SIGTERM" || !hasTerminal()) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, pass);
  child.on("error", (error) => fail(`${program} does not run (${error.message}): install claviger-cli again`));
  child.on("exit", (status, signal) => {
    for (const each of signals) process.removeListener(each, pass);
    if (signal === null) {
      process.exitCode = status;
    } else {
      process.exitCode = 128 + constants.signals[signal];
      process.kill(process.pid, signal);
    }
  });
}

module.exports = { choose, packages, run };
