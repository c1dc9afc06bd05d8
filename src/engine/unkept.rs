//! The storage `none`: a machine's token is asked for, handed out and forgotten. Nothing is written, not even a folder,
//! and nothing that other storages keep is looked into.

use super::Call;
use super::exactly::exactly;
use super::get::{SHORT, deepest};
use super::user_name::{keep_until, unknown};
use crate::error;
use crate::message::{
    Code, Erase, Erased, Failure, Finding, Freshness, Get, Health, MatchedBy, Outcome, Request, Revocation,
    Token, Tool, WarningCode,
};
use crate::refresh;
use crate::session::{Account, SessionName};
use crate::store::mode::Nothing;
use crate::store::record::Bundle;

/// For whoever meant a session that is kept.
const ELSEWHERE: &str = "say `--storage keyring` or `--storage plaintext` for what is kept there";

impl Call<'_> {
    pub(super) fn without_storage(&self, nothing: Nothing, request: Request) -> Result<Outcome, Failure> {
        match request {
            Request::Get(request) => {
                self.get_unkept(nothing, &request).and_then(|given| exactly(&request, given))
            }
            // git hands back what it had from us; whatever else it brings is not for us to keep.
            Request::Keep(request) if request.tool == Tool::Git => Ok(Outcome::Kept { new: false }),
            Request::Store(_) | Request::Keep(_) => Err(unkeepable(nothing)),
            // Whoever was refused a token wants another, and the next `get` asks for one anyway.
            Request::Erase(Erase { access: Some(_), .. }) | Request::Reject(_) | Request::Withdraw(_) => {
                Ok(Outcome::Erased(Erased { erased: false, revocation: Revocation::Skipped }))
            }
            Request::Token(request) => self.get_unkept(nothing, &self.as_get(&request)?),
            Request::GetEach(requests) => self.each(&requests, |request| self.get_unkept(nothing, request)),
            Request::Registries(_) => Ok(Outcome::Registries(Vec::new())),
            Request::ListProviders => Ok(self.list_providers()),
            Request::AddProvider(new) => self.add_provider(&new),
            Request::RemoveProvider(name) => self.remove_provider(&name),
            Request::Configure(request) => self.configure(&request),
            Request::Links(request) => self.links(&request),
            Request::Login(_) => Err(Failure::new(
                Code::ConfigInvalid,
                format!("{} says none: nobody can sign in where nothing is kept", nothing.source()),
                "say `--storage keyring` or `--storage plaintext` to keep the session there",
            )),
            Request::Status { .. }
            | Request::Use(_)
            | Request::Logout(_)
            | Request::LogoutAll
            | Request::Erase(_) => Err(Failure::new(
                Code::ConfigInvalid,
                format!("{} says none: no session is kept here", nothing.source()),
                ELSEWHERE,
            )),
            Request::List(_) => Ok(Outcome::Listed(Vec::new())),
            Request::Capabilities => Ok(super::list::capabilities()),
            Request::ShowStorage => self.show_storage(),
            Request::MoveStorage(_) => Err(super::move_all::contradicts(nothing)),
            Request::Doctor { .. } => Ok(Outcome::Examined(vec![Finding {
                check: "storage",
                health: Health::Good,
                message: format!("none, decided by {}: there is nothing to look into", nothing.source()),
                hint: String::new(),
            }])),
        }
    }

    fn get_unkept(&self, nothing: Nothing, request: &Get) -> Result<Outcome, Failure> {
        let Some((name, matched_by)) = self.unkept_session(request) else {
            return Err(Failure::new(
                Code::NotFound,
                format!(
                    "{} says none, and no provider with a machine grant serves {}",
                    nothing.source(),
                    request.service
                ),
                ELSEWHERE,
            ));
        };
        if let Some(username) = request.caller.username.as_deref().filter(|username| !username.is_empty())
            && username != name.account.as_str()
            && !self.is_anybody(request.caller.tool, &request.service, username)
        {
            return Err(unknown(username, &request.service));
        }
        self.awake(|| self.is_configured(&name))?;
        let world = self.world;
        let clients = &world.settings.providers;
        let unkept = refresh::unkept(nothing, (world.http, world.clock), clients, world.keyring, &name);
        let Bundle { record, access } = unkept.map_err(|error| error::of_mint(error, &name))?.into_bundle();
        let access = access.ok_or_else(|| self.not_found(&name.service))?;
        let left = record.expires_at.map(|end| end.since(world.clock.now()));
        if left.is_some_and(|left| left <= 0 || request.min_validity.is_some_and(|wanted| left < wanted)) {
            self.warn(WarningCode::ValidityShort, SHORT.to_owned());
        }
        let (username, scheme) = self.told(&request.caller, &request.service, None);
        Ok(Outcome::Token(Box::new(Token {
            name,
            within: deepest(&record.services, &request.service),
            opens: deepest(&record.services, &request.service),
            username,
            scheme,
            keep_until: record.expires_at.map(|end| keep_until(end, self.world.clock.now())),
            token_type: record.token_type,
            access,
            expires_at: record.expires_at,
            scopes: record.scopes,
            has_refresh_token: Some(false),
            storage: None,
            freshness: Freshness::Minted,
            matched_by,
        })))
    }

    /// The name that the session would have if it were kept. There are no labels and no defaults.
    fn unkept_session(&self, request: &Get) -> Option<(SessionName, MatchedBy)> {
        let provider = self.world.settings.providers.serving(&request.service)?;
        let service = provider.session_service().filter(|_| provider.grant.is_a_machines())?.clone();
        let account = Account::parse(request.account.as_deref().unwrap_or(&provider.name)).ok()?;
        let matched_by = match &request.account {
            _ if !provider.services.contains(&request.service) => MatchedBy::Origin,
            Some(_) => MatchedBy::Account,
            None => MatchedBy::Only,
        };
        Some((SessionName { service, account, profile: request.profile.clone() }, matched_by))
    }
}

fn unkeepable(nothing: Nothing) -> Failure {
    Failure::new(
        Code::ConfigInvalid,
        format!("{} says none: nothing can be stored", nothing.source()),
        "say `--storage keyring` or `--storage plaintext` to store it there",
    )
}
