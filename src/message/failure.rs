//! What is told when something goes wrong, or nearly did.

use serde::{Deserialize, Serialize};

/// Everything that can go wrong, closed: a new code does not compile until each dialect has answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the protocol's own codes; protocol/README.md says what each means")]
pub enum Code {
    NotFound,
    AccountNotFound,
    BadRequest,
    Conflict,
    AuthRefreshExpired,
    AuthRefreshUnavailable,
    LoginCancelled,
    LoginDenied,
    LoginTimeout,
    InteractionRequired,
    AuthRefreshTransient,
    LockTimeout,
    StoreUnavailable,
    StoreLocked,
    StoreDenied,
    StoreTimeout,
    StoreNewer,
    LockUnsupported,
    AuthStoreReadFailed,
    AuthStoreWriteFailed,
    ConfigInvalid,
    InsecureUrl,
    ProviderRejected,
    EndpointNotFound,
    TlsUntrusted,
    ProxyAuthRequired,
    NoAccountSelected,
    Internal,
}

/// A reply's bad news: what happened, and what to do. Neither text can hold a secret, and foreign text in
/// them is already escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub code: Code,
    /// What happened, on one line.
    pub message: String,
    /// What to do, on one line; empty where nothing is to be done.
    pub hint: String,
    /// Seconds after which to try again, where the server said so.
    pub retry_after: Option<i64>,
}

impl Failure {
    /// A failure without a time to wait.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into(), retry_after: None }
    }

    /// A fault of ours.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "internal fault", "please report it as an issue of the project")
    }
}

/// Something worth knowing in a reply that succeeded, or failed for another reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What kind.
    pub code: WarningCode,
    /// What, on one line.
    pub message: String,
}

/// The kinds of warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the protocol's own codes; protocol/README.md says what each means")]
pub enum WarningCode {
    Stale,
    ValidityShort,
    StoredPlaintext,
    OtherCopy,
    PinFailed,
    BackendUnreachable,
    PermissionsRepaired,
}
