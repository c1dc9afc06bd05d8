// A registry of npm's on the loopback that has the packages of a folder and no others: node registry.js FOLDER. It
// prints its address, and ends with its standard input.
"use strict";

const { execFileSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const folder = process.argv[2];
const packages = new Map();
for (const file of fs.readdirSync(folder).filter((name) => name.endsWith(".tgz"))) {
  const text = execFileSync("tar", ["-xzOf", path.join(folder, file), "package/package.json"]);
  const about = JSON.parse(text);
  packages.set(about.name, { about, file, bytes: fs.readFileSync(path.join(folder, file)) });
}
// Executables that were not built here: none that would fit.
for (const [name, version] of Object.entries(packages.get("claviger-cli").about.optionalDependencies)) {
  const about = { name, version, os: ["another"] };
  if (!packages.has(name)) packages.set(name, { about, file: `${name}.tgz`, bytes: Buffer.alloc(0) });
}

const server = http.createServer((request, response) => {
  const asked = decodeURIComponent(request.url.slice(1));
  const tarball = [...packages.values()].find(({ file }) => asked === `-/${file}`);
  const found = packages.get(asked);
  if (tarball) {
    response.end(tarball.bytes);
  } else if (found) {
    const { about, file, bytes } = found;
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    const dist = { tarball: `http://127.0.0.1:${server.address().port}/-/${file}`, integrity };
    const { name, version } = about;
    const versions = { [version]: { ...about, dist } };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }));
  } else {
    response.statusCode = 404;
    response.end("{}");
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.on("end", () => process.exit()).resume();
