//! A private session bus with a real gnome-keyring on it, headless, in folders that vanish.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{has_program, skipped};

/// Debian: dbus dbus-tests gnome-keyring libsecret-tools libglib2.0-bin
const NEEDED: [&str; 5] = ["dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool", "gdbus"];

/// A running bus and keyring; they end with the value.
pub struct Bus {
    pub address: String,
    daemons: Vec<Child>,
    folder: tempfile::TempDir,
}

impl Bus {
    /// A bus with an unlocked keyring, or `None` where the programs are missing and may be.
    pub fn with_keyring() -> Option<Self> {
        let mut bus = Self::empty()?;
        let mut keyring = bus.command("gnome-keyring-daemon");
        keyring.args(["--foreground", "--unlock", "--components=secrets"]);
        let mut keyring = keyring
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        // The password is every byte up to the end of file.
        keyring.stdin.take().expect("stdin is piped").write_all(b"test").expect("the password is written");
        bus.daemons.push(keyring);
        let named = bus.command("gdbus").args(["wait", "--session", "--timeout", "20", SECRETS]).status();
        assert!(named.expect("gdbus runs").success(), "the keyring takes its name");
        // The login collection appears a moment after the name, and nothing announces it.
        let (_never, tick) = mpsc::channel::<()>();
        for _ in 0..200 {
            if bus.secrets("ReadAlias", &["string:default"]).contains("collection/login") {
                return Some(bus);
            }
            let _ = tick.recv_timeout(Duration::from_millis(50));
        }
        panic!("the keyring has no login collection");
    }

    /// A bus on which somebody owns the Secret Service's name and never answers.
    pub fn with_silence() -> Option<Self> {
        let mut bus = Self::empty()?;
        if !has_program("dbus-test-tool") {
            skipped("secret-service", "dbus-test-tool is not installed");
            return None;
        }
        let mut silence = bus.command("dbus-test-tool");
        silence
            .args(["black-hole", "--session", &format!("--name={SECRETS}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        bus.daemons.push(silence.spawn().expect("it starts"));
        let named = bus.command("gdbus").args(["wait", "--session", "--timeout", "20", SECRETS]).status();
        assert!(named.expect("gdbus runs").success(), "it takes the name");
        Some(bus)
    }

    /// A bus on which nothing answers for the Secret Service.
    pub fn empty() -> Option<Self> {
        if let Some(missing) = NEEDED.iter().find(|program| !has_program(program)) {
            skipped("secret-service", &format!("{missing} is not installed"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("claviger-bus-").tempdir().expect("a temporary folder");
        let config = folder.path().join("bus.conf");
        let socket = folder.path().join("bus");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
<limit name="max_connections_per_user">1024</limit><limit name="max_completed_connections">1024</limit>
</busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).expect("the bus's configuration is written");
        let mut daemon = Command::new("dbus-daemon");
        daemon.arg(format!("--config-file={}", config.display())).args(["--nofork", "--print-address=1"]);
        let mut daemon =
            daemon.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("dbus-daemon starts");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().expect("stdout is piped"))
            .read_line(&mut address)
            .expect("an address");
        Some(Self { address: address.trim().to_owned(), daemons: vec![daemon], folder })
    }

    /// A program that finds this bus and nothing of the user's.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("XDG_RUNTIME_DIR");
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address).env("HOME", self.folder.path());
        for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env(name, self.folder.path().join(name));
        }
        command
    }

    fn secrets(&self, method: &str, arguments: &[&str]) -> String {
        let mut call = self.command("dbus-send");
        call.args(["--session", "--print-reply", &format!("--dest={SECRETS}"), "/org/freedesktop/secrets"]);
        call.arg(format!("org.freedesktop.Secret.Service.{method}")).args(arguments);
        String::from_utf8_lossy(&call.output().expect("dbus-send runs").stdout).into_owned()
    }

    /// Locks the login collection.
    pub fn lock(&self) {
        self.secrets("Lock", &["array:objpath:/org/freedesktop/secrets/collection/login"]);
    }

    /// The `username` attributes of all our items, sorted, and what `secret-tool` says besides.
    pub fn slots(&self) -> (Vec<String>, String) {
        let output = self
            .command("secret-tool")
            .args(["search", "--all", "service", "claviger"])
            .output()
            .expect("it runs");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let name = |line: &str| line.strip_prefix("attribute.username = ").map(str::to_owned);
        let mut names: Vec<String> = text.lines().filter_map(name).collect();
        names.sort();
        (names, text)
    }
}

const SECRETS: &str = "org.freedesktop.secrets";

impl Drop for Bus {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            // Ended by its own handle; a daemon that has ended already is what we want.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
