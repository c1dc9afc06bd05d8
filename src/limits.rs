//! Every bound in one place. Over a limit is an error, never a truncation (I4).

/// A native request on stdin, in bytes.
pub const REQUEST_BYTES: usize = 256 * 1024;
/// A canonical service URL, in bytes.
pub const SERVICE_BYTES: usize = 240;
/// Any URL before it is made canonical, in bytes.
pub const URL_BYTES: usize = 2048;
/// An account, counted percent-encoded, in bytes.
pub const ACCOUNT_BYTES: usize = 200;
/// A profile, in bytes.
pub const PROFILE_BYTES: usize = 32;
/// Labels, user names, client ids and other short texts, in bytes.
pub const TEXT_BYTES: usize = 512;
/// An access token, a refresh token, in bytes.
pub const TOKEN_BYTES: usize = 64 * 1024;
/// A client secret, or the file a secret is configured to come from, in bytes.
pub const SECRET_BYTES: usize = 4 * 1024;
/// A private key in PEM, in bytes.
pub const KEY_BYTES: usize = 16 * 1024;
/// Services one session may be granted for.
pub const SERVICES: usize = 64;
/// Scopes of one session.
pub const SCOPES: usize = 128;
/// Any span of time a caller or a server may name, in seconds (ten years).
pub const SECONDS: i64 = 315_576_000;
/// One slot's value, in bytes: two tokens' worth and the record.
pub const SLOT_BYTES: usize = 256 * 1024;
/// One index or pin file, in bytes.
pub const INDEX_BYTES: usize = 64 * 1024;
/// `config.toml`, in bytes.
pub const CONFIG_BYTES: usize = 256 * 1024;
/// The body of a token endpoint's reply, in bytes.
pub const HTTP_BODY_BYTES: usize = 1024 * 1024;
/// The body of an issuer's metadata or of a userinfo reply, in bytes.
pub const DOCUMENT_BYTES: usize = 64 * 1024;
/// The header of a request to the redirect URI, in bytes.
pub const CALLBACK_BYTES: usize = 8 * 1024;
/// The header of an HTTP reply, in bytes.
pub const HTTP_HEADER_BYTES: usize = 64 * 1024;
/// An error text from a server, in bytes, before it is escaped.
pub const SERVER_TEXT_BYTES: usize = 1024;
/// What a worker reports to the process that started it, in bytes.
pub const REPORT_BYTES: u64 = 64 * 1024;
