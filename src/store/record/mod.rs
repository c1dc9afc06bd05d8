//! What a session is made of, as it lies in its two slots. `codec.rs` turns it into bytes and back.

mod codec;

pub use codec::whose;

use super::{Error, Piece};
use crate::address::Endpoint;
use crate::fields;
use crate::provider::{Asking, Destination};
use crate::secret::{AccessToken, ClientSecret, RefreshToken};
use crate::session::{Service, SessionName, SlotName, Storage};
use crate::time::Timestamp;

/// The one format there is.
pub const FORMAT: i64 = 1;

/// A session's metadata: everything but its tokens. It lies in the access slot with the access token, as
/// one value, so that the two can never disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: SessionName,
    /// A word people use for it.
    pub label: Option<String>,
    /// The user name some tools want beside the token.
    pub username: Option<String>,
    /// The dialect of the tool that brought it, where somebody typed it there.
    pub kept_by: Option<String>,
    /// The services it was granted for; nothing widens this but a store or login (I11).
    pub services: Vec<Service>,
    /// The issuer identifier.
    pub issuer: Option<String>,
    /// The token endpoint.
    pub token_endpoint: Option<Endpoint>,
    /// The client identifier.
    pub client_id: Option<String>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// `Bearer`, mostly.
    pub token_type: String,
    /// When the access token came to us.
    pub obtained_at: Timestamp,
    /// How it came.
    pub obtained_by: ObtainedBy,
    /// When the access token ends, where known.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, where known.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// Whether the refresh slot is filled; `None`: not known.
    pub has_refresh_token: Option<bool>,
    /// Raised by every change of the session.
    pub generation: i64,
    /// The refresh token the server has declared dead.
    pub tombstone: Option<Tombstone>,
    /// A refresh was begun at this time and has not ended: proof that saving works, and a trace after a crash.
    pub pending: Option<Timestamp>,
    /// The session was ended; whoever finds this finishes the erasure.
    pub erased: bool,
    /// The session is on its way to this backend.
    pub moved_to: Option<Storage>,
}

/// How an access token came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObtainedBy {
    /// A caller stored it.
    Store,
    /// We got it from the token endpoint.
    Refresh,
    /// We got it from the token endpoint by a machine grant: its source can be asked for another at any time.
    Mint,
    /// We got it from the token endpoint when somebody signed in.
    Login,
}

impl ObtainedBy {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Store, "store"), (Self::Refresh, "refresh"), (Self::Mint, "mint"), (Self::Login, "login")];

    /// Whether it was claviger that obtained it.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Refresh | Self::Mint | Self::Login)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Refresh => "refresh",
            Self::Mint => "mint",
            Self::Login => "login",
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        Self::ALL
            .into_iter()
            .find(|(_, word)| *word == text)
            .map(|(by, _)| by)
            .ok_or("must be store, refresh, mint or login")
    }
}

/// A refresh token that must not be sent again: recognised by a salted hash, not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Random, in hex.
    pub salt: String,
    /// SHA-256 over salt and token, in hex.
    pub hash: String,
    /// When the server declared it dead.
    pub at: Timestamp,
}

impl Tombstone {
    /// Whether this is the dead token.
    #[must_use]
    pub fn names(&self, token: &RefreshToken) -> bool {
        token.digest(&self.salt) == self.hash
    }
}

impl Record {
    /// Whether a token of this session opens a service: it was granted for it, or for a prefix of it.
    #[must_use]
    pub fn granted_for(&self, service: &Service) -> bool {
        self.services.iter().any(|granted| granted.covers(service))
    }

    /// Where its tokens come from, as far as the record knows: to find the provider it belongs to, never to send
    /// anything there.
    #[must_use]
    pub fn asking(&self) -> Option<Asking<'_>> {
        Some(Asking {
            issuer: self.issuer.as_deref(),
            token_endpoint: self.token_endpoint.as_ref()?,
            client_id: self.client_id.as_deref(),
            found_by: None,
        })
    }

    /// What was granted, for the refresh slot to repeat.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant {
            services: self.services.clone(),
            scopes: self.scopes.clone(),
            label: self.label.clone(),
            username: self.username.clone(),
        }
    }

    /// A session that is what it is: no refresh token, no expiry; an API key or personal access token.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.has_refresh_token == Some(false) && self.expires_at.is_none()
    }
}

/// The value of an access slot.
#[derive(Debug)]
pub struct Bundle {
    /// The metadata.
    pub record: Record,
    /// The access token; `None` when it was dropped or the session ended.
    pub access: Option<AccessToken>,
}

/// The value of a refresh slot: the token and the only place it may be sent.
#[derive(Debug)]
pub struct RefreshEntry {
    /// The session's name.
    pub name: SessionName,
    /// The refresh token.
    pub token: RefreshToken,
    /// Where it may be sent, and as which client.
    pub destination: Destination,
    /// The client's secret there, where it came with the token by `store`.
    pub client_secret: Option<ClientSecret>,
    /// The generation of the session it belongs to.
    pub generation: i64,
    /// How it came to us.
    pub obtained_by: ObtainedBy,
    /// What was granted with it, repeated from the record.
    pub grant: Grant,
}

/// What a store granted, in both slots: a store that is cut short between them leaves an older record beside
/// the new refresh token, and the two must not be mixed into a session that nobody ever granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The services it was granted for.
    pub services: Vec<Service>,
    /// Scopes.
    pub scopes: Vec<String>,
    /// A word people use for the session.
    pub label: Option<String>,
    /// The user name some tools want beside the token.
    pub username: Option<String>,
}

impl RefreshEntry {
    /// Whether the record beside it is an older session's: written by a store or a login that did not get to the access
    /// slot. A refresh that did not get there belongs to the same session.
    #[must_use]
    pub fn outruns(&self, record: &Record) -> bool {
        let begins = matches!(self.obtained_by, ObtainedBy::Store | ObtainedBy::Login);
        self.generation > record.generation && begins
    }

    /// The record as that store would have written it.
    #[must_use]
    pub fn completed(&self, record: Record) -> Record {
        let Grant { services, scopes, label, username } = self.grant.clone();
        let Destination { issuer, token_endpoint, client_id, .. } = self.destination.clone();
        Record {
            services,
            scopes,
            label,
            username,
            issuer,
            token_endpoint: Some(token_endpoint),
            client_id: Some(client_id),
            refresh_token_expires_at: None,
            has_refresh_token: Some(true),
            generation: self.generation,
            tombstone: None,
            ..record
        }
    }
}

/// The two kinds of slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Record and access token.
    Access,
    /// Refresh token and destination.
    Refresh,
}

impl Kind {
    const ALL: [(Self, &'static str); 2] = [(Self::Access, "access"), (Self::Refresh, "refresh")];
}

/// Why a value is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its format number is above [`FORMAT`].
    Newer,
    /// It cannot be read, or is another slot's.
    Damaged(String),
}

impl Fault {
    /// As the error of that slot.
    #[must_use]
    pub fn of(self, slot: &SlotName) -> Error {
        self.at(super::slot_words(slot))
    }

    /// As the error of whatever it was found in.
    #[must_use]
    pub fn at(self, what: String) -> Error {
        match self {
            Self::Newer => Error::Newer { what },
            Self::Damaged(why) => Error::Damaged { piece: Piece::Slot, what, why },
        }
    }
}

impl From<fields::Error> for Fault {
    fn from(error: fields::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
