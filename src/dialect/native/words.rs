//! The words and numbers of the protocol: codes, warnings, exit statuses.

use crate::message::{Code, Finding, Health, Outcome, Revocation, WarningCode};

/// The word for how something is.
#[must_use]
pub fn health_name(health: Health) -> &'static str {
    match health {
        Health::Good => "ok",
        Health::Note => "note",
        Health::Problem => "problem",
        Health::Mended => "mended",
    }
}

pub(super) fn problems(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.health == Health::Problem).count()
}

/// The exit status of a success: 0, but for an examination that leaves problems, which is that of the store.
#[must_use]
pub fn outcome_exit(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Examined(findings) if problems(findings) > 0 => exit(Code::StoreUnavailable),
        Outcome::Token(_)
        | Outcome::Stored(_)
        | Outcome::Erased(_)
        | Outcome::Listed(_)
        | Outcome::Capabilities(_)
        | Outcome::Shown(_)
        | Outcome::Relocated(_)
        | Outcome::Examined(_)
        | Outcome::SignedIn(_)
        | Outcome::SignedOut(_)
        | Outcome::Standing(_)
        | Outcome::Chosen(_)
        | Outcome::Providers(_)
        | Outcome::ProviderAdded(_)
        | Outcome::ProviderRemoved(_)
        | Outcome::Tokens(_)
        | Outcome::Kept { .. }
        | Outcome::Registries(_)
        | Outcome::Configured(_)
        | Outcome::Linked(_) => 0,
    }
}

/// What became of a refresh token at the server.
pub(super) fn revocation_name(revocation: Revocation) -> &'static str {
    match revocation {
        Revocation::Revoked => "revoked",
        Revocation::Failed => "failed",
        Revocation::Unsupported => "unsupported",
        Revocation::Skipped => "skipped",
    }
}

pub(super) fn warning_name(code: WarningCode) -> &'static str {
    match code {
        WarningCode::Stale => "STALE",
        WarningCode::ValidityShort => "VALIDITY_SHORT",
        WarningCode::StoredPlaintext => "STORED_PLAINTEXT",
        WarningCode::OtherCopy => "OTHER_COPY",
        WarningCode::PinFailed => "PIN_FAILED",
        WarningCode::BackendUnreachable => "BACKEND_UNREACHABLE",
        WarningCode::PermissionsRepaired => "PERMISSIONS_REPAIRED",
    }
}

pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::NotFound => "NOT_FOUND",
        Code::AccountNotFound => "ACCOUNT_NOT_FOUND",
        Code::BadRequest => "BAD_REQUEST",
        Code::Conflict => "CONFLICT",
        Code::AuthRefreshExpired => "AUTH_REFRESH_EXPIRED",
        Code::AuthRefreshUnavailable => "AUTH_REFRESH_UNAVAILABLE",
        Code::LoginCancelled => "LOGIN_CANCELLED",
        Code::LoginDenied => "LOGIN_DENIED",
        Code::LoginTimeout => "LOGIN_TIMEOUT",
        Code::InteractionRequired => "INTERACTION_REQUIRED",
        Code::AuthRefreshTransient => "AUTH_REFRESH_TRANSIENT",
        Code::LockTimeout => "LOCK_TIMEOUT",
        Code::StoreUnavailable => "STORE_UNAVAILABLE",
        Code::StoreLocked => "STORE_LOCKED",
        Code::StoreDenied => "STORE_DENIED",
        Code::StoreTimeout => "STORE_TIMEOUT",
        Code::StoreNewer => "STORE_NEWER",
        Code::LockUnsupported => "LOCK_UNSUPPORTED",
        Code::AuthStoreReadFailed => "AUTH_STORE_READ_FAILED",
        Code::AuthStoreWriteFailed => "AUTH_STORE_WRITE_FAILED",
        Code::ConfigInvalid => "CONFIG_INVALID",
        Code::InsecureUrl => "INSECURE_URL",
        Code::ProviderRejected => "PROVIDER_REJECTED",
        Code::EndpointNotFound => "ENDPOINT_NOT_FOUND",
        Code::TlsUntrusted => "TLS_UNTRUSTED",
        Code::ProxyAuthRequired => "PROXY_AUTH_REQUIRED",
        Code::NoAccountSelected => "NO_ACCOUNT_SELECTED",
        Code::Internal => "INTERNAL",
    }
}

/// The exit status of a failure in this dialect.
#[must_use]
pub fn exit(code: Code) -> u8 {
    match code {
        Code::NotFound | Code::AccountNotFound => 1,
        Code::BadRequest | Code::Conflict => 2,
        Code::AuthRefreshExpired
        | Code::AuthRefreshUnavailable
        | Code::LoginCancelled
        | Code::LoginDenied
        | Code::LoginTimeout
        | Code::InteractionRequired => 3,
        Code::AuthRefreshTransient | Code::LockTimeout => 4,
        Code::StoreUnavailable
        | Code::StoreLocked
        | Code::StoreDenied
        | Code::StoreTimeout
        | Code::StoreNewer
        | Code::LockUnsupported
        | Code::AuthStoreReadFailed
        | Code::AuthStoreWriteFailed => 5,
        Code::ConfigInvalid
        | Code::InsecureUrl
        | Code::ProviderRejected
        | Code::EndpointNotFound
        | Code::TlsUntrusted
        | Code::ProxyAuthRequired => 6,
        Code::NoAccountSelected => 7,
        Code::Internal => 70,
    }
}
