//! What somebody typed, or a tool got by itself, kept as it is (Q8): what any storage helper does for a tool.
//!
//! A tool hands back whatever worked, our own tokens too. Those are kept already, and where they were refreshed meanwhile,
//! better ones: so nothing that a session of ours answers to is ever kept a second time.

use super::Call;
use super::destination::typed_over;
use super::erase::Ending;
use super::store::{Granting, bad_request};
use crate::limits::TEXT_BYTES;
use crate::message::{Expiry, Failure, Keep, Origin, Outcome, Scheme, Store, Tool, WarningCode};
use crate::resolve::Wanted;
use crate::session::{Account, SessionName, Storage};
use crate::store::record::Record;
use crate::store::{self, Persisted};

/// Whether a session ends with its token, for nothing brings another: a static one, or a password, which may have an end.
pub(super) fn is_typed(record: &Record) -> bool {
    record.is_static()
        || (record.has_refresh_token == Some(false) && record.token_type == Scheme::Basic.token_type())
}

/// Whether a session is what somebody logged in with in that tool, for no account in particular.
pub(super) fn is_login(record: &Record, tool: Tool) -> bool {
    record.kept_by.as_deref() == Some(tool.word())
        && record.name.account.as_str() == tool.login(record.username.as_deref())
}

/// Whether a session is known by this user name.
pub(super) fn is_named(record: &Record, name: &str) -> bool {
    record.name.account.as_str() == name || record.username.as_deref() == Some(name)
}

impl Call<'_> {
    pub(super) fn keep_typed(&self, request: Keep) -> Result<Outcome, Failure> {
        let wanted = Wanted { service: &request.service, account: None, profile: request.profile.as_ref() };
        let in_use = self.awake(|| {
            self.reading(self.mode()?, wanted, |storage| self.find_all(wanted, storage).map(|_| storage))
        })?;
        if self.is_ours(&request, in_use)? {
            return Ok(Outcome::Kept { new: false });
        }
        let Keep { service, account, username, profile, secret, scheme, expiry, tool } = request;
        let alone = account.is_none() && tool == Tool::Docker;
        let misfit = |why: &str| bad_request(&format!("the user name {why}"), "it is not kept");
        // Beside an account, too: whoever is told it is told in lines.
        let told = username.as_deref().unwrap_or_default();
        if told.len() > TEXT_BYTES || told.chars().any(char::is_control) {
            return Err(misfit("is too long, or holds control characters"));
        }
        let account =
            Account::parse(account.as_deref().unwrap_or(tool.login(username.as_deref()))).map_err(misfit)?;
        let name = SessionName { service: service.clone(), account, profile };
        let store = Store {
            name: name.clone(),
            access: secret,
            username,
            kept_by: Some(tool.word().to_owned()),
            label: None,
            refresh: None,
            expiry,
            refresh_token_expires_at: None,
            token_type: Some(scheme.token_type().to_owned()),
            scopes: Vec::new(),
            services: Vec::new(),
            // The tool itself is given it back there; for others nothing changes, unless there was nobody.
            make_default: None,
            replace: true,
            origin: Origin::Nowhere,
        };
        let (stored, _) = self.keep(store, Granting::Typed)?;
        if alone {
            self.end_those_before(&name, tool, stored.storage)?;
        }
        Ok(Outcome::Kept { new: true })
    }

    /// Whether a tool hands back what it had from us, now or a while ago.
    fn is_ours(&self, request: &Keep, storage: Storage) -> Result<bool, Failure> {
        let wanted = Wanted { service: &request.service, account: None, profile: request.profile.as_ref() };
        let login = request.tool.login(request.username.as_deref());
        let typed = request.account.as_deref().unwrap_or(login);
        let name = request.username.as_deref().unwrap_or_default();
        // Of the moment it ends nothing may be known.
        let ends_as_told = |record: &Record| match request.expiry {
            Expiry::At(end) => record.expires_at == Some(end),
            _ => true,
        };
        let mut in_the_way = None;
        for found in self.find_all(wanted, storage)? {
            // A slot that cannot be read has nothing to compare.
            let Ok(Some(session)) = store::load(self.backend(storage), &found) else { continue };
            let record = session.record();
            let same = session.access().is_some_and(|access| access.same_as(&request.secret));
            let ours = if is_typed(record) {
                // Two people may have typed the same.
                same && is_named(record, typed) && ends_as_told(record)
            } else {
                // What is handed back may have been refreshed since: docker does so after a `login` with what it was
                // given, and git always. Whoever runs another tool's `login`, or names themselves, means it.
                let anybodys = self.is_anybody(request.tool, &request.service, name);
                same || match request.tool {
                    Tool::Git => anybodys || is_named(record, name),
                    Tool::Docker => anybodys || record.username.as_deref() == Some(name),
                    Tool::Any | Tool::Keyring | Tool::Cargo | Tool::Terraform | Tool::Cluster => false,
                }
            };
            if !record.erased && ours {
                return Ok(true);
            }
            if !record.erased && !is_typed(record) && record.name.account.as_str() == typed {
                in_the_way = Some(record.name.clone());
            }
        }
        // Under that account there would be two, and what was typed, being named after the place, would be given for both.
        in_the_way.map_or(Ok(false), |name| Err(typed_over(&name)))
    }

    /// A registry's clients know one login to an address: those that the same tool brought before end.
    fn end_those_before(&self, name: &SessionName, tool: Tool, storage: Storage) -> Result<(), Failure> {
        let wanted = Wanted { service: &name.service, account: None, profile: name.profile.as_ref() };
        for other in self.find_all(wanted, storage)? {
            if other == *name || other.service != name.service {
                continue;
            }
            // What was kept is kept, whatever becomes of those before.
            let Ok(loaded) = store::load(self.backend(storage), &other) else { continue };
            let typed = |session: &Persisted| is_typed(session.record()) && is_login(session.record(), tool);
            if loaded.as_ref().is_some_and(typed)
                && let Err(failure) = self.end_session(&other, Ending::IfTyped, storage)
            {
                let message = format!("a login before it is still kept: {}", failure.message);
                self.warn(WarningCode::OtherCopy, message);
            }
        }
        Ok(())
    }
}
