//! An authorization server that nobody here wrote: `oidc-provider`, which is certified, on loopback. What shapes it
//! stands at the top of `tests/oidc/server.mjs`, who may ask it in `tests/oidc/clients.mjs`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Sandbox, has_program, skipped};

/// The fields of a form, or the headers of a request.
pub type Pairs<'a> = [(&'a str, &'a str)];

/// The secret of every client that has one: all that form-encoding or HTTP Basic might stumble over.
pub const SECRET: &str = r#"p%:+ &=/?#"\'<>~*!@$^;,|`{}[]() %41%zz"#;

/// A running server. It ends with the value.
pub struct AuthorizationServer {
    issuer: String,
    process: Child,
}

impl AuthorizationServer {
    /// Starts a server with these variables, or gives `None` where node or the server's packages are missing and
    /// may be.
    pub fn start(variables: &Pairs<'_>) -> Option<Self> {
        if let Some(missing) = missing() {
            skipped("oidc", &missing);
            return None;
        }
        let mut process = Command::new("node")
            .arg(script("server.mjs"))
            .env_clear()
            .env("PATH", path())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut line).expect("it says where it listens");
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        Some(Self { issuer: ready["issuer"].as_str().expect("an issuer").to_owned(), process })
    }

    /// The issuer identifier, without a slash at its end.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// What the endpoints were asked, in order: `path`, `grant_type`, `client_id`, `status` and `error` of each.
    pub fn log(&self) -> Vec<Value> {
        let (_, body) = self.get("/_log", &[]);
        serde_json::from_str(&body).expect("the log is a list")
    }

    /// The token requests with this grant, as the statuses of their answers.
    pub fn grants(&self, grant: &str) -> Vec<u64> {
        let asked = self.log().into_iter().filter(|asked| asked["grant_type"] == grant);
        asked.map(|asked| asked["status"].as_u64().expect("a status")).collect()
    }

    /// The status with which the protected resource answers this access token.
    pub fn resource(&self, token: &str) -> u16 {
        self.get("/resource", &[("Authorization", &format!("Bearer {token}"))]).0
    }

    /// Whose resource this access token opens.
    pub fn account(&self, token: &str) -> String {
        let (status, body) = self.get("/resource", &[("Authorization", &format!("Bearer {token}"))]);
        assert_eq!(status, 200, "{body}");
        let said: Value = serde_json::from_str(&body).expect("the resource is JSON");
        said["account"].as_str().expect("it is somebody's").to_owned()
    }

    /// From now on access tokens are granted for so many seconds.
    pub fn lifetime(&self, seconds: u32) {
        assert_eq!(self.get(&format!("/_control?ttl={seconds}"), &[]).0, 200);
    }

    /// A GET with these headers: status and body.
    pub fn get(&self, path: &str, headers: &Pairs<'_>) -> (u16, String) {
        self.exchange("GET", path, headers, "")
    }

    /// A POST of a form: status, and the body's JSON.
    pub fn post(&self, path: &str, fields: &Pairs<'_>) -> (u16, Value) {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let (status, body) = self.exchange("POST", path, &headers, &form);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    fn exchange(&self, method: &str, path: &str, headers: &Pairs<'_>, body: &str) -> (u16, String) {
        use std::fmt::Write as _;
        let host = self.issuer.strip_prefix("http://").expect("the issuer is on loopback");
        // To HTTP/1.0 nobody answers in chunks.
        let mut request =
            format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(host).expect("the server listens");
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("it is asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// A sandbox with files for a store, and a browser whose person signs in and agrees to everything.
    pub fn sandbox(&self, config: &str) -> Sandbox {
        let (path, browser) = (path(), script("browser.mjs"));
        let mut sandbox = Sandbox::plaintext();
        sandbox.set("PATH", &path);
        sandbox.set("BROWSER", &browser.display().to_string());
        let home = sandbox.home().display().to_string();
        sandbox.set("HOME", &home);
        sandbox.configure(&config.replace("ISSUER", &self.issuer).replace("HOME", &home));
        sandbox
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // The end of its standard input ends it; this is for one that does not listen any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address that the server sends a browser on to, which does not go there.
pub fn answer_to(authorization_url: &str) -> String {
    let mut browser = Command::new(script("browser.mjs"));
    browser.arg(authorization_url).env_clear().env("PATH", path()).env("BROWSER_PRINTS", "1");
    let said = browser.output().expect("the browser starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("an address").trim().to_owned()
}

/// A person enters a user code on another device, and decides: `approve` or `deny`.
pub fn on_another_device(verification_uri: &str, user_code: &str, decision: &str) {
    let mut device = Command::new(script("device.mjs"));
    device.args([verification_uri, user_code, decision]).env_clear().env("PATH", path());
    assert!(device.status().expect("the device starts").success());
}

/// Why the server cannot be started.
fn missing() -> Option<String> {
    if !has_program("node") {
        return Some("node is not installed".to_owned());
    }
    let said = Command::new("node").arg("--version").output().expect("node starts").stdout;
    let version = String::from_utf8(said).expect("a version");
    let major =
        version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        return Some(format!("node is {}, and 20 is the least", version.trim()));
    }
    let packages = script("node_modules/oidc-provider/package.json");
    (!packages.is_file())
        .then(|| "its packages are not installed: npm ci --ignore-scripts --prefix tests/oidc".to_owned())
}

fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "oidc", name].iter().collect()
}

/// Where programs are found: node among them.
#[allow(clippy::disallowed_methods, reason = "the tests' own look at the path")]
fn path() -> String {
    std::env::var("PATH").expect("a path")
}
