//! The real git, a server of it behind a door that claviger opens, and the authority that grants the tokens.

use std::sync::Arc;

use serde_json::{Value, json};

use super::git::{Git, User};
use super::git_server::{GitServer, Shown};
use super::server::Server;
use super::{Answer, expired};

/// A token that the door knows from the beginning.
pub const TOKEN: &str = "AT-fresh";

/// A server of git, the authority behind it, and a user.
pub struct Stage<'a> {
    pub authority: Arc<Server>,
    pub server: GitServer,
    pub user: User<'a>,
}

impl<'a> Stage<'a> {
    pub fn new(git: &'a Git) -> Self {
        let authority = Arc::new(Server::start("RT1-first"));
        let server = GitServer::start(git, &authority);
        server.door(|door| door.tokens.push(TOKEN.to_owned()));
        Self { authority, server, user: User::new(git) }
    }

    /// With a session of alice's for the whole server, whose token is good for an hour.
    pub fn signed_in(git: &'a Git) -> Self {
        let stage = Self::new(git);
        stage.store(&json!({ "accessToken": TOKEN, "expiresIn": 3600 }));
        stage
    }

    /// A session that can be refreshed: alice's, for the whole server, unless this says otherwise.
    pub fn store(&self, but: &Value) {
        let mut bundle = expired(&self.authority, "RT1-first");
        bundle["service"] = json!(self.server.origin());
        let fields = bundle.as_object_mut().unwrap();
        if but.get("expiresIn").is_some() {
            fields.remove("expiresAt");
        }
        fields.extend(but.as_object().unwrap().clone());
        self.user.sandbox.run("store", &bundle).ok();
    }

    /// Clones, and forgets how that went.
    pub fn cloned(git: &'a Git) -> Self {
        let stage = Self::signed_in(git);
        done(&stage.user.clone_from(&stage.server.url("repo.git")));
        stage.server.asked();
        stage
    }

    /// What was shown to the server by requests that it let in, each kind once.
    pub fn opened_with(&self) -> Vec<Shown> {
        let mut shown: Vec<Shown> = self
            .server
            .asked()
            .into_iter()
            .filter(|asked| asked.status == 200)
            .map(|asked| asked.shown)
            .collect();
        shown.dedup();
        shown
    }

    pub fn granted(&self) -> Vec<String> {
        self.authority.log(|log| log.granted.clone())
    }

    /// The sessions that there are, as a caller is told of them.
    pub fn sessions(&self) -> Vec<Value> {
        let listed = self.user.sandbox.run_bytes("list", b"").ok();
        listed["sessions"].as_array().unwrap().clone()
    }
}

#[track_caller]
pub fn done(answer: &Answer) {
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert_eq!(answer.stderr, "");
}

/// git was turned away, with the words it has for that.
#[track_caller]
pub fn refused(answer: &Answer) {
    assert_eq!(answer.exit, 128, "{}", answer.stderr);
    assert!(answer.stderr.contains("Authentication failed"), "{}", answer.stderr);
}

/// git found nothing and would have asked somebody.
#[track_caller]
pub fn asks(answer: &Answer) {
    assert_eq!(answer.exit, 128, "{}", answer.stderr);
    assert!(answer.stderr.contains("terminal prompts disabled"), "{}", answer.stderr);
}

/// A provider to which the session of [`Stage::store`] belongs, with this besides.
pub fn provider(stage: &Stage<'_>, more: &str) -> String {
    format!(
        "[providers.acme]\ntoken-endpoint = \"{}\"\nclient-id = \"claviger-tests\"\nservices = [\"{}\"]\n{more}\n",
        stage.authority.token_endpoint(),
        stage.server.origin()
    )
}
