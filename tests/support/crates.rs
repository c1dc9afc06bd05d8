//! A registry of crates that wants a token for everything, and a user of it with the cargo that runs the tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::Digest as _;

use super::tools::{Bench, found, succeed};
use super::web::{Door, Reply, Request, Web};
use super::{Answer, finish};

/// What there is of one crate.
#[derive(Default)]
struct Crate {
    versions: BTreeMap<String, Version>,
    owners: Vec<String>,
}

struct Version {
    bytes: Vec<u8>,
    entry: Value,
}

type Crates = Arc<Mutex<BTreeMap<String, Crate>>>;

/// A running registry. It ends with the value.
pub struct Registry {
    pub web: Web,
    crates: Crates,
}

impl Registry {
    /// Lets in whom the door lets in, whichever way the token is shown.
    pub fn start(door: &Door) -> Self {
        let crates = Crates::default();
        let (kept, door) = (crates.clone(), door.clone());
        let web = Web::http(move |request| {
            let host = request.header("host").unwrap_or_default();
            let shown = request.header("authorization");
            if !door.opens(shown.map(|value| value.strip_prefix("Bearer ").unwrap_or(value))) {
                return Reply::unauthorized(&format!("Cargo login_url=\"http://{host}/me\""));
            }
            answer(request, host, &mut kept.lock().expect("nobody panicked"))
        });
        Self { web, crates }
    }

    /// As cargo calls it.
    pub fn index(&self) -> String {
        format!("sparse+{}/index/", self.web.address())
    }

    /// The service that a session is for.
    pub fn service(&self) -> String {
        format!("{}/index", self.web.address())
    }

    /// How it was asked since this was last asked for: method, path, and the value of `Authorization`.
    pub fn asked(&self) -> Vec<(String, String)> {
        let shown = |request: &Request| request.header("authorization").unwrap_or_default().to_owned();
        let asked = self.web.asked().into_iter();
        asked.map(|request| (format!("{} {}", request.method, request.path()), shown(&request))).collect()
    }

    /// The values of `Authorization` that were shown since, each once.
    pub fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> =
            self.asked().into_iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect();
        shown.sort();
        shown.dedup();
        shown
    }

    pub fn is_yanked(&self, name: &str) -> bool {
        self.crates.lock().expect("nobody panicked")[name].versions["0.1.0"].entry["yanked"] == true
    }

    /// Puts version 0.1.0 of a crate there.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        put(&mut self.crates.lock().expect("nobody panicked"), name, "0.1.0", bytes, &json!([]));
    }
}

fn put(
    crates: &mut BTreeMap<String, Crate>,
    name: &str,
    version: &str,
    bytes: Vec<u8>,
    dependencies: &Value,
) {
    let checksum = claviger::secret::hex(&sha2::Sha256::digest(&bytes));
    let entry = json!({
        "name": name, "vers": version, "deps": dependencies, "cksum": checksum, "features": {}, "yanked": false,
    });
    let versions = &mut crates.entry(name.to_owned()).or_default().versions;
    versions.insert(version.to_owned(), Version { bytes, entry });
}

fn answer(request: &Request, host: &str, crates: &mut BTreeMap<String, Crate>) -> Reply {
    let parts: Vec<&str> = request.path().trim_start_matches('/').split('/').collect();
    let done = || Reply::json(&json!({ "ok": true, "msg": "so be it" }));
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["index", "config.json"]) => Reply::json(&json!({
            "dl": format!("http://{host}/dl"), "api": format!("http://{host}"), "auth-required": true,
        })),
        ("GET", ["index", .., name]) => crates.get(*name).map_or_else(Reply::not_found, |known| {
            let lines: Vec<String> =
                known.versions.values().map(|version| version.entry.to_string()).collect();
            Reply::new(200, "text/plain", lines.join("\n"))
        }),
        ("GET", ["dl", name, version, "download"]) => {
            let found = crates.get(*name).and_then(|known| known.versions.get(*version));
            found.map_or_else(Reply::not_found, |found| {
                Reply::new(200, "application/gzip", found.bytes.clone())
            })
        }
        ("PUT", ["api", "v1", "crates", "new"]) => {
            let (about, rest) = counted(&request.bytes);
            let about: Value = serde_json::from_slice(about).expect("JSON");
            let text = |name: &str| about[name].as_str().expect("it is said").to_owned();
            put(crates, &text("name"), &text("vers"), counted(rest).0.to_vec(), &json!([]));
            Reply::json(&json!({ "warnings": {} }))
        }
        ("DELETE" | "PUT", ["api", "v1", "crates", name, version, action @ ("yank" | "unyank")]) => {
            let found = crates.get_mut(*name).and_then(|known| known.versions.get_mut(*version));
            found.map_or_else(Reply::not_found, |found| {
                found.entry["yanked"] = json!(*action == "yank");
                done()
            })
        }
        (method, ["api", "v1", "crates", name, "owners"]) => {
            let Some(known) = crates.get_mut(*name) else { return Reply::not_found() };
            let named: Value = serde_json::from_str(&request.body).unwrap_or_default();
            let named = named["users"].as_array().cloned().unwrap_or_default();
            let named: Vec<String> =
                named.iter().filter_map(|user| user.as_str().map(str::to_owned)).collect();
            match method {
                "GET" => {
                    let users: Vec<Value> = known
                        .owners
                        .iter()
                        .enumerate()
                        .map(|(id, login)| json!({ "id": id, "login": login, "name": null }))
                        .collect();
                    return Reply::json(&json!({ "users": users }));
                }
                "PUT" => known.owners.extend(named),
                _ => known.owners.retain(|owner| !named.contains(owner)),
            }
            done()
        }
        _ => Reply::not_found(),
    }
}

/// What stands behind its length in four bytes, and what stands behind that.
fn counted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    rest.split_at(usize::try_from(u32::from_le_bytes(*length)).expect("it fits"))
}

/// A registry with one crate in it, called `there`, and a user whose cargo calls it `my`.
pub struct Scene {
    pub door: Door,
    pub registry: Registry,
    pub bench: Bench,
    cargo: PathBuf,
}

impl Scene {
    /// With this for the provider of the registry.
    pub fn with_provider(provider: &str) -> Self {
        let scene = Self::new();
        scene.configure(&format!("credential-provider = {provider}\n"), "");
        scene
    }

    /// Without one.
    pub fn new() -> Self {
        let door = Door::new();
        let registry = Registry::start(&door);
        let bench = Bench::new();
        std::fs::create_dir(bench.path("heard")).expect("a folder is made");
        for name in ["claviger", "cargo-credential-claviger"] {
            bench.link(&format!("real/{name}"));
            bench.write(&format!("bin/{name}"), &recording(&bench, name));
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(bench.path(&format!("bin/{name}")), mode).expect("it may be run");
        }
        let scene = Self { door, registry, bench, cargo: cargo() };
        scene.door.accept("AT1");
        scene.configure("", "");
        scene.package("there", "");
        succeed(scene.cargo("there").args(["package", "--no-verify", "--allow-dirty", "--offline"]));
        let packed = scene.bench.path("tmp/target/package/there-0.1.0.crate");
        scene.registry.put("there", std::fs::read(packed).expect("it is packed"));
        scene.package("uses", "[dependencies]\nthere = { version = \"0.1\", registry = \"my\" }\n");
        scene
    }

    /// Writes cargo's configuration: more about the registry, and more.
    pub fn configure(&self, registry: &str, more: &str) {
        let index = self.registry.index();
        let text = format!("[registries.my]\nindex = \"{index}\"\n{registry}\n{more}\n");
        self.bench.write("cargo/config.toml", &text);
    }

    /// A crate in a folder of its own.
    pub fn package(&self, name: &str, more: &str) {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\nlicense = \"MIT\"\n\
             description = \"of no meaning\"\npublish = [\"my\"]\n{more}"
        );
        self.bench.write(&format!("work/{name}/Cargo.toml"), &manifest);
        self.bench.write(&format!("work/{name}/src/lib.rs"), "pub fn nothing() {}\n");
    }

    /// cargo, in the folder of that crate.
    pub fn cargo(&self, name: &str) -> Command {
        let mut command = self.bench.command(&self.cargo);
        let mut path = vec![self.bench.path("bin"), folder(&self.cargo)];
        path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
        command.env("PATH", std::env::join_paths(path).expect("no colon in a folder's name"));
        command.envs(toolchain()).env("CARGO_HOME", self.bench.path("cargo"));
        command.env("CARGO_TARGET_DIR", self.bench.path("tmp/target"));
        command.current_dir(self.bench.path("work").join(name));
        command
    }

    /// Gets the crate that `uses` needs, with nothing remembered of the registry.
    pub fn fetch(&self) -> Command {
        for forgotten in ["cargo/registry", "work/uses/Cargo.lock"] {
            let path = self.bench.path(forgotten);
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        let mut command = self.cargo("uses");
        command.arg("fetch");
        command
    }

    /// The same for a crate that needs the same, by a cargo that remembers nothing and has a home of its own.
    pub fn fetch_elsewhere(&self, name: &str) -> Command {
        self.package(name, "[dependencies]\nthere = { version = \"0.1\", registry = \"my\" }\n");
        let config = std::fs::read_to_string(self.bench.path("cargo/config.toml")).expect("it is configured");
        self.bench.write(&format!("cargo-{name}/config.toml"), &config);
        let mut command = self.cargo(name);
        command.arg("fetch").env("CARGO_HOME", self.bench.path(&format!("cargo-{name}")));
        command
    }

    /// cargo, told something on its standard input.
    pub fn told(&self, arguments: &[&str], input: &str) -> Answer {
        let mut command = self.cargo("uses");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command, input.as_bytes())
    }

    pub fn store(&self, expires: &str) {
        self.bench.sandbox.run("store", &self.door.session(&self.registry.service(), expires)).ok();
    }

    /// What the provider was asked since the last look: a list for each time it was started.
    pub fn heard(&self) -> Vec<Vec<Value>> {
        let mut records: Vec<PathBuf> = std::fs::read_dir(self.bench.path("heard"))
            .expect("there is a folder for it")
            .map(|entry| entry.expect("an entry is read").path())
            .collect();
        records.sort();
        let each = records.into_iter().map(|record| {
            let text = std::fs::read_to_string(&record).expect("it is read");
            std::fs::remove_file(&record).expect("it is forgotten");
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        });
        each.collect()
    }
}

/// A script that writes down what the provider is asked before the provider hears of it, and becomes the provider: an end
/// of that one is an end that cargo sees.
fn recording(bench: &Bench, name: &str) -> String {
    let folder = bench.path("heard").display().to_string();
    let real = bench.path(&format!("real/{name}")).display().to_string();
    format!(
        "#!/bin/bash\nprintf -v record '{folder}/%04d' \"$(ls '{folder}' | wc -l)\"\n: > \"$record\"\n\
         exec '{real}' \"$@\" < <(exec sed -u \"w $record\")\n"
    )
}

fn folder(program: &Path) -> PathBuf {
    program.parent().expect("a program is in a folder").to_owned()
}

/// The cargo that runs the tests.
#[allow(clippy::disallowed_methods, reason = "the tests' own look")]
fn cargo() -> PathBuf {
    let running = std::env::var_os("CARGO").map(PathBuf::from);
    running.or_else(|| found("cargo").pop()).expect("there is a cargo")
}

/// What a cargo of rustup needs to know where it is.
#[allow(clippy::disallowed_methods, reason = "the tests' own look")]
fn toolchain() -> impl Iterator<Item = (&'static str, OsString)> {
    ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}
