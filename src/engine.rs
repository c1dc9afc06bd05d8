//! The story: what each verb does, from request to outcome. Everything else serves these files.
//!
//! ```text
//! get    choose a session ─ load it ─ good enough? hand it out ─ else refresh, then hand out what was saved
//!        none there, and a machine grant configured? make it first; under storage `none` ask, hand out, forget
//! store  decide where ─ lock ─ conflict? ─ index, refresh slot, access slot ─ pin
//! erase  choose ─ lock ─ mark erased ─ revoke ─ refresh slot, access slot, index
//! login  who? ─ browser or device ─ code for tokens ─ store
//! logout choose ─ erase, and tell the server
//! keep   ours already? no more to do ─ else a session that is what it is, never in the place of one that refreshes
//! reject compare ─ drop the access token ─ what was typed ends
//! withdraw  lock ─ the service off the record ─ the last one? erase
//! list   the index, and nothing else; status the same in words, and the slots where they are to be checked
//! token  the service a word means ─ get; exec the same, and the program takes our place; use pins a default
//! move   pin ─ each session: lock both ─ copy refresh slot ─ mark ─ copy access slot ─ index ─ delete the source
//! providers  what config.toml names ─ or: lock beside the file ─ read ─ edit, check ─ unchanged? replace
//! configure, links  what other tools read and call: see `tools`
//! doctor try the keyring, the files, the locks ─ look into every session ─ say what is wrong, or mend it
//! ```

mod destination;
mod doctor;
mod erase;
mod exactly;
mod find;
mod get;
mod list;
mod login;
mod logout;
mod mint;
mod move_all;
mod place;
mod providers;
mod registries;
mod reject;
mod relocate;
mod renewal;
mod show;
mod status;
mod store;
mod target;
mod token;
mod typed;
mod undo;
mod unkept;
mod user_name;
mod withdraw;

use std::cell::{Cell, RefCell};
use std::fs::File;

use crate::clock::Clock;
use crate::error;
use crate::http::Http;
use crate::message::{Code, Configure, Event, Failure, Links, Outcome, Request, Warning, WarningCode};
use crate::refresh::turn::Locks;
use crate::settings::Settings;
use crate::setup::{self, Ground};
use crate::store::index::Index;
use crate::store::mode::{Choice, Pin};
use crate::store::{Backend, Error};
use crate::worker::Worker;

/// Everything outside the program, handed in by `main` or by a test.
pub struct World<'a> {
    /// What the user decided.
    pub settings: &'a Settings,
    /// The keyring.
    pub keyring: &'a dyn Backend,
    /// The files.
    pub plaintext: &'a dyn Backend,
    /// The index.
    pub index: &'a Index,
    /// This machine's pin.
    pub pin: &'a Pin,
    /// The network.
    pub http: &'a dyn Http,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The locks.
    pub locks: &'a Locks,
    /// Has a refresh carried out where nothing that ends this process reaches it.
    pub worker: &'a dyn Worker,
    /// Says a line to people at once: before a wait, before a token goes where it was not expected.
    pub tell: &'a dyn Fn(&str),
    /// Tells a tool at once how a login goes on.
    pub event: &'a dyn Fn(&Event<'_>),
}

/// One request being served, with what is worth telling beside the outcome.
struct Call<'a> {
    world: &'a World<'a>,
    warnings: RefCell<Vec<Warning>>,
    /// Somebody has been asked to unlock the keyring.
    asked: Cell<bool>,
}

/// Serves one request.
pub fn serve(world: &World<'_>, request: Request) -> (Result<Outcome, Failure>, Vec<Warning>) {
    let call = Call::new(world);
    let result = match world.settings.chosen {
        Some(Choice::Nothing(nothing)) => call.without_storage(nothing, request),
        Some(Choice::Kept(_)) | None => call.answer(request),
    };
    if world.plaintext.repaired() {
        call.warn(WarningCode::PermissionsRepaired, REPAIRED.to_owned());
    }
    (result, call.warnings.into_inner())
}

const REPAIRED: &str = "others could read a slot's file; they no longer can";

/// Carries out what another process of this program ordered, under the lock it handed on. `false`: nothing was done.
pub fn work(world: &World<'_>, order: &[u8], lock: File, report: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    renewal::carry_out(world, order, lock, report)
}

impl<'a> Call<'a> {
    fn new(world: &'a World<'a>) -> Self {
        Self { world, warnings: RefCell::default(), asked: Cell::new(false) }
    }

    fn answer(&self, request: Request) -> Result<Outcome, Failure> {
        match request {
            Request::Get(request) => self.get(&request),
            Request::Store(request) => self.store(*request),
            Request::Erase(request) => self.erase(&request),
            Request::List(request) => self.list(&request),
            Request::Capabilities => Ok(list::capabilities()),
            Request::ShowStorage => self.show_storage(),
            Request::MoveStorage(to) => self.move_all(to),
            Request::Doctor { fix } => Ok(self.doctor(fix)),
            Request::Login(request) => self.login(&request),
            Request::Logout(target) => self.logout(&target),
            Request::LogoutAll => self.logout_all(),
            Request::Status { check } => self.status(check),
            Request::Token(request) => self.token(&request),
            Request::Use(target) => self.choose_default(&target),
            Request::ListProviders => Ok(self.list_providers()),
            Request::AddProvider(new) => self.add_provider(&new),
            Request::RemoveProvider(name) => self.remove_provider(&name),
            Request::GetEach(requests) => self.each(&requests, |request| self.get(request)),
            Request::Keep(request) => self.keep_typed(*request),
            Request::Reject(request) => self.reject(request),
            Request::Withdraw(request) => self.withdraw(&request),
            Request::Registries(request) => self.registries(&request),
            Request::Configure(request) => self.configure(&request),
            Request::Links(request) => self.links(&request),
        }
    }

    fn configure(&self, request: &Configure) -> Result<Outcome, Failure> {
        setup::configure(&self.ground(), request).map(Outcome::Configured)
    }

    fn links(&self, request: &Links) -> Result<Outcome, Failure> {
        setup::links(self.world.settings, request).map(Outcome::Linked)
    }

    fn ground(&self) -> Ground<'_> {
        let World { settings, clock, locks, tell, .. } = *self.world;
        Ground { settings, clock, locks, tell }
    }

    fn warn(&self, code: WarningCode, message: String) {
        let warning = Warning { code, message };
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// What hints tell people to run to sign in for a service.
    fn login_command(&self, service: &crate::session::Service) -> Option<String> {
        let provider = self.world.settings.providers.serving(service)?;
        match &provider.login_command {
            Some(command) => Some(command.clone()),
            None if provider.grant.is_a_machines() => None,
            None => Some(format!("claviger login {}", provider.name)),
        }
    }

    fn not_found(&self, service: &crate::session::Service) -> Failure {
        let hint = match self.login_command(service) {
            Some(command) => error::login_hint(Some(&command)),
            None => "a tool stores one with `claviger store`; `claviger providers add` adds a server to sign in to".to_owned(),
        };
        Failure::new(Code::NotFound, format!("there is no session for {service}"), hint)
    }
}

/// What a damaged slot means to whoever is about to write over it or delete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// It is in the way.
    Stops,
    /// It is as good as none.
    Passes,
}

/// A slot before it is written over or deleted: what a newer version wrote, or what could not be read just now,
/// is always in the way.
fn readable<T>(loaded: Result<Option<T>, Error>, damage: Damage) -> Result<Option<T>, Error> {
    match loaded {
        Err(Error::Damaged { .. }) if damage == Damage::Passes => Ok(None),
        other => other,
    }
}

/// The store's errors as failures, for `?`.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error::of_store(&error)
    }
}

impl From<crate::store::Rejected> for Failure {
    fn from(rejected: crate::store::Rejected) -> Self {
        error::of_store(&rejected.error)
    }
}
