//! Folders only the user can enter, made under any umask.

use std::io;
use std::path::Path;

/// Makes a folder and whatever is missing above it, each mode 0700: a umask of 0777 must not leave one
/// behind that not even we can enter. Where a folder is there already, nothing is changed.
pub fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    // From the first folder that is there downwards; a dangling link is none, and is refused below.
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.is_dir()).collect();
    for folder in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?,
            // Another process made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
