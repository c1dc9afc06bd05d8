//! A user of a registry of container images: claviger is the helper of all its clients.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::registry::Registry;
use super::tools::{Bench, every};
use super::web::Door;
use super::{Answer, finish};

/// A registry, and a user of it.
pub struct Scene {
    pub door: Door,
    pub registry: Registry,
    pub bench: Bench,
}

impl Scene {
    pub fn new() -> Option<Self> {
        let door = Door::new();
        let registry = Registry::start(&door)?;
        let bench = Bench::new();
        bench.link("bin/docker-credential-claviger");
        let scene = Self { door, registry, bench };
        scene.door.accept("AT1");
        scene.helps(scene.registry.authority());
        Some(scene)
    }

    /// claviger is the helper of these registries.
    pub fn helps(&self, registry: &str) {
        self.configure(&json!({ "credHelpers": { registry: "claviger" } }));
    }

    pub fn configure(&self, config: &Value) {
        self.bench.write("home/.docker/config.json", &config.to_string());
    }

    pub fn config(&self) -> String {
        std::fs::read_to_string(self.bench.path("home/.docker/config.json")).unwrap_or_default()
    }

    pub fn store(&self, expires: &str) {
        self.bench.sandbox.run("store", &self.door.session(&self.registry.service(), expires)).ok();
    }

    pub fn command(&self, program: &PathBuf) -> Command {
        let mut command = self.bench.command(program);
        command.env("XDG_RUNTIME_DIR", self.bench.path("tmp"));
        // Nobody listens there: docker has no engine.
        command.env("DOCKER_HOST", format!("unix://{}", self.bench.path("no-engine").display()));
        command
    }

    pub fn helper(&self, verb: &str, input: &str) -> Answer {
        let mut command = self.bench.command(self.bench.path("bin/docker-credential-claviger"));
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command, input.as_bytes())
    }

    /// Puts a script before the helper that writes down each verb and what it was asked about.
    pub fn listen(&self) {
        self.bench.link("real/docker-credential-claviger");
        let helper = self.bench.path("bin/docker-credential-claviger");
        std::fs::remove_file(&helper).unwrap();
        let (record, real) = (self.bench.path("verbs"), self.bench.path("real/docker-credential-claviger"));
        let script = format!(
            "#!/bin/sh\ninput=$(cat)\necho \"$1 $input\" >> '{}'\nprintf %s \"$input\" | '{}' \"$@\"\n",
            record.display(),
            real.display()
        );
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the helper was asked since the last look.
    pub fn heard(&self) -> Vec<String> {
        let record = self.bench.path("verbs");
        let text = std::fs::read_to_string(&record).unwrap_or_default();
        std::fs::write(&record, "").unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

pub type Make = fn(&Scene, &PathBuf, &str) -> Command;

/// How each client reads an image's manifest.
pub const READERS: [(&str, Make); 4] = [
    ("docker", |scene, program, image| {
        let mut command = scene.command(program);
        command.args(["manifest", "inspect", "--insecure", &at(scene, image)]);
        command
    }),
    ("skopeo", |scene, program, image| {
        let mut command = scene.command(program);
        command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{}", at(scene, image))]);
        command
    }),
    ("crane", |scene, program, image| {
        let mut command = scene.command(program);
        command.args(["manifest", &at(scene, image)]);
        command
    }),
    ("oras", |scene, program, image| {
        let mut command = scene.command(program);
        command.args(["manifest", "fetch", "--plain-http", &at(scene, image)]);
        command
    }),
];

pub fn at(scene: &Scene, image: &str) -> String {
    format!("{}/{image}:1", scene.registry.authority())
}

/// Every client of these names that there is, each with how it reads.
pub fn readers(names: &[&str]) -> Vec<(PathBuf, Make)> {
    let wanted = READERS.iter().filter(|(name, _)| names.contains(name));
    wanted.flat_map(|(name, make)| copies(name).into_iter().map(|program| (program, *make))).collect()
}

pub const ALL: [&str; 4] = ["docker", "skopeo", "crane", "oras"];
/// Those that know `credsStore`.
pub const WITH_STORE: [&str; 3] = ["docker", "crane", "oras"];

/// What the realm was shown, each once.
pub fn shown(registry: &Registry) -> Vec<(String, String)> {
    let mut came = registry.came();
    came.sort();
    came.dedup();
    came
}

pub fn pair(user: &str, password: &str) -> (String, String) {
    (user.to_owned(), password.to_owned())
}

/// `login` of each client with this password, on standard input.
pub fn login(scene: &Scene, program: &PathBuf, user: &str, password: &str) -> Answer {
    let name = program.file_name().unwrap().to_string_lossy().into_owned();
    let flags: &[&str] = match name.as_str() {
        "skopeo" => &["login", "--tls-verify=false"],
        "oras" => &["login", "--plain-http"],
        "crane" => &["auth", "login"],
        _ => &["login"],
    };
    let mut command = scene.command(program);
    command.args(flags).env("REGISTRY_AUTH_FILE", scene.bench.path("home/.docker/config.json"));
    command.args([scene.registry.authority(), "-u", user, "--password-stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command, password.as_bytes())
}

pub fn logout(scene: &Scene, program: &PathBuf) -> Command {
    let mut command = scene.command(program);
    if program.ends_with("crane") {
        command.arg("auth");
    }
    // skopeo looks for a configuration of its own first.
    command.env("REGISTRY_AUTH_FILE", scene.bench.path("home/.docker/config.json"));
    command.args(["logout", scene.registry.authority()]);
    command
}

/// Every copy of a client that runs.
pub fn copies(name: &str) -> Vec<PathBuf> {
    every(name, &["--help"])
}
