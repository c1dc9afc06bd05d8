//! Folders only the user can enter, made under any umask.

use std::io;
use std::path::Path;

/// Makes a folder and whatever is missing above it, each mode 0700: a umask of 0777 must not leave one
/// behind that not even we can enter. Where a folder is there already, nothing is changed.
pub fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path.parent().ok_or(error)?)?;
            create(path)
        }
        Err(error) => Err(error),
    }
}
