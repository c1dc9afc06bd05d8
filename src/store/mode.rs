//! Which backend, or none, and which of five sources decided it.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::files::{Folder, Writers};
use super::record::FORMAT;
use super::{Error, Piece};
use crate::fields::{self, Fields, Problem};
use crate::limits::{INDEX_BYTES, TEXT_BYTES};
use crate::secret::hex;
use crate::session::Storage;

/// What decided the storage, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--storage`.
    Flag,
    /// `CLAVIGER_STORAGE`.
    Environment,
    /// `storage` in `config.toml`.
    Config,
    /// The pin of this machine.
    Pin,
    /// Nobody: it is the keyring.
    Default,
}

impl Source {
    /// A choice for this call only: it pins nothing and leaves the other backend alone.
    #[must_use]
    pub fn is_ephemeral(self) -> bool {
        matches!(self, Self::Flag | Self::Environment)
    }

    /// Nobody chose: files serve where there is no keyring.
    #[must_use]
    pub fn may_fall_back(self) -> bool {
        self == Self::Default
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "--storage",
            Self::Environment => "CLAVIGER_STORAGE",
            Self::Config => "`storage` in config.toml",
            Self::Pin => "this machine's pin",
            Self::Default => "the default",
        })
    }
}

/// The storage of this call and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Where sessions are.
    pub storage: Storage,
    /// Who said so.
    pub source: Source,
    /// A move to it had begun when that was read; known where the pin decides.
    pub moving: bool,
}

/// That nothing is kept: the storage `none`. Only [`Choices::explicit`] makes it, and a token that nothing keeps is asked
/// for with it in hand (I2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nothing(Source);

impl Nothing {
    /// The word callers and files use.
    pub const WORD: &str = "none";

    /// Who said so.
    #[must_use]
    pub fn source(self) -> Source {
        self.0
    }
}

/// What flag, environment or configuration choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A backend.
    Kept(Mode),
    /// None.
    Nothing(Nothing),
}

/// What the sources say, each already read: a text is a word somebody wrote.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// `--storage`.
    pub flag: Option<String>,
    /// `CLAVIGER_STORAGE`; set but empty counts as not set.
    pub environment: Option<String>,
    /// `storage` in `config.toml`.
    pub config: Option<String>,
}

/// A word that names no storage, and who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(pub Source);

impl Choices {
    /// The strongest explicit choice there is. All are checked, so that a misspelt one never hides.
    pub fn explicit(&self) -> Result<Option<Choice>, Unknown> {
        let sources = [
            (&self.flag, Source::Flag),
            (&self.environment, Source::Environment),
            (&self.config, Source::Config),
        ];
        let mut chosen = None;
        for (word, source) in sources {
            if let Some(word) = word.as_deref().filter(|word| !word.trim().is_empty()) {
                let choice = if word.trim().eq_ignore_ascii_case(Nothing::WORD) {
                    Choice::Nothing(Nothing(source))
                } else {
                    let storage = Storage::parse(word).ok_or(Unknown(source))?;
                    Choice::Kept(Mode { storage, source, moving: false })
                };
                chosen = chosen.or(Some(choice));
            }
        }
        Ok(chosen)
    }
}

/// This machine's pin: a file of its state, not a line in the configuration, which may be shared.
pub struct Pin {
    folder: Folder,
}

/// What a pin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Where this machine keeps its sessions.
    pub storage: Storage,
    /// A move from the other backend was begun and has not ended: what is not here yet may still be there.
    pub moving: bool,
}

impl From<Storage> for Pinned {
    fn from(storage: Storage) -> Self {
        Self { storage, moving: false }
    }
}

#[derive(Serialize)]
struct PinOut<'a> {
    format: i64,
    storage: Storage,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    moving: bool,
    machine: &'a str,
}

impl Pin {
    /// The pin of a state folder. Nothing is touched yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: Folder::new(state, "pin") }
    }

    /// What is pinned for this machine; a pin that names another machine came with a copied home folder
    /// and says nothing.
    pub fn read(&self, machine: &str) -> Result<Option<Pinned>, Error> {
        let Some(content) = self.folder.read(&file_of(machine), INDEX_BYTES)? else { return Ok(None) };
        let decoded = decode(&content.bytes);
        let what = self.words(machine);
        match decoded {
            Ok(None) => Err(Error::Newer { what }),
            Ok(Some((pinned, named))) => Ok((named == machine).then_some(pinned)),
            Err(error) => Err(Error::Damaged { piece: Piece::Pin, what, why: error.to_string() }),
        }
    }

    /// Removes this machine's pin, whatever it says.
    pub fn clear(&self, machine: &str) -> Result<(), Error> {
        self.folder.delete(&file_of(machine)).map(|_| ())
    }

    /// What is pinned for other machines that share this state folder, or for this one under another name.
    pub fn of_others(&self, machine: &str) -> Result<Vec<(String, Storage)>, Error> {
        let mut others = Vec::new();
        for file in self.folder.names()?.into_iter().filter(|file| *file != file_of(machine)) {
            let Some(content) = self.folder.read(&file, INDEX_BYTES)? else { continue };
            // What cannot be read is another machine's trouble.
            others
                .extend(decode(&content.bytes).ok().flatten().map(|(pinned, named)| (named, pinned.storage)));
        }
        Ok(others)
    }

    fn words(&self, machine: &str) -> String {
        let path = self.folder.path_of(&file_of(machine)).display().to_string();
        format!("file {}", crate::text::Escaped(&path))
    }

    /// Pins a storage for this machine.
    pub fn write(&self, machine: &str, pinned: impl Into<Pinned>) -> Result<(), Error> {
        let Pinned { storage, moving } = pinned.into();
        let what = self.words(machine);
        let bytes = serde_json::to_vec(&PinOut { format: FORMAT, storage, moving, machine })
            .map_err(|error| Error::Write { what, why: error.to_string() })?;
        self.folder.write(&file_of(machine), &bytes, Writers::Many)
    }
}

/// The pin and the machine it names; `None`: a newer version's.
fn decode(bytes: &[u8]) -> Result<Option<(Pinned, String)>, fields::Error> {
    fields::json(bytes).and_then(Fields::of).and_then(|mut fields| {
        if fields.count("format", i64::MAX)? > Some(FORMAT) {
            return Ok(None);
        }
        let storage = fields.required_text("storage", TEXT_BYTES)?;
        let storage = Storage::parse(&storage)
            .ok_or_else(|| fields.error("storage", Problem::Invalid("is no storage")))?;
        let moving = fields.truth("moving")?.unwrap_or(false);
        let machine = fields.required_text("machine", TEXT_BYTES)?;
        fields.done()?;
        Ok(Some((Pinned { storage, moving }, machine)))
    })
}

/// One file to a machine: several may share a home, and none must decide for another.
fn file_of(machine: &str) -> String {
    let digest = hex(&Sha256::digest(machine));
    digest.chars().take(32).chain(".json".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(flag: Option<&str>, environment: Option<&str>, config: Option<&str>) -> Choices {
        let own = |word: Option<&str>| word.map(str::to_owned);
        Choices { flag: own(flag), environment: own(environment), config: own(config) }
    }

    #[test]
    fn the_flag_beats_the_environment_beats_the_configuration() {
        let mode = |choices: Choices| {
            choices.explicit().unwrap().map(|choice| match choice {
                Choice::Kept(mode) => (mode.storage, mode.source),
                Choice::Nothing(nothing) => panic!("nothing, by {}", nothing.source()),
            })
        };
        assert_eq!(mode(choices(None, None, None)), None);
        assert_eq!(mode(choices(None, None, Some("plaintext"))), Some((Storage::Plaintext, Source::Config)));
        assert_eq!(
            mode(choices(None, Some(" Keyring "), Some("plaintext"))),
            Some((Storage::Keyring, Source::Environment))
        );
        assert_eq!(
            mode(choices(Some("PLAINTEXT"), Some("keyring"), None)),
            Some((Storage::Plaintext, Source::Flag))
        );
        assert_eq!(mode(choices(None, Some(""), None)), None);
        assert_eq!(
            choices(None, Some(" NONE"), Some("keyring")).explicit(),
            Ok(Some(Choice::Nothing(Nothing(Source::Environment))))
        );
    }

    #[test]
    fn a_misspelt_word_names_its_source_even_where_it_would_lose() {
        assert_eq!(choices(None, Some("keychain"), None).explicit(), Err(Unknown(Source::Environment)));
        assert_eq!(choices(Some("keyring"), None, Some("plain")).explicit(), Err(Unknown(Source::Config)));
    }
}
