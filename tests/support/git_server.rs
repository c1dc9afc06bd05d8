//! A smart-HTTP server: git's own `http-backend` behind a door that knows which tokens are good at the moment.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::git::Git;
use super::server::Server;

/// A challenge to a client that sends user name and password.
pub const BASIC: &str = "Basic realm=\"git\"";
/// A challenge to one that sends a token as it is.
pub const BEARER: &str = "Bearer realm=\"git\", scope=\"git\"";

/// What a request brought along to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    Basic { username: String, password: String },
    Bearer(String),
}

impl Shown {
    pub fn basic(username: &str, password: &str) -> Self {
        Self::Basic { username: username.to_owned(), password: password.to_owned() }
    }

    fn read(header: Option<&String>) -> Self {
        let Some((scheme, rest)) = header.and_then(|header| header.split_once(' ')) else {
            return Self::Nothing;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest.to_owned());
        }
        let pair = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.unwrap_or_default();
        let (username, password) = pair.split_once(':').unwrap_or_default();
        Self::basic(username, password)
    }
}

/// One request, as it came and was answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method, path and query.
    pub what: String,
    pub shown: Shown,
    pub status: u16,
    /// How many bytes its body had.
    pub size: usize,
}

/// Who is let in, and how strangers are asked who they are.
#[derive(Default)]
pub struct Door {
    /// The values of `WWW-Authenticate`, a header for each.
    pub challenges: Vec<String>,
    /// Tokens that open it, whatever user name comes with them.
    pub tokens: Vec<String>,
    /// Tokens that do no more, even if they were granted once.
    pub revoked: Vec<String>,
    /// User names and passwords that open it.
    pub passwords: BTreeMap<String, String>,
    /// Whether nobody is let in at all.
    pub closed: bool,
    /// Where a path belongs to the holder of one token alone: how the path begins, and the token.
    pub owners: BTreeMap<String, String>,
}

struct Shared {
    backend: PathBuf,
    root: tempfile::TempDir,
    /// Every token it has granted opens the door, until it is revoked.
    authority: Arc<Server>,
    door: Mutex<Door>,
    log: Mutex<Vec<Asked>>,
    stop: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. It ends with the value.
pub struct GitServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl GitServer {
    /// With one repository, `repo.git`, and a door for Basic alone that opens to what this authority grants.
    pub fn start(git: &Git, authority: &Arc<Server>) -> Self {
        let root = tempfile::Builder::new().prefix("claviger-git-").tempdir().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            backend: git.exec_path().join("git-http-backend"),
            root,
            authority: authority.clone(),
            door: Mutex::new(Door { challenges: vec![BASIC.to_owned()], ..Door::default() }),
            log: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let server = Self { address, shared: shared.clone() };
        server.repository(git, "repo.git");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                if let Ok(stream) = stream {
                    // A client that goes away mid-answer is the client's affair.
                    std::thread::spawn(move || answer(stream, &shared).is_ok());
                }
            }
        });
        server
    }

    /// Makes a repository with one commit, at this path.
    pub fn repository(&self, git: &Git, path: &str) {
        let folder = self.shared.root.path().join(path);
        std::fs::create_dir_all(&folder).expect("a folder is made");
        let run = |arguments: &[&str]| {
            let mut command = git.bare(self.shared.root.path());
            command.arg("--git-dir").arg(&folder).args(arguments);
            super::git::said(command)
        };
        run(&["init", "--quiet", "--bare", "--initial-branch", "main"]);
        let tree = run(&["hash-object", "-w", "-t", "tree", "/dev/null"]);
        let commit = run(&["commit-tree", "-m", "First", &tree]);
        run(&["update-ref", "refs/heads/main", &commit]);
    }

    /// The commit that a branch of a repository is at.
    pub fn branch(&self, git: &Git, path: &str, name: &str) -> String {
        let mut command = git.bare(self.shared.root.path());
        command.arg("--git-dir").arg(self.shared.root.path().join(path)).args(["rev-parse", name]);
        super::git::said(command)
    }

    /// The service that a token for this server is granted for.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of a repository.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The address of a repository, with a user name in it.
    pub fn url_of(&self, username: &str, path: &str) -> String {
        format!("http://{username}@{}/{path}", self.address)
    }

    /// Changes who is let in.
    pub fn door(&self, change: impl FnOnce(&mut Door)) {
        change(&mut lock(&self.shared.door));
    }

    /// What it was asked since this was last called.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.shared.log))
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to stop.
        drop(TcpStream::connect(self.address));
    }
}

struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn hear(reader: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.get("expect").is_some_and(|value| value == "100-continue") {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0), 0);
        reader.read_exact(&mut body)?;
    }
    Ok(Request { method, target, headers, body })
}

/// Whether this opens the door for that path.
fn lets_in(shared: &Shared, shown: &Shown, path: &str) -> bool {
    let door = lock(&shared.door);
    let good = |token: &String| {
        let owner = door.owners.iter().find(|(prefix, _)| path.starts_with(*prefix));
        let granted = door.tokens.contains(token) || shared.authority.log(|log| log.granted.contains(token));
        granted && !door.revoked.contains(token) && owner.is_none_or(|(_, owner)| owner == token)
    };
    let offered = |scheme: &str| door.challenges.iter().any(|challenge| challenge.starts_with(scheme));
    match shown {
        _ if door.closed => false,
        Shown::Nothing => false,
        Shown::Bearer(token) => offered("Bearer") && good(token),
        Shown::Basic { username, password } => {
            offered("Basic") && (door.passwords.get(username) == Some(password) || good(password))
        }
    }
}

fn answer(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let request = hear(&mut reader)?;
    if request.method.is_empty() {
        return Ok(());
    }
    let shown = Shown::read(request.headers.get("authorization"));
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (status, head, body) = if lets_in(shared, &shown, path) {
        backend(shared, &request, path, query)?
    } else {
        let challenges = lock(&shared.door).challenges.clone();
        let head: Vec<String> =
            challenges.iter().map(|value| format!("WWW-Authenticate: {value}\r\n")).collect();
        (401, head.concat(), b"who are you?\n".to_vec())
    };
    let what = format!("{} {}", request.method, request.target);
    lock(&shared.log).push(Asked { what, shown, status, size: request.body.len() });
    let mut stream = reader.into_inner();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// git's own answer: status, headers and body.
fn backend(
    shared: &Shared,
    request: &Request,
    path: &str,
    query: &str,
) -> std::io::Result<(u16, String, Vec<u8>)> {
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let mut command = Command::new(&shared.backend);
    neutral(&mut command, shared.root.path());
    command
        .env("GIT_PROJECT_ROOT", shared.root.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        // Whoever has a name may push.
        .env("REMOTE_USER", "somebody")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let said = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(&request.body));
        child.wait_with_output()
    })?;
    let end = said.stdout.windows(4).position(|window| window == b"\r\n\r\n").expect("a head and a body");
    let head = String::from_utf8_lossy(&said.stdout[..end + 2]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")?.get(..3)?.parse().ok());
    Ok((status.unwrap_or(200), head, said.stdout[end + 4..].to_vec()))
}

/// An environment in which nothing of the machine's configuration counts.
pub fn neutral(command: &mut Command, home: &Path) {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).env("LC_ALL", "C");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Somebody")
            .env(format!("GIT_{role}_EMAIL"), "some@body.example");
    }
}
