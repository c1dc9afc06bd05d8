//! Which failures are none to a tool: nothing of ours is meant, and it asks elsewhere. In one table, where a new failure has
//! to be answered for every dialect before anything compiles.

use crate::message::Code;

/// Who is told of a failure; the native protocol and Kubernetes are told of every one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Git,
    Docker,
    Cargo,
    Terraform,
    Bazel,
    Goauth,
    Keyring,
}

/// Whether the tool goes on as if there were no helper, in its own way of saying so.
pub(super) fn is_a_miss(code: Code, to: To) -> bool {
    match code {
        // One helper is asked about whatever a tool talks to.
        Code::NotFound | Code::AccountNotFound => true,
        Code::InsecureUrl => match to {
            // These ask about addresses of plain http, too.
            To::Git | To::Bazel | To::Goauth | To::Keyring => true,
            // cargo has a word of its own for them; a host that docker or Terraform names has no scheme.
            To::Cargo | To::Docker | To::Terraform => false,
        },
        Code::BadRequest
        | Code::Conflict
        | Code::AuthRefreshExpired
        | Code::AuthRefreshUnavailable
        | Code::LoginCancelled
        | Code::LoginDenied
        | Code::LoginTimeout
        | Code::InteractionRequired
        | Code::AuthRefreshTransient
        | Code::LockTimeout
        | Code::StoreUnavailable
        | Code::StoreLocked
        | Code::StoreDenied
        | Code::StoreTimeout
        | Code::StoreNewer
        | Code::LockUnsupported
        | Code::AuthStoreReadFailed
        | Code::AuthStoreWriteFailed
        | Code::ConfigInvalid
        | Code::ProviderRejected
        | Code::EndpointNotFound
        | Code::TlsUntrusted
        | Code::ProxyAuthRequired
        | Code::NoAccountSelected
        | Code::Internal => false,
    }
}
