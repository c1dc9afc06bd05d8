//! The user's own browser (RFC 8252 section 4.1): which program opens an address here, and how little it is given.
//!
//! The address has come from a server. It goes as the one argument, with nothing in it that a shell further on could
//! take for more than text, to a program of an absolute path; the folder we were called in is never searched.

use std::ffi::OsString;
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use url::Url;

/// What is known of the desktop, read from the environment once.
#[derive(Clone, Debug, Default)]
pub struct Desktop {
    /// `BROWSER`: programs, separated by colons (Unix).
    pub browser: Option<OsString>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// The variables a browser gets: those of the desktop, and no others.
    pub variables: Vec<(String, OsString)>,
    /// Windows under which this Linux runs has the browser.
    pub wsl: bool,
}

/// A program that has been started with the address.
pub struct Opened(Child);

impl Opened {
    /// Whether the program has ended and said that it failed. One that ends well may not have opened anything either.
    pub fn has_failed(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(status)) if !status.success())
    }
}

/// Why nothing was opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Unopened {
    /// There is no program for it here.
    NoProgram,
    /// The address is none that a browser should be given.
    Hostile,
    /// It could not be started.
    Failed(String),
}

impl Desktop {
    /// Starts the browser with an address.
    pub fn open(&self, url: &Url) -> Result<Opened, Unopened> {
        let address = safe(url).ok_or(Unopened::Hostile)?;
        let program = self.program().ok_or(Unopened::NoProgram)?;
        let mut command = Command::new(&program.file);
        command.args(program.first).arg(address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("PATH", self.folders().join_back());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // A Ctrl-C that ends us must not end a browser that this call was the first to start.
            command.process_group(0);
        }
        command.spawn().map(Opened).map_err(|error| Unopened::Failed(error.to_string()))
    }

    /// Whether there is a program that opens addresses.
    #[must_use]
    pub fn has_program(&self) -> bool {
        self.program().is_some()
    }

    #[cfg(windows)]
    #[expect(clippy::unused_self, reason = "the other systems look at the environment")]
    fn program(&self) -> Option<Program> {
        // No shell, and no search: `start` would read `&` and `%`.
        let system = known_folders::get_known_folder_path(known_folders::KnownFolder::System)?;
        let file = system.join("rundll32.exe");
        file.is_file().then_some(Program { file, first: vec!["url.dll,FileProtocolHandler".into()] })
    }

    #[cfg(target_os = "macos")]
    fn program(&self) -> Option<Program> {
        self.chosen().or_else(|| Some(Program { file: "/usr/bin/open".into(), first: Vec::new() }))
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn program(&self) -> Option<Program> {
        let usual: &[&str] = if self.wsl {
            // What Linux itself has there is seldom a browser.
            &["wslview"]
        } else {
            &["xdg-open", "x-www-browser", "gio", "firefox", "chromium", "google-chrome"]
        };
        self.chosen().or_else(|| usual.iter().find_map(|name| self.found(name)))
    }

    /// The first program that `BROWSER` names and that is there. One with arguments of its own is passed over: there is
    /// no shell here that would take them apart.
    #[cfg(unix)]
    fn chosen(&self) -> Option<Program> {
        let text = self.browser.as_ref()?.to_str()?;
        text.split(':')
            .filter(|word| !word.is_empty() && !word.contains(['%', ' ']))
            .find_map(|word| if word.contains('/') { as_program(Path::new(word)) } else { self.found(word) })
    }

    #[cfg(unix)]
    fn found(&self, name: &str) -> Option<Program> {
        let program = self.folders().0.iter().find_map(|folder| as_program(&folder.join(name)))?;
        let first = if name == "gio" { vec!["open".into()] } else { Vec::new() };
        Some(Program { first, ..program })
    }

    fn folders(&self) -> Folders {
        let path = self.path.as_deref().unwrap_or_default();
        Folders(std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect())
    }
}

struct Program {
    file: PathBuf,
    first: Vec<OsString>,
}

/// The absolute folders of `PATH`: an empty or relative one means the folder we were called in.
struct Folders(Vec<PathBuf>);

impl Folders {
    fn join_back(&self) -> OsString {
        std::env::join_paths(&self.0).unwrap_or_default()
    }
}

#[cfg(unix)]
fn as_program(file: &Path) -> Option<Program> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.is_absolute().then(|| std::fs::metadata(file).ok()).flatten()?;
    let runnable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    runnable.then(|| Program { file: file.to_owned(), first: Vec::new() })
}

/// The address as its own text, with everything percent-encoded that some shell gives a meaning to. Only `https`, and
/// `http` to this machine: no file, no script, no other program's scheme.
#[must_use]
pub fn safe(url: &Url) -> Option<String> {
    let known =
        matches!(url.scheme(), "https") || (url.scheme() == "http" && crate::address::is_loopback(url));
    if !known || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let mut text = String::with_capacity(url.as_str().len());
    for byte in url.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?#[]@&=+,%".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&crate::secret::hex(&[byte]).to_ascii_uppercase());
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe_text(text: &str) -> Option<String> {
        safe(&Url::parse(text).unwrap())
    }

    #[test]
    fn what_a_shell_would_read_is_encoded() {
        assert_eq!(
            safe_text("https://id.example/a;b?x=$(id)&y=`id`'\"|*!").as_deref(),
            Some("https://id.example/a%3Bb?x=%24%28id%29&y=%60id%60%27%22%7C%2A%21")
        );
        assert_eq!(
            safe_text("https://id.example/?scope=a%20b&state=1#f").as_deref(),
            Some("https://id.example/?scope=a%20b&state=1#f")
        );
    }

    #[test]
    fn other_schemes_and_user_names_are_no_addresses_for_a_browser() {
        for hostile in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "http://id.example/",
            "ftp://id.example/",
            "vscode://x/y",
            "https://user@id.example/",
            "https://user:pass@id.example/",
        ] {
            assert_eq!(safe_text(hostile), None, "{hostile}");
        }
        assert!(safe_text("http://127.0.0.1:8080/authorize").is_some());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_relative_path_and_this_folder_are_not_searched() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("xdg-open");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let desktop = |path: &str, browser: Option<&str>| Desktop {
            path: Some(path.into()),
            browser: browser.map(Into::into),
            ..Desktop::default()
        };
        let here = folder.path().to_str().unwrap();
        // Not yet runnable.
        assert!(!desktop(here, None).has_program());
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(desktop(here, None).has_program());
        assert!(desktop("/nowhere", Some(program.to_str().unwrap())).has_program());
        for relative in [".", "", ":", "bin", "./", "bin:."] {
            assert!(!desktop(relative, None).has_program(), "{relative:?}");
        }
        for browser in ["./xdg-open", "xdg-open", "bin/xdg-open", "", ":", "firefox %s"] {
            assert!(!desktop("/nowhere", Some(browser)).has_program(), "{browser:?}");
        }
    }
}
