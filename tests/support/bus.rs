//! A private session bus with a real gnome-keyring on it, headless, in folders that vanish.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{has_program, skipped};

/// Debian: dbus dbus-tests gnome-keyring libsecret-tools libglib2.0-bin
const NEEDED: [&str; 6] =
    ["dbus-daemon", "dbus-send", "dbus-test-tool", "gnome-keyring-daemon", "secret-tool", "gdbus"];

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
        bus.start_keyring();
        Some(bus)
    }

    /// Ends the keyring, as a crash would, and starts another, which has what was stored and knows nobody.
    pub fn restart_keyring(&mut self) {
        if let Some(mut keyring) = self.daemons.pop() {
            keyring.kill().expect("it is ended by its own handle");
            keyring.wait().expect("it ends");
        }
        self.start_keyring();
    }

    /// Starts the keyring anew where it has died by itself: a failed assertion of its own stops gnome-keyring now and
    /// then, when a client is gone in mid-call. `false`: it lives.
    pub fn revive_keyring(&mut self) -> bool {
        let died = |keyring: &mut Child| keyring.try_wait().expect("a child is asked after").is_some();
        let died = self.daemons.last_mut().is_some_and(died);
        if died {
            self.daemons.pop();
            self.start_keyring();
        }
        died
    }

    fn start_keyring(&mut self) {
        let mut keyring = self.command("gnome-keyring-daemon");
        keyring.args(["--foreground", "--unlock", "--components=secrets"]);
        let mut keyring = keyring
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        // The password is every byte up to the end of file.
        keyring.stdin.take().expect("stdin is piped").write_all(b"test").expect("the password is written");
        self.daemons.push(keyring);
        self.wait_for(SECRETS);
        self.wait_for_collection("collection/login");
    }

    /// A bus with a locked keyring, whose question to unlock it is answered by nobody, ever. Without this one
    /// gnome-keyring finds nobody to ask with, and the question counts as dismissed.
    pub fn with_a_question_nobody_answers() -> Option<Self> {
        let mut bus = Self::with_keyring()?;
        bus.own("org.gnome.keyring.SystemPrompter", "echo");
        bus.lock();
        Some(bus)
    }

    /// A bus on which somebody owns the Secret Service's name and never answers.
    pub fn with_silence() -> Option<Self> {
        let mut bus = Self::empty()?;
        bus.own(SECRETS, "black-hole");
        Some(bus)
    }

    /// A bus with KeePassXC, an implementation that shares nothing with gnome-keyring. With `confirms` it asks
    /// for every item that another program made, and before every deletion, as it does unless told otherwise.
    pub fn with_keepassxc(confirms: bool) -> Option<Self> {
        if let Some(missing) = ["keepassxc", "keepassxc-cli"].iter().find(|program| !has_program(program)) {
            skipped("keepassxc", &format!("{missing} is not installed"));
            return None;
        }
        let mut bus = Self::empty()?;
        let (database, config) = (bus.folder.path().join("t.kdbx"), bus.folder.path().join("keepassxc.ini"));
        let xml = bus.folder.path().join("t.xml");
        std::fs::write(&xml, EMPTY_DATABASE).expect("the database's description is written");
        let mut import = bus.offscreen("keepassxc-cli");
        import.args(["import", "--set-password"]).arg(&xml).arg(&database);
        let made = super::finish(import, b"test\ntest\n");
        assert_eq!(made.exit, 0, "{}", made.stderr);
        let text = format!(
            "[General]\nConfigVersion=2\nSingleInstance=false\nUpdateCheckMessageShown=true\n\
             [GUI]\nCheckForUpdates=false\n\
             [FdoSecrets]\nEnabled=true\nShowNotification=false\nUnlockBeforeSearch=false\n\
             ConfirmDeleteItem={confirms}\nConfirmAccessItem={confirms}\n"
        );
        std::fs::write(&config, text).expect("its configuration is written");
        let mut keepassxc = bus.offscreen("keepassxc");
        keepassxc.arg("--config").arg(&config).arg("--localconfig").arg(bus.folder.path().join("local.ini"));
        keepassxc.arg("--pw-stdin").arg(&database);
        let mut keepassxc = keepassxc.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let password = keepassxc.stdin.take().expect("stdin is piped").write_all(b"test\n");
        password.expect("the password is written");
        bus.daemons.push(keepassxc);
        bus.wait_for(SECRETS);
        bus.wait_for_collection("collection/t");
        Some(bus)
    }

    fn offscreen(&self, program: &str) -> Command {
        let mut command = self.command(program);
        command.env("QT_QPA_PLATFORM", "offscreen").env("XDG_RUNTIME_DIR", self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Lets somebody own a name, who answers every call with nothing (`echo`) or not at all (`black-hole`).
    fn own(&mut self, name: &str, how: &str) {
        let mut owner = self.command("dbus-test-tool");
        owner.args([how, "--session", &format!("--name={name}")]);
        self.daemons
            .push(owner.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dbus-test-tool starts"));
        self.wait_for(name);
    }

    fn wait_for(&self, name: &str) {
        let named = self.command("gdbus").args(["wait", "--session", "--timeout", "20", name]).status();
        assert!(named.expect("gdbus runs").success(), "somebody takes the name {name}");
    }

    /// A collection appears, and opens, a moment after the service's name, and nothing announces it.
    fn wait_for_collection(&self, path: &str) {
        let (_never, tick) = mpsc::channel::<()>();
        let collection = format!("/org/freedesktop/secrets/{path}");
        let locked = ["string:org.freedesktop.Secret.Collection", "string:Locked"];
        for _ in 0..200 {
            if self.secrets("ReadAlias", &["string:default"]).contains(path)
                && self
                    .send(&collection, "org.freedesktop.DBus.Properties.Get", &locked)
                    .contains("boolean false")
            {
                return;
            }
            let _ = tick.recv_timeout(Duration::from_millis(50));
        }
        panic!("there is no open default collection {path}");
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
        let method = format!("org.freedesktop.Secret.Service.{method}");
        self.send("/org/freedesktop/secrets", &method, arguments)
    }

    fn send(&self, object: &str, method: &str, arguments: &[&str]) -> String {
        let mut call = self.command("dbus-send");
        call.args(["--session", "--print-reply", &format!("--dest={SECRETS}"), object, method])
            .args(arguments);
        String::from_utf8_lossy(&call.output().expect("dbus-send runs").stdout).into_owned()
    }

    /// Locks the login collection.
    pub fn lock(&self) {
        self.secrets("Lock", &["array:objpath:/org/freedesktop/secrets/collection/login"]);
    }

    /// Puts an item of ours into the keyring, behind everybody's back.
    pub fn keep(&self, slot: &str, value: &str) {
        let mut tool = self.command("secret-tool");
        tool.args(["store", "--label", "claviger", "service", "claviger", "username", slot]);
        tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let answer = super::finish(tool, value.as_bytes());
        assert_eq!(answer.exit, 0, "{}", answer.stderr);
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

/// One group, and the setting that lets the Secret Service show it.
const EMPTY_DATABASE: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<KeePassFile><Meta><DatabaseName>t</DatabaseName><RecycleBinEnabled>False</RecycleBinEnabled><CustomData><Item>
<Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{00112233-4455-6677-8899-aabbccddeeff}</Value>
</Item></CustomData></Meta>
<Root><Group><UUID>ABEiM0RVZneImaq7zN3u/w==</UUID><Name>Root</Name></Group></Root></KeePassFile>
"#;

impl Drop for Bus {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            // Ended by its own handle; a daemon that has ended already is what we want.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
