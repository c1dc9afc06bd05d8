//! Where configuration and state lie, and what the machine is called.

use std::path::PathBuf;

use super::{Environment, Place};
use crate::browser::Desktop;
use crate::message::{Code, Failure};
use crate::store::keyring;
use crate::terminal;
use crate::text::Escaped;

pub(super) struct Paths {
    pub(super) config: PathBuf,
    pub(super) state: PathBuf,
}

impl Paths {
    /// `CLAVIGER_HOME` for both, else the platform's own places.
    pub(super) fn find(environment: Environment<'_>) -> Result<Self, Failure> {
        if let Some(home) = environment("CLAVIGER_HOME").filter(|home| !home.is_empty()) {
            // Without a trailing slash, which would make a link in its place be followed.
            let home: PathBuf = PathBuf::from(home).components().collect();
            if !home.is_absolute() {
                let shown = home.display().to_string();
                return Err(Failure::new(
                    Code::ConfigInvalid,
                    format!("CLAVIGER_HOME is not an absolute path: {}", Escaped(&shown)),
                    "set it to a path that begins at the root, or unset it",
                ));
            }
            return Ok(Self { config: home.join("config.toml"), state: home });
        }
        let folder = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
        platform(&folder).ok_or_else(|| {
            Failure::new(
                Code::ConfigInvalid,
                "there is no home folder to keep state in",
                "set CLAVIGER_HOME to a folder of this user's, as an absolute path",
            )
        })
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
fn platform(folder: &dyn Fn(&str) -> Option<PathBuf>) -> Option<Paths> {
    let home = folder("HOME").or_else(passwd_home);
    let config = folder("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")))?;
    let state = folder("XDG_STATE_HOME").or_else(|| home.as_ref().map(|home| home.join(".local/state")))?;
    Some(Paths { config: config.join("claviger/config.toml"), state: state.join("claviger") })
}

#[cfg(target_os = "macos")]
fn platform(folder: &dyn Fn(&str) -> Option<PathBuf>) -> Option<Paths> {
    let home = folder("HOME").or_else(passwd_home)?.join("Library/Application Support/claviger");
    Some(Paths { config: home.join("config.toml"), state: home })
}

/// The user's home folder, as other tools look for it.
#[cfg(unix)]
pub(super) fn home(environment: Environment<'_>) -> Option<PathBuf> {
    environment("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

#[cfg(windows)]
pub(super) fn home(environment: Environment<'_>) -> Option<PathBuf> {
    let named = |name: &str| environment(name).map(PathBuf::from).filter(|home| home.is_absolute());
    named("USERPROFILE").or_else(|| named("HOME"))
}

#[cfg(unix)]
fn passwd_home() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten()?;
    Some(user.dir).filter(|home| home.is_absolute())
}

#[cfg(windows)]
fn platform(_folder: &dyn Fn(&str) -> Option<PathBuf>) -> Option<Paths> {
    use known_folders::{KnownFolder, get_known_folder_path};
    let config = get_known_folder_path(KnownFolder::RoamingAppData)?.join("claviger").join("config.toml");
    Some(Paths { config, state: get_known_folder_path(KnownFolder::LocalAppData)?.join("claviger") })
}

#[cfg(unix)]
pub(super) fn machine(_environment: Environment<'_>) -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(windows)]
pub(super) fn machine(environment: Environment<'_>) -> String {
    environment("COMPUTERNAME")
        .map_or_else(|| "unnamed".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(all(unix, not(target_os = "macos")))]
pub(super) fn keyring(environment: Environment<'_>) -> keyring::Access {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let address =
        environment("DBUS_SESSION_BUS_ADDRESS").map(|address| address.to_string_lossy().into_owned());
    let runtime = environment("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let socket = runtime.and_then(|runtime| std::fs::metadata(runtime.join("bus")).ok());
    let euid = rustix::process::geteuid().as_raw();
    let runtime_socket = socket.is_some_and(|found| found.file_type().is_socket() && found.uid() == euid);
    keyring::Access { address, runtime_socket }
}

#[cfg(any(windows, target_os = "macos"))]
pub(super) fn keyring(_environment: Environment<'_>) -> keyring::Access {
    keyring::Access
}

/// Whether there is somebody to ask. Standard input says nothing: it is always a pipe.
#[cfg(all(unix, not(target_os = "macos")))]
pub(super) fn attended(environment: Environment<'_>) -> bool {
    let set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
    set("DISPLAY") || set("WAYLAND_DISPLAY")
}

/// The user of the console owns it while they are signed in; over SSH no window of ours would reach them.
#[cfg(target_os = "macos")]
pub(super) fn attended(environment: Environment<'_>) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].iter().any(|name| environment(name).is_some());
    let euid = rustix::process::geteuid().as_raw();
    !remote && std::fs::metadata("/dev/console").is_ok_and(|console| console.uid() == euid)
}

/// What of the environment a browser of the user's needs to find its desktop, its profile and the network.
#[rustfmt::skip]
const FOR_A_BROWSER: &[&str] = &[
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ",
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_DESKTOP", "XDG_DATA_DIRS", "XDG_DATA_HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS", "DESKTOP_SESSION", "DESKTOP_STARTUP_ID", "XDG_ACTIVATION_TOKEN", "KDE_FULL_SESSION",
    "KDE_SESSION_VERSION", "GNOME_DESKTOP_SESSION_ID", "MOZ_ENABLE_WAYLAND", "WSL_DISTRO_NAME", "WSL_INTEROP",
    "WSLENV", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS", "__CF_USER_TEXT_ENCODING",
    "SystemRoot", "SystemDrive", "windir", "ComSpec", "USERNAME", "USERDOMAIN", "USERPROFILE", "HOMEDRIVE", "HOMEPATH",
    "APPDATA", "LOCALAPPDATA", "ProgramData", "ProgramFiles", "ProgramFiles(x86)", "ProgramW6432", "CommonProgramFiles",
    "ALLUSERSPROFILE", "PUBLIC", "TEMP", "TMP", "PATHEXT", "COMPUTERNAME", "SESSIONNAME", "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
];

#[cfg(target_os = "linux")]
fn caller() -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", std::os::unix::process::parent_id())).ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| Escaped(name).to_string())
}

#[cfg(not(target_os = "linux"))]
fn caller() -> Option<String> {
    None
}

/// The place a login is started in.
pub(super) fn place(environment: Environment<'_>) -> Place {
    let set = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
    let variables =
        FOR_A_BROWSER.iter().filter_map(|name| Some(((*name).to_owned(), environment(name)?))).collect();
    let word = |name: &str| environment(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
    let is_true = |name: &str| !matches!(word(name).to_ascii_lowercase().as_str(), "" | "0" | "false" | "no");
    Place {
        desktop: Desktop {
            browser: environment("BROWSER").filter(|value| !value.is_empty()),
            path: environment("PATH"),
            variables,
            wsl: set("WSL_DISTRO_NAME"),
        },
        display: set("DISPLAY") || set("WAYLAND_DISPLAY"),
        remote: ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].iter().any(|name| set(name)),
        ci: ["CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "BUILDKITE", "JENKINS_URL", "TEAMCITY_VERSION"]
            .iter()
            .any(|name| is_true(name)),
        caller: caller(),
        terminal: terminal::stdin_is_ours() && terminal::stderr_is_terminal(),
        shows: terminal::stderr_is_terminal() && word("TERM") != "dumb",
    }
}

/// The Credential Manager asks nobody anything.
#[cfg(windows)]
pub(super) fn attended(_environment: Environment<'_>) -> bool {
    false
}
