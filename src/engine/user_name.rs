//! What a tool calls the user, and what it is told in return (Q3 to Q5, Q11).
//!
//! A user name in a tool's request comes from a URL or from a file. One that is an account selects that account. The one
//! that the tool would be told anyway, for a server wants it beside any token, selects nothing. Any other is somebody we do
//! not know, and is not answered with another's token.

use super::Call;
use super::find::{Found, candidates};
use crate::message::{Caller, Code, Failure, Get, Scheme, Tool};
use crate::provider::Provider;
use crate::resolve::{self, Wanted};
use crate::session::Service;
use crate::text::Escaped;
use crate::time::Timestamp;

/// What a tool is told where nobody says otherwise: servers that want no certain name take this one.
const ANYBODY: &str = "oauth2";
/// How much earlier than its end a caller is told to stop using a token, in seconds; at most half of what is left.
const MARGIN: i64 = 60;

impl Call<'_> {
    /// The request with the session named that its user name means.
    pub(super) fn as_called(&self, request: &Get) -> Result<Get, Failure> {
        let Some(username) = request.caller.username.as_deref().filter(|name| !name.is_empty()) else {
            return self.as_brought(request);
        };
        if let Some(account) = &request.account {
            let is_it =
                account == username || self.is_anybody(request.caller.tool, &request.service, username);
            return if is_it || self.is_kept_with(request, username)? {
                Ok(request.clone())
            } else {
                Err(unknown(username, &request.service))
            };
        }
        let wanted =
            Wanted { service: &request.service, account: Some(username), profile: request.profile.as_ref() };
        let known = self.world.index.all()?.entries;
        let caller = Caller { found_by_name: true, ..request.caller.clone() };
        let named = Get { account: Some(username.to_owned()), caller, ..request.clone() };
        if !resolve::all(wanted, &candidates(&known)).is_empty() {
            return Ok(named);
        }
        if self.is_anybody(request.caller.tool, &request.service, username)
            || self.is_kept_with(request, username)?
        {
            return Ok(request.clone());
        }
        // The index may have lost it.
        match self.looked_up(&named)? {
            Some(_) => Ok(named),
            None => Err(unknown(username, &request.service)),
        }
    }

    /// What a tool brought itself for a place it is given back there, whatever other tools are given: its user logged in
    /// with it, and expects it. Nobody else's default changes for that. git says by its user name which of several it
    /// means; where another tool has several, none of them is meant.
    fn as_brought(&self, request: &Get) -> Result<Get, Failure> {
        let tool = request.caller.tool;
        let logs_in = matches!(tool, Tool::Docker | Tool::Keyring | Tool::Cargo | Tool::Terraform);
        if !logs_in || request.account.is_some() {
            return Ok(request.clone());
        }
        let mut brought = self.world.index.all()?.entries;
        brought.retain(|entry| {
            entry.kept_by.as_deref() == Some(tool.word())
                && entry.name.account.as_str() == tool.login(entry.username.as_deref())
                && entry.name.profile == request.profile
                && entry.services.iter().any(|service| service.covers(&request.service))
        });
        let deepest = brought.iter().map(|entry| entry.name.service.as_str().len()).max();
        brought.retain(|entry| Some(entry.name.service.as_str().len()) == deepest);
        let account = match brought.as_slice() {
            [one] => Some(one.name.account.as_str().to_owned()),
            _ => None,
        };
        Ok(Get { account, ..request.clone() })
    }

    /// Whether a tool is told this name whoever the user is.
    pub(super) fn is_anybody(&self, tool: Tool, service: &Service, username: &str) -> bool {
        tool.wants_a_user_name() && self.configured_name(tool, service).unwrap_or(ANYBODY) == username
    }

    /// Whether the session that is meant is kept with this name beside its token.
    fn is_kept_with(&self, request: &Get, username: &str) -> Result<bool, Failure> {
        match self.looked_up(request) {
            Ok(found) => {
                Ok(found.is_some_and(|found| found.session.record().username.as_deref() == Some(username)))
            }
            // None of several is meant.
            Err(failure) if failure.code == Code::NoAccountSelected => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn looked_up(&self, request: &Get) -> Result<Option<Found>, Failure> {
        let wanted = Wanted {
            service: &request.service,
            account: request.account.as_deref(),
            profile: request.profile.as_ref(),
        };
        let found = self.awake(|| self.reading(self.mode()?, wanted, |storage| self.find(wanted, storage)));
        match found {
            Ok(found) => Ok(Some(found)),
            Err(failure) if matches!(failure.code, Code::NotFound | Code::AccountNotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The user name and the scheme that a tool is told.
    pub(super) fn told(
        &self,
        caller: &Caller,
        service: &Service,
        kept: Option<String>,
    ) -> (Option<String>, Option<Scheme>) {
        let provider = self.world.settings.providers.serving(service);
        match caller.tool {
            Tool::Any | Tool::Terraform | Tool::Cluster => (kept, None),
            Tool::Cargo => (kept, provider.and_then(|provider| provider.cargo_scheme)),
            Tool::Git | Tool::Docker | Tool::Keyring => {
                let name = kept
                    .or_else(|| self.configured_name(caller.tool, service).map(str::to_owned))
                    .or_else(|| caller.username.clone().filter(|name| !name.is_empty()))
                    .unwrap_or_else(|| ANYBODY.to_owned());
                let scheme =
                    provider.and_then(|provider| provider.git_authtype).filter(|_| caller.tool == Tool::Git);
                (Some(name), scheme)
            }
        }
    }

    fn configured_name(&self, tool: Tool, service: &Service) -> Option<&str> {
        let provider: &Provider = self.world.settings.providers.serving(service)?;
        match tool {
            Tool::Git => provider.git_username.as_deref(),
            Tool::Docker | Tool::Keyring => provider.docker_username.as_deref(),
            Tool::Any | Tool::Cargo | Tool::Terraform | Tool::Cluster => None,
        }
    }
}

pub(super) fn unknown(username: &str, service: &Service) -> Failure {
    Failure::new(
        Code::AccountNotFound,
        format!("there is no session of `{}` for {service}", Escaped(username)),
        "`claviger status` shows the accounts there are",
    )
}

/// Until when a caller may keep a token that ends then.
pub(super) fn keep_until(end: Timestamp, now: Timestamp) -> Timestamp {
    let left = end.since(now);
    if left <= 0 { end } else { now.plus(left - MARGIN.min(left / 2)) }
}
