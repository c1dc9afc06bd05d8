//! What is asked and told about the providers of `config.toml`.

use crate::session::Service;

/// A `[providers.NAME]` table to be written.
#[derive(Debug)]
pub struct NewProvider {
    /// The table's name.
    pub name: String,
    /// Its keys that hold a text, in the order to write them.
    pub texts: Vec<(&'static str, String)>,
    /// Those that hold a list of texts.
    pub lists: Vec<(&'static str, Vec<String>)>,
    /// Where the client secret comes from.
    pub secret: Option<NewSecret>,
    /// Put it in the place of one of that name.
    pub replace: bool,
}

/// Where the client secret of a new provider comes from.
#[derive(Debug)]
pub enum NewSecret {
    /// The keyring, to which it goes from standard input.
    Keyring,
    /// This environment variable.
    Env(String),
    /// The one line of this file.
    File(String),
}

/// The providers there are.
#[derive(Debug)]
pub struct Providers {
    /// Where `config.toml` is looked for.
    pub config: String,
    /// Whether it is there.
    pub found: bool,
    /// Them, in the order written.
    pub providers: Vec<ListedProvider>,
    /// The servers that are known by name.
    pub presets: Vec<&'static str>,
}

/// One provider, as far as it can be shown.
#[derive(Debug)]
pub struct ListedProvider {
    /// Its name.
    pub name: String,
    /// The preset it builds on.
    pub preset: Option<&'static str>,
    /// The issuer, or where that is not known the token endpoint.
    pub server: String,
    /// The grant its sessions begin with.
    pub grant: &'static str,
    /// Services its tokens are meant for.
    pub services: Vec<Service>,
    /// Where the client id comes from.
    pub client_id: Option<ClientIdFrom>,
    /// Where the client secret comes from: the kind of place, and its name where it has one. Never the secret.
    pub client_secret: Option<(&'static str, Option<String>)>,
    /// What it still lacks, and how to get it.
    pub needs: Option<&'static str>,
}

/// Where a client id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIdFrom {
    /// The table itself.
    Configuration,
    /// The preset: the server ships it.
    Preset,
}

/// A provider that was written.
#[derive(Debug)]
pub struct AddedProvider {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub config: String,
    /// Whether it took the place of another.
    pub replaced: bool,
    /// What it still lacks, and how to get it.
    pub needs: Option<&'static str>,
}

/// A provider that was taken away.
#[derive(Debug)]
pub struct RemovedProvider {
    /// Its name.
    pub name: String,
    /// The file it stood in.
    pub config: String,
    /// How many sessions the index knows that are granted for a service it served.
    pub sessions: usize,
    /// The service that names one of them.
    pub left: Option<Service>,
}
