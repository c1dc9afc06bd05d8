// Which package's executable is taken, and what an installed shim does with signals. SHIM is an installed claviger.js.
"use strict";

const assert = require("node:assert");
const { spawn } = require("node:child_process");
const test = require("node:test");
const { choose, packages } = require("./run.js");

const [gnu, musl] = packages("linux", "x64");
const having = (...names) => (file) => {
  const name = file.replace("/package.json", "");
  if (names.includes(name)) return `/modules/${file}`;
  throw Object.assign(new Error(`Cannot find module ${file}`), { code: "MODULE_NOT_FOUND" });
};
const unasked = () => assert.fail("it was asked for the C library");

test("each system has a package of its own", () => {
  assert.deepStrictEqual(packages("darwin", "arm64"), ["claviger-cli-darwin-arm64"]);
  assert.deepStrictEqual(packages("win32", "x64"), ["claviger-cli-win32-x64"]);
  assert.deepStrictEqual([gnu, musl], ["claviger-cli-linux-x64-gnu", "claviger-cli-linux-x64-musl"]);
});

test("what npm has chosen is taken without another look", () => {
  assert.strictEqual(choose([gnu, musl], having(gnu), unasked), `/modules/${gnu}`);
  assert.strictEqual(choose([gnu, musl], having(musl), unasked), `/modules/${musl}`);
});

test("where npm has not chosen, the C library does", () => {
  assert.strictEqual(choose([gnu, musl], having(gnu, musl), () => true), `/modules/${gnu}`);
  assert.strictEqual(choose([gnu, musl], having(gnu, musl), () => false), `/modules/${musl}`);
});

test("nothing is found where nothing is, and another fault is not taken for that", () => {
  assert.strictEqual(choose([gnu, musl], having(), unasked), undefined);
  const broken = () => { throw new Error("no rights"); };
  assert.throws(() => choose([gnu], broken, unasked), /no rights/);
});

// Without a terminal, even where these tests are run in one: its signals would come from there.
const shim = (script) => {
  const words = [process.env.SHIM, "exec", "--env", "TOKEN", "git.acme.example", "--", "sh", "-c", script];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"], detached: true });
  const text = new Promise((done) => {
    let all = "";
    child.stdout.on("data", (part) => {
      all += part;
      if (all.includes("ready")) child.emit("ready");
    });
    child.stdout.on("end", () => done(all));
  });
  const ended = new Promise((done) => child.on("exit", (status, signal) => done([status, signal])));
  const ready = new Promise((done) => child.on("ready", done));
  return { child, text, ended, ready };
};

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
  test(`${signal} reaches the program behind it, whose own status comes back`, async () => {
    const name = signal.slice(3);
    const run = shim(`trap 'echo got ${name}; exit 9' ${name}; echo ready; while :; do sleep 0.05; done`);
    await run.ready;
    run.child.kill(signal);
    assert.deepStrictEqual(await run.ended, [9, null]);
    assert.match(await run.text, new RegExp(`got ${name}`));
  });
}

test("a program that a signal ends ends the shim by the same", async () => {
  const run = shim("echo ready; kill -TERM $$");
  assert.deepStrictEqual(await run.ended, [null, "SIGTERM"]);
});

test("an interrupt from the terminal comes once, though standard input is a pipe", async () => {
  // `script` has a terminal for it; the loop is the time a second one would have.
  const counting = `trap 'n=$((n + 1))' INT; n=0; i=0; echo ready; while [ $i -lt 20 ]; do sleep 0.05; i=$((i + 1)); done
    echo "interrupted $n"`;
  const line = `true | "$NODE" "$SHIM" exec --env TOKEN git.acme.example -- sh -c "$COUNTING"`;
  const env = { ...process.env, NODE: process.execPath, COUNTING: counting };
  const child = spawn("script", ["-qec", line, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] });
  let all = "";
  child.stdout.on("data", (part) => {
    if (!all.includes("ready") && (all + part).includes("ready")) child.stdin.write("\x03");
    all += part;
  });
  await new Promise((done) => child.stdout.on("end", done));
  assert.match(all, /interrupted 1\b/);
});
