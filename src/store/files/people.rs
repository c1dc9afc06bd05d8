//! Replacing a file that people keep and may have put elsewhere with a link: `config.toml`.

use std::path::{Path, PathBuf};

use super::{imp, not_ours, unreadable};
use crate::limits::CONFIG_BYTES;
use crate::store::Error;

/// Links in a row before they are taken for a ring.
const LINKS: usize = 40;

/// The file that a path leads to, whether it is there or not.
pub fn target(path: &Path) -> Result<PathBuf, Error> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let to = std::fs::read_link(&path).map_err(|source| unreadable(&path, &source))?;
                path = path.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
            }
            // One that cannot be looked at is told of by whoever opens it.
            _ => return Ok(path),
        }
    }
    Err(not_ours(&path, "is one of a ring of links"))
}

/// Puts `after` in the place of `before` in one step that survives a power failure, with the mode the file had; a new one
/// is the user's alone, and so is its folder. `false`: somebody else has changed it meanwhile, and nothing was done. For
/// whoever holds the lock beside it.
pub fn replace(target: &Path, before: Option<&[u8]>, after: &[u8]) -> Result<bool, Error> {
    imp::replace_foreign(target, after, &|| {
        // The last look: people's editors take no lock.
        let now = imp::read_foreign(target, CONFIG_BYTES)?;
        Ok(now.as_ref().map(|bytes| bytes.as_slice()) == before)
    })
}
