//! One Secret Service with chosen habits, on a bus of its own, and a home that reaches it.

use serde_json::{Value, json};

use super::bus::Bus;
use super::scripted::{Habits, Scripted};
use super::server::Server;
use super::{Answer, SERVICE, Sandbox, expired};

/// What D-Bus calls a refusal.
pub const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

/// The service ends before its bus.
pub struct Stage {
    pub scripted: Scripted,
    pub bus: Bus,
    pub sandbox: Sandbox,
    account: String,
}

impl Stage {
    /// Each test takes an account of its own: the locks of keyring sessions are shared by every process of this
    /// user, and a keyring that says nothing makes a process keep its lock.
    pub fn new(account: &str, habits: Habits) -> Option<Self> {
        let bus = Bus::empty()?;
        let scripted = Scripted::start(&bus, habits);
        let sandbox = home(&bus);
        Some(Self { scripted, bus, sandbox, account: account.to_owned() })
    }

    /// With a session whose access token is `AT1`, stored while the service was a plain one.
    pub fn seeded(account: &str) -> Option<Self> {
        let stage = Self::new(account, Habits::default())?;
        stage.store("AT1").ok();
        Some(stage)
    }

    /// Leaves for another home on the same bus, where nothing is pinned and nothing is known.
    pub fn leave_home(&mut self) {
        self.sandbox = home(&self.bus);
    }

    /// Whether somebody sits at a desktop from now on.
    pub fn attended(&mut self, attended: bool) {
        self.sandbox.set("DISPLAY", if attended { ":99" } else { "" });
    }

    /// Whether the keyring is somebody's choice from now on.
    pub fn chosen(&mut self, chosen: bool) {
        self.sandbox.set("CLAVIGER_STORAGE", if chosen { "keyring" } else { "" });
    }

    pub fn bundle(&self, token: &str) -> Value {
        json!({ "service": SERVICE, "account": self.account, "accessToken": token })
    }

    /// A bundle that a server refreshes at the first `get`.
    pub fn refreshable(&self, server: &Server) -> Value {
        let mut bundle = expired(server, "RT1-first");
        bundle["account"] = json!(self.account);
        bundle
    }

    pub fn wanted(&self) -> Value {
        json!({ "service": SERVICE, "account": self.account })
    }

    pub fn store(&self, token: &str) -> Answer {
        self.sandbox.run("store", &self.bundle(token))
    }

    /// A `get`, an `erase`, or a `store` of `AT2`.
    pub fn run(&self, verb: &str) -> Answer {
        if verb == "store" { self.store("AT2") } else { self.sandbox.run(verb, &self.wanted()) }
    }

    /// How many questions were put to somebody.
    pub fn asked(&self) -> usize {
        self.scripted.calls("Prompt")
    }

    /// How often something was changed, or was to be.
    pub fn writes(&self) -> usize {
        ["CreateItem", "SetSecret", "Delete"].iter().map(|method| self.scripted.calls(method)).sum()
    }

    /// What is held, as text. Probes that could not be deleted hold no token and are not counted.
    pub fn held(&self) -> Vec<String> {
        let values = self.scripted.items().into_iter();
        let values = values.map(|(_, secret)| String::from_utf8(secret).expect("our values are text"));
        values.filter(|value| !value.starts_with("claviger probe")).collect()
    }

    /// Whether a file holds a token, and whether something is pinned.
    pub fn in_files(&self) -> (bool, bool) {
        let files = self.sandbox.files();
        let holds_token = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            ["\"AT", "\"RT"].iter().any(|token| text.contains(token))
        };
        (
            files.iter().any(|(_, bytes)| holds_token(bytes)),
            files.iter().any(|(path, _)| path.parent().is_some_and(|folder| folder.ends_with("pin"))),
        )
    }
}

/// A home on this bus, with short deadlines.
fn home(bus: &Bus) -> Sandbox {
    let sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address)]);
    sandbox.configure("[timeouts]\nkeyring = 1\nunlock = 2\n");
    sandbox
}

/// The message of an error.
pub fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().expect("an error has a message").to_owned()
}

/// How many lines were said to people, and how many of these announce a wait.
pub fn told(answer: &Answer) -> (usize, usize) {
    (answer.stderr.lines().count(), answer.stderr.matches("waiting up to 2 s").count())
}
