//! A real registry of container images whose tokens a realm of ours signs. The realm lets in whom a test's door lets in,
//! and whoever has a password there.

use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use claviger::signing::SigningKey;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::tools::found;
use super::web::{Door, Reply, Request, Web};
use super::{has_program, skipped};

/// An image that only people with a token may have, and one that is anybody's.
pub const IMAGE: &str = "team/app";
pub const PUBLIC: &str = "public/app";

const SERVICE: &str = "the registry";
const ISSUER: &str = "the realm";

/// 1024 times nothing, an archive without files, as gzip has it.
const LAYER: [u8; 29] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0x63, 0x60, 0x18, 5, 0xa3, 0x60, 0x14, 0x8c, 0x54, 0, 0, 0x2e, 0xaf,
    0xb5, 0xef, 0, 4, 0, 0,
];

/// Who has a password.
type People = Arc<Mutex<Vec<(String, String)>>>;

/// A running registry. It ends with the value.
pub struct Registry {
    pub realm: Web,
    authority: String,
    people: People,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// `None` where there is no registry and none is required.
    pub fn start(door: &Door) -> Option<Self> {
        let Some(program) = found("docker-registry").pop() else {
            skipped("docker-registry", "docker-registry is not installed");
            return None;
        };
        if !has_program("openssl") {
            skipped("openssl", "openssl is not installed");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("claviger-registry-").tempdir().expect("a folder");
        let signer = Signer::new(folder.path());
        let people = People::default();
        let (door, known) = (door.clone(), people.clone());
        let realm = Web::http(move |request| answer(request, &door, &known, &signer));
        for name in [IMAGE, PUBLIC] {
            put_image(&folder.path().join("data/docker/registry/v2"), name);
        }
        let config = json!({
            "version": 0.1,
            "log": { "level": "info", "formatter": "json" },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("data") } },
            "http": { "addr": "127.0.0.1:0", "secret": "of no meaning" },
            "auth": { "token": {
                "realm": format!("{}/token", realm.address()), "service": SERVICE, "issuer": ISSUER,
                "rootcertbundle": folder.path().join("cert.pem"),
            } },
        });
        std::fs::write(folder.path().join("config.yml"), config.to_string()).expect("it is configured");
        let mut process = Command::new(program)
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry starts");
        let mut said = BufReader::new(process.stderr.take().expect("stderr is piped"));
        let authority = listening(&mut said);
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Some(Self { realm, authority, people, process, _folder: folder })
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The service that a session is for.
    pub fn service(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// From now on this password is good.
    pub fn know(&self, user: &str, password: &str) {
        self.people.lock().expect("nobody panicked").push((user.to_owned(), password.to_owned()));
    }

    /// Who came to the realm since this was last asked for: user name and password of each; none of them: anybody.
    pub fn came(&self) -> Vec<(String, String)> {
        self.realm.asked().iter().map(|request| request.basic().unwrap_or_default()).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where it says that it listens.
fn listening(said: &mut impl std::io::BufRead) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(said.read_line(&mut line).expect("it says something"), 0, "it does not listen: {all}");
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        let message = entry["msg"].as_str().unwrap_or_default();
        if let Some(authority) = message.strip_prefix("listening on ") {
            return authority.trim_end().to_owned();
        }
        all += &line;
    }
}

/// What signs the realm's tokens, and shows its certificate with each.
struct Signer {
    key: SigningKey,
    certificate: String,
}

impl Signer {
    fn new(folder: &Path) -> Self {
        let done = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=the realm",
            ])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(folder)
            .output()
            .expect("openssl starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("openssl wrote it");
        let certificate = read("cert.pem").lines().filter(|line| !line.starts_with('-')).collect();
        Self { key: SigningKey::parse(&read("key.pem")).expect("a key"), certificate }
    }

    fn token(&self, access: &[Value]) -> String {
        let now = unix_now();
        let header = json!({ "typ": "JWT", "alg": self.key.algorithm(), "x5c": [self.certificate] });
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": "somebody", "jti": "1",
            "iat": now, "nbf": now - 60, "exp": now + 300, "access": access,
        });
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(signed.as_bytes()).expect("random numbers");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

#[allow(clippy::disallowed_methods, reason = "the registry lives in real time")]
fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_secs()
}

/// Whoever shows a wrong password gets nothing, and whoever shows none what is anybody's.
fn answer(request: &Request, door: &Door, people: &People, signer: &Signer) -> Reply {
    if request.method != "GET" {
        return Reply::new(405, "text/plain", "only GET\n");
    }
    let who = request.basic();
    let known = |(user, password): &(String, String)| {
        door.opens(Some(password))
            || people.lock().expect("nobody panicked").contains(&(user.clone(), password.clone()))
    };
    if who.as_ref().is_some_and(|who| !known(who)) {
        return Reply::unauthorized("Basic realm=\"the realm\"");
    }
    let wanted = request.query("scope");
    let access: Vec<Value> = wanted
        .iter()
        .flat_map(|scopes| scopes.split(' '))
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions
                .split(',')
                .filter(|action| who.is_some() || (*action == "pull" && name == PUBLIC))
                .collect();
            Some(json!({ "type": kind, "name": name, "actions": actions }))
        })
        .collect();
    let token = signer.token(&access);
    Reply::json(&json!({ "token": token, "access_token": token, "expires_in": 300 }))
}

/// Lays an image into the registry's files, under the tag `1`.
fn put_image(root: &Path, name: &str) {
    let digest = |bytes: &[u8]| format!("sha256:{}", claviger::secret::hex(&sha2::Sha256::digest(bytes)));
    let write = |path: String, bytes: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders are made");
        std::fs::write(path, bytes).expect("a file is written");
    };
    let repository = format!("repositories/{name}");
    let blob = |bytes: &[u8], link: &str| {
        let digest = digest(bytes);
        let hex = digest.trim_start_matches("sha256:");
        write(format!("blobs/sha256/{}/{hex}/data", &hex[..2]), bytes);
        write(format!("{repository}/{link}/sha256/{hex}/link"), digest.as_bytes());
        digest
    };
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(&[0; 1024])] },
    })
    .to_string();
    let (config_digest, layer_digest) = (blob(config.as_bytes(), "_layers"), blob(&LAYER, "_layers"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(), "digest": config_digest,
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": LAYER.len(), "digest": layer_digest,
        }],
    })
    .to_string();
    let digest = blob(manifest.as_bytes(), "_manifests/revisions");
    let hex = digest.trim_start_matches("sha256:");
    write(format!("{repository}/_manifests/tags/1/current/link"), digest.as_bytes());
    write(format!("{repository}/_manifests/tags/1/index/sha256/{hex}/link"), digest.as_bytes());
}
