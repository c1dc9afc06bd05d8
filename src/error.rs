//! Every module's error to a code, a message and a hint: the one place where words for people are chosen.
//!
//! The modules' errors hold no secrets and say no more than what happened; what to do about it is said here.

mod login;

pub use login::{of_denial, of_discovery, of_login_refusal, of_request, of_unready};

use crate::http;
use crate::lock;
use crate::message::{Code, Failure};
use crate::oauth::token::Refused;
use crate::provider::Misconfigured;
use crate::refresh;
use crate::refresh::backoff::Pause;
use crate::session::{SessionName, SlotName, Storage};
use crate::store;
use crate::text::Escaped;

/// What to do where there is no keyring.
const NO_KEYRING: &str = if cfg!(all(unix, not(target_os = "macos"))) {
    "see to the keyring (a Secret Service on the session bus), or use files: CLAVIGER_STORAGE=plaintext for this call, `claviger storage move plaintext` for good"
} else {
    "see to the system's keyring, or use files: CLAVIGER_STORAGE=plaintext for this call, `claviger storage move plaintext` for good"
};

/// How people sign in again: the provider's own command where the configuration names it.
#[must_use]
pub fn login_hint(command: Option<&str>) -> String {
    match command {
        Some(command) => format!("run `{}`", Escaped(command)),
        None => "sign in again with the tool that stored it, or store a new bundle with `claviger store`"
            .to_owned(),
    }
}

/// The store's errors.
#[must_use]
pub fn of_store(error: &store::Error) -> Failure {
    let (code, hint) = match error {
        store::Error::Unavailable { storage: Storage::Keyring, .. } => (Code::StoreUnavailable, NO_KEYRING),
        store::Error::Unavailable { storage: Storage::Plaintext, .. } => {
            (Code::StoreUnavailable, "make the state folder reachable, or set CLAVIGER_HOME")
        }
        store::Error::Locked(_) => (Code::StoreLocked, "unlock the keyring and try again"),
        store::Error::Denied { .. } => (Code::StoreDenied, "allow claviger in the keyring's own settings"),
        store::Error::Failed { .. } => {
            (Code::AuthStoreReadFailed, "see to the keyring and try again; nothing was changed")
        }
        store::Error::Timeout { .. } => (
            Code::StoreTimeout,
            "see whether the keyring waits for an answer somewhere; `timeouts.keyring` in config.toml sets the limit",
        ),
        store::Error::Newer { .. } => (Code::StoreNewer, "use the newer claviger that wrote it"),
        store::Error::Damaged { piece, .. } => (Code::AuthStoreReadFailed, damaged(*piece)),
        store::Error::Read { .. } => (
            Code::AuthStoreReadFailed,
            "see to the disk or the limits of this process, and try again; nothing was changed",
        ),
        store::Error::Write { .. } => (
            Code::AuthStoreWriteFailed,
            "see to the disk or keyring and try again; what was there before is still there",
        ),
        store::Error::Unsafe { path, .. } if path.is_dir() => {
            (Code::StoreDenied, "see to its owner and permissions")
        }
        store::Error::Unsafe { .. } => {
            (Code::StoreDenied, "see who put it there; if nothing needs it, remove it")
        }
    };
    Failure::new(code, error.to_string(), hint)
}

fn damaged(piece: store::Piece) -> &'static str {
    match piece {
        store::Piece::Slot => "`claviger erase` still clears it; then store it anew",
        store::Piece::Index => "remove that file; it is rebuilt from the sessions themselves",
        store::Piece::Default => "remove that file, and pin the default anew by storing with makeDefault",
        store::Piece::Pin => "remove that file; the next store pins anew",
        store::Piece::File => "mend or remove it",
        store::Piece::Answer => "see to the keyring; nothing was changed",
    }
}

/// The lock's errors.
#[must_use]
pub fn of_lock(error: &lock::Error) -> Failure {
    let shown = |path: &std::path::Path| Escaped(&path.display().to_string()).to_string();
    match error {
        lock::Error::Unsupported { path } => Failure::new(
            Code::LockUnsupported,
            format!("the file system of {} does not exclude a second writer", shown(path)),
            "keep the state folder on a local disk",
        ),
        lock::Error::Foreign { path, why } => Failure::new(
            Code::StoreDenied,
            format!("lock {} {why}", shown(path)),
            "see who made it; remove it if it is not needed",
        ),
        lock::Error::Io { path, source } => Failure::new(
            Code::AuthStoreWriteFailed,
            format!("lock {} cannot be made: {source}", shown(path)),
            "make the folder writable for this user; nothing was changed",
        ),
    }
}

/// Another process held the lock for as long as we could wait.
#[must_use]
pub fn lock_timeout(slot: &SlotName) -> Failure {
    Failure::new(
        Code::LockTimeout,
        format!("another process is busy with the session of slot {slot}"),
        "try again; if it never ends, see which process holds the lock",
    )
}

/// What the configuration forbids or lacks.
#[must_use]
pub fn of_configuration(fault: Misconfigured) -> Failure {
    Failure::new(Code::ConfigInvalid, fault.message, fault.hint)
}

/// The refresh's errors.
#[must_use]
pub fn of_refresh(error: refresh::Error, name: &SessionName, login_command: Option<&str>) -> Failure {
    let session = name.words();
    match error {
        refresh::Error::Gone => {
            Failure::new(Code::NotFound, format!("{session} was ended meanwhile"), login_hint(login_command))
        }
        refresh::Error::NotGranted => Failure::new(
            Code::NotFound,
            format!("{session} was changed meanwhile, and is no longer granted for the service asked for"),
            login_hint(login_command),
        ),
        refresh::Error::Moving => Failure::new(
            Code::LockTimeout,
            format!("{session} is being moved from one storage to the other"),
            "try again; the next call finishes a move that was cut short",
        ),
        refresh::Error::NoRefreshToken => Failure::new(
            Code::AuthRefreshUnavailable,
            format!("{session} has no refresh token to get a new access token with"),
            login_hint(login_command),
        ),
        refresh::Error::Dead { description, interrupted } => {
            let said = description.map_or_else(String::new, |text| format!(" (\"{}\")", Escaped(&text)));
            let before = interrupted.map_or_else(String::new, |at| {
                format!("; a refresh begun at {at} never ended, and its lost answer may have been the reason")
            });
            Failure::new(
                Code::AuthRefreshExpired,
                format!("the server no longer accepts the refresh token of {session}{said}{before}"),
                login_hint(login_command),
            )
        }
        refresh::Error::Refused(refused) => of_refusal(refused, &session),
        refresh::Error::Http(error) => of_http(&error, &session),
        refresh::Error::Misconfigured(fault) => of_configuration(fault),
        refresh::Error::BackingOff(Pause { seconds, why }) => Failure {
            retry_after: Some(seconds),
            ..Failure::new(
                Code::AuthRefreshTransient,
                format!("{session} could not be refreshed a moment ago: {}", Escaped(&why)),
                format!(
                    "the server is left alone for {seconds} s more; then it is asked again, or now with forceRefresh"
                ),
            )
        },
        refresh::Error::LockTimeout => lock_timeout(&name.access_slot()),
        refresh::Error::Lock(error) => of_lock(&error),
        refresh::Error::Store(error) => of_store(&error),
        refresh::Error::Unsaved(error) => Failure::new(
            Code::AuthStoreWriteFailed,
            format!("the server has renewed {session}, but the new token could not be kept: {error}"),
            "see to the disk or keyring at once; if the next get fails too, sign in again",
        ),
    }
}

/// The errors of a machine grant: no refresh token and nobody to sign in, but a client with its secret.
#[must_use]
pub fn of_mint(error: refresh::Error, name: &SessionName) -> Failure {
    let session = name.words();
    match error {
        refresh::Error::Refused(Refused::Rejected { error, description }) => {
            let said = description.map_or_else(String::new, |text| format!(" (\"{}\")", Escaped(&text)));
            Failure::new(
                Code::ProviderRejected,
                format!("the server refused a token for {session}: `{}`{said}", Escaped(&error)),
                "see to the client id, its secret, key or identity token, its scopes and its rights at the server",
            )
        }
        refresh::Error::Refused(Refused::Transient { why, retry_after }) => {
            Failure { retry_after, ..no_token(&session, &why) }
        }
        refresh::Error::Http(
            why @ (http::Error::Unsent(_) | http::Error::Broken(_) | http::Error::TooLarge),
        ) => no_token(&session, &why.to_string()),
        refresh::Error::Refused(Refused::NoEndpoint) => Failure::new(
            Code::EndpointNotFound,
            format!("there is no token endpoint where the configuration has it, and no token for {session}"),
            "see to `token-endpoint` of the provider in config.toml",
        ),
        refresh::Error::BackingOff(pause) => Failure {
            retry_after: Some(pause.seconds),
            ..no_token(&session, &format!("a moment ago {}", pause.why))
        },
        refresh::Error::NotGranted => Failure::new(
            Code::NotFound,
            format!("{session} was stored by somebody, and not for the service asked for"),
            "erase it, or name another service with `session` of the provider in config.toml",
        ),
        refresh::Error::Unsaved(error) => Failure::new(
            Code::AuthStoreWriteFailed,
            format!("the server gave a token for {session}, but it could not be kept: {error}"),
            "see to the disk or keyring and try again",
        ),
        other => of_refresh(other, name, None),
    }
}

fn no_token(session: &str, why: &str) -> Failure {
    Failure::new(
        Code::AuthRefreshTransient,
        format!("there is no token for {session} just now: {}", Escaped(why)),
        "try again later",
    )
}

fn of_refusal(refused: Refused, session: &str) -> Failure {
    match refused {
        // Told apart before it comes here; should it come, it is what it says.
        Refused::InvalidGrant { .. } => Failure::new(
            Code::AuthRefreshExpired,
            format!("the refresh token of {session} was refused"),
            login_hint(None),
        ),
        Refused::Rejected { error, description } => {
            let said = description.map_or_else(String::new, |text| format!(" (\"{}\")", Escaped(&text)));
            Failure::new(
                Code::ProviderRejected,
                format!("the server refused to refresh {session}: `{}`{said}", Escaped(&error)),
                "see to the client id, its secret and its rights at the server; the session is kept",
            )
        }
        Refused::NoEndpoint => Failure::new(
            Code::EndpointNotFound,
            format!("there is no token endpoint where {session} expects it"),
            "see to the token endpoint; the session is kept",
        ),
        Refused::ProxyAuth => proxy_auth(),
        Refused::Transient { why, retry_after } => Failure {
            retry_after,
            ..Failure::new(
                Code::AuthRefreshTransient,
                format!("{session} could not be refreshed: {}", Escaped(&why)),
                "try again later; the session is kept",
            )
        },
    }
}

fn of_http(error: &http::Error, session: &str) -> Failure {
    let words = error.to_string();
    match error {
        http::Error::Untrusted(_) => Failure::new(
            Code::TlsUntrusted,
            format!("{session} could not be refreshed: {}", Escaped(&words)),
            "add the server's root certificate to this machine, or set SSL_CERT_FILE; nothing was sent",
        ),
        http::Error::ProxyAuth => proxy_auth(),
        http::Error::BadProxy => Failure::new(
            Code::ConfigInvalid,
            "the proxy named by HTTPS_PROXY or ALL_PROXY is no http or https URL",
            "set it to http://host:port, or add the server to NO_PROXY",
        ),
        http::Error::Unsent(_) | http::Error::Broken(_) | http::Error::TooLarge => Failure::new(
            Code::AuthRefreshTransient,
            format!("{session} could not be refreshed: {}", Escaped(&words)),
            "try again later; the session is kept",
        ),
    }
}

fn proxy_auth() -> Failure {
    Failure::new(
        Code::ProxyAuthRequired,
        "the proxy asks for credentials",
        "put them into HTTPS_PROXY as http://user:password@host:port; nothing was sent",
    )
}
