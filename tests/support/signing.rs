//! A login under way: the real binary, its events as they come, and a token endpoint that answers with whatever it was
//! told to. For what needs no authorization server, or a worse one than there is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Answer, Sandbox};

/// A small HTTP server: each path has its answer, and what was asked is kept.
pub struct Endpoints {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A path, and the JSON that it answers with status 200, or a status and a whole body.
pub type Answers = Vec<(&'static str, u16, String)>;

impl Endpoints {
    /// Serves from now on. `BASE` in an answer is the server's own address.
    pub fn answering(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, base) = (asked.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that is gone is the client's affair.
                serve(stream, &answers, &base, &kept).unwrap_or_default();
            }
        });
        Self { address, asked }
    }

    /// With a token endpoint that grants `AT1` and `RT1`.
    pub fn granting() -> Self {
        let granted =
            r#"{"access_token":"AT1","token_type":"Bearer","expires_in":3600,"refresh_token":"RT1"}"#;
        Self::answering(vec![("/token", 200, granted.to_owned())])
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The requests so far: the first line, a space, and the body.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// A sandbox with files for a store and this as its one provider, and a browser that does nothing.
    pub fn sandbox(&self, more: &str) -> Sandbox {
        let mut sandbox = Sandbox::plaintext();
        sandbox.configure(&format!(
            "[timeouts]\nlogin = 60\n[providers.acme]\nauthorization-endpoint = \"{0}/authorize\"\n\
             token-endpoint = \"{0}/token\"\nclient-id = \"cli\"\nservices = [\"{1}\"]\n{more}\n",
            self.address,
            super::SERVICE
        ));
        sandbox.set("BROWSER", "/bin/true");
        sandbox
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &Answers,
    base: &str,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.lock().expect("nobody panicked").push(format!(
        "{} {}",
        first.trim_end(),
        String::from_utf8_lossy(&body)
    ));
    let path = first.split(' ').nth(1).unwrap_or_default();
    let found = answers.iter().find(|(known, _, _)| *known == path);
    let (status, body) =
        found.map_or((404, "{}".to_owned()), |(_, status, body)| (*status, body.replace("BASE", base)));
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A login that waits for somebody.
pub struct Login {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// What it said first.
    pub event: Value,
}

impl Login {
    /// Starts one, and waits until it says where to go.
    pub fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = sandbox.command("login");
        command.args(arguments).arg("--json");
        Self::of(command)
    }

    /// The same of a command that is ready.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("it says something");
        let event = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut said = String::new();
            let _ = child.stderr.take().expect("stderr is piped").read_to_string(&mut said);
            panic!("no event: {line:?} {said:?}")
        });
        Self { child, lines, event }
    }

    /// Where the answer is listened for.
    pub fn redirect_uri(&self) -> String {
        self.event["redirectUri"].as_str().expect("a redirect URI").to_owned()
    }

    /// Host and port of that.
    pub fn authority(&self) -> String {
        let rest = self.redirect_uri().strip_prefix("http://").expect("http").to_owned();
        rest.split('/').next().expect("an authority").to_owned()
    }

    /// A parameter of the authorization request.
    pub fn sent(&self, name: &str) -> Option<String> {
        let address =
            url::Url::parse(self.event["authorizationUrl"].as_str().expect("an address")).expect("a URL");
        address.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn state(&self) -> String {
        self.sent("state").expect("a state")
    }

    /// Sends bytes to the listener and gives what it answers.
    pub fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.authority()).expect("it listens");
        stream.write_all(bytes).expect("it is asked");
        // A listener that has answered may be gone before all is read.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// A browser's plain request for a path with a query.
    pub fn visit(&self, target: &str) -> String {
        self.ask(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.authority()).as_bytes())
    }

    /// The true answer with this code.
    pub fn come_back(&self, code: &str) -> String {
        self.visit(&format!("/?code={code}&state={}", self.state()))
    }

    /// Says something on its standard input.
    pub fn say(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("stdin is piped").write_all(text.as_bytes()).expect("it listens");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Answer {
        drop(self.child.stdin.take());
        let mut stdout = String::new();
        self.lines.read_to_string(&mut stdout).expect("stdout is UTF-8");
        let mut answer = Answer::of(self.child.wait_with_output().expect("it ends"));
        answer.stdout = stdout;
        answer
    }
}

/// A program that writes down how it was called.
#[cfg(unix)]
pub fn recorder(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (program, record) = (folder.join(name), folder.join(format!("{name}.called")));
    let script = format!(
        "#!/bin/sh\necho called >> '{0}.times'\n{{ echo \"$# arguments\"; printf '%s\\n' \"$@\"; echo environment; env; }} > '{0}.part'\nmv '{0}.part' '{0}'\n",
        record.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (program, record)
}

/// Waits until the program has been called.
pub fn called(record: &Path) -> String {
    let (_never, tick) = std::sync::mpsc::channel::<()>();
    for _ in 0..500 {
        if let Ok(text) = std::fs::read_to_string(record) {
            return text;
        }
        let _ = tick.recv_timeout(std::time::Duration::from_millis(20));
    }
    panic!("it was never called");
}

/// How often it has been called so far.
pub fn times_called(record: &Path) -> usize {
    let times = std::fs::read_to_string(format!("{}.times", record.display())).unwrap_or_default();
    times.lines().count()
}
