//! Servers with certificates of an authority of our own; each is `openssl s_server`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What each of them answers.
const GRANT: &str = r#"{"access_token":"AT2","token_type":"Bearer","expires_in":3600}"#;

/// An authority of our own and a certificate it gave for one name, in a folder that vanishes.
pub struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// `None` where there is no openssl and none is required.
    pub fn certifying(name: &str) -> Option<Self> {
        Self::certifying_for(name, "2")
    }

    /// A certificate that ends in so many days; `-1`: that ended yesterday.
    pub fn certifying_for(name: &str, days: &str) -> Option<Self> {
        if !super::has_program("openssl") {
            super::skipped("openssl", "openssl is not installed");
            return None;
        }
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        let text = format!("basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName={name}\n");
        std::fs::write(authority.path("leaf.ext"), text).unwrap();
        let key = ["-newkey", "rsa:2048", "-nodes"];
        authority.openssl(
            &["req", "-x509", "-days", "2", "-subj", "/CN=our own"],
            &key,
            &["-keyout", "ca.key", "-out", "ca.pem"],
        );
        authority.openssl(
            &["req", "-subj", "/CN=a server"],
            &key,
            &["-keyout", "leaf.key", "-out", "leaf.csr"],
        );
        authority.openssl(
            &["x509", "-req", "-in", "leaf.csr", "-days", days, "-extfile", "leaf.ext"],
            &["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
            &["-out", "leaf.pem"],
        );
        Some(authority)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, what: &[&str], how: &[&str], out: &[&str]) {
        let mut command = Command::new("openssl");
        let done = command.args(what).args(how).args(out).current_dir(self.folder.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A server with the certificate and these options besides.
    pub fn serve(&self, options: &[&str]) -> TlsServer {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                &format!("127.0.0.1:{port}"),
                "-key",
                "leaf.key",
                "-cert",
                "leaf.pem",
            ])
            .args(["-naccept", "1"])
            .args(options)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says ACCEPT once it listens; a connection to see whether it does would be the one it accepts.
        let mut said = String::new();
        let mut stdout = child.stdout.take().unwrap();
        while !said.contains("ACCEPT") {
            let mut buffer = [0; 256];
            let read = stdout.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "it does not listen: {said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        // What it is told now it says to whoever connects, after the handshake.
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{GRANT}",
            GRANT.len()
        );
        child.stdin.as_mut().unwrap().write_all(answer.as_bytes()).unwrap();
        let heard = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What it had heard before its end is what counts.
            let _ = stdout.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        TlsServer { port, child, heard }
    }
}

pub struct TlsServer {
    pub port: u16,
    child: Child,
    heard: std::thread::JoinHandle<String>,
}

impl TlsServer {
    /// Waits until its one connection has ended, and gives what it has heard: all of it, however long the way.
    pub fn heard_to_the_end(mut self) -> String {
        self.child.wait().unwrap();
        self.heard.join().unwrap()
    }

    /// Ends it, and gives what it has heard.
    pub fn heard(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.heard.join().unwrap()
    }
}
