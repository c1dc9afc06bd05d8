//! Where other tools keep their configuration, as their own variables have it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Environment;
use super::paths::home;
use crate::message::{Code, Configurable, Failure};
use crate::text::Escaped;

/// The variables that move tools' files.
const VARIABLES: &[&str] = &[
    "GIT_CONFIG_GLOBAL",
    "DOCKER_CONFIG",
    "CARGO_HOME",
    "KUBECONFIG",
    "TF_CLI_CONFIG_FILE",
    "GOENV",
    "PIP_CONFIG_FILE",
    "XDG_CONFIG_HOME",
    "APPDATA",
];

/// What the environment says of other tools.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    home: Option<PathBuf>,
    path: OsString,
    variables: Vec<(&'static str, OsString)>,
    system: Vec<(&'static str, OsString)>,
}

/// What no program of Windows runs without.
const SYSTEM: &[&str] = &["SystemRoot", "SystemDrive", "windir", "ComSpec", "PATHEXT"];

impl Tools {
    pub(super) fn read(environment: Environment<'_>) -> Self {
        let set = |name: &&'static str| Some((*name, environment(name).filter(|value| !value.is_empty())?));
        Self {
            home: home(environment),
            path: environment("PATH").unwrap_or_default(),
            variables: VARIABLES.iter().filter_map(set).collect(),
            system: SYSTEM.iter().filter_map(set).collect(),
        }
    }

    /// The file in which a tool keeps what its user decided, whether it is there or not.
    pub fn file(&self, tool: Configurable) -> Result<PathBuf, Failure> {
        match tool {
            Configurable::Git => self.git(),
            Configurable::Docker => {
                Ok(self.at("DOCKER_CONFIG", || self.below_home(".docker"))?.join("config.json"))
            }
            Configurable::Cargo => {
                let folder = self.at("CARGO_HOME", || self.below_home(".cargo"))?;
                // Cargo reads the name without an ending before the other.
                let old = folder.join("config");
                Ok(if old.exists() { old } else { folder.join("config.toml") })
            }
            Configurable::Kubernetes => self.kubeconfig(),
            Configurable::Terraform => self.at("TF_CLI_CONFIG_FILE", || {
                if cfg!(windows) {
                    Ok(self.application_data()?.join("terraform.rc"))
                } else {
                    self.below_home(".terraformrc")
                }
            }),
            Configurable::Bazel => self.below_home(".bazelrc"),
            Configurable::Goauth => self.at("GOENV", || Ok(self.configuration()?.join("go").join("env"))),
            Configurable::Pip => self.at("PIP_CONFIG_FILE", || self.pip()),
        }
    }

    /// The folder in which terraform looks for helpers.
    pub fn terraform_plugins(&self) -> Result<PathBuf, Failure> {
        let folder = if cfg!(windows) {
            self.application_data()?.join("terraform.d")
        } else {
            self.below_home(".terraform.d")?
        };
        Ok(folder.join("plugins"))
    }

    /// The absolute folders of `PATH`, in order: another one means the folder we were called in.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        std::env::split_paths(&self.path).filter(|folder| folder.is_absolute()).collect()
    }

    /// The first program of that name on `PATH`.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        self.folders().into_iter().map(|folder| folder.join(&name)).find(|path| is_program(path))
    }

    /// This very program by the path it was called by, which a package manager keeps when the version changes.
    pub fn ourselves(&self) -> std::io::Result<PathBuf> {
        let real = std::env::current_exe()?;
        let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
        let called = match called.to_str() {
            Some(name) if !name.contains(['/', '\\']) => {
                self.program(name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(name))
            }
            _ => std::path::absolute(&called).ok(),
        };
        let same = |path: &PathBuf| is_same(path, &real);
        Ok(called.filter(same).unwrap_or(real))
    }

    /// Leaves a program nothing of the environment but what it cannot run without.
    pub fn isolate(&self, command: &mut Command) {
        command.env_clear();
        command.env("PATH", std::env::join_paths(self.folders()).unwrap_or_default());
        command.envs(self.system.iter().map(|(name, value)| (*name, value)));
        command.envs(self.home.iter().map(|home| ("HOME", home)));
    }

    fn git(&self) -> Result<PathBuf, Failure> {
        self.at("GIT_CONFIG_GLOBAL", || {
            let plain = self.below_home(".gitconfig")?;
            let configuration = match self.named("XDG_CONFIG_HOME").filter(|path| path.is_absolute()) {
                Some(folder) => folder,
                None => self.below_home(".config")?,
            };
            let other = configuration.join("git").join("config");
            Ok(if !plain.exists() && other.exists() { other } else { plain })
        })
    }

    /// As kubectl has it: the first of the list that is there, else the last.
    fn kubeconfig(&self) -> Result<PathBuf, Failure> {
        let Some(list) = self.named("KUBECONFIG") else {
            return Ok(self.below_home(".kube")?.join("config"));
        };
        let files: Vec<PathBuf> =
            std::env::split_paths(&list).filter(|file| !file.as_os_str().is_empty()).collect();
        let file = files.iter().find(|file| file.exists()).or(files.last()).cloned();
        absolute("KUBECONFIG", file.unwrap_or_default())
    }

    fn pip(&self) -> Result<PathBuf, Failure> {
        if cfg!(windows) {
            return Ok(self.application_data()?.join("pip").join("pip.ini"));
        }
        if cfg!(target_os = "macos") {
            let folder = self.configuration()?.join("pip");
            return Ok(
                if folder.is_dir() { folder } else { self.below_home(".config/pip")? }.join("pip.conf")
            );
        }
        Ok(self.configuration()?.join("pip").join("pip.conf"))
    }

    fn configuration(&self) -> Result<PathBuf, Failure> {
        if cfg!(windows) {
            return self.application_data();
        }
        if cfg!(target_os = "macos") {
            return self.below_home("Library/Application Support");
        }
        self.at("XDG_CONFIG_HOME", || self.below_home(".config"))
    }

    fn application_data(&self) -> Result<PathBuf, Failure> {
        self.at("APPDATA", || self.below_home("AppData\\Roaming"))
    }

    fn below_home(&self, name: &str) -> Result<PathBuf, Failure> {
        let nowhere = || {
            Failure::new(
                Code::ConfigInvalid,
                "there is no home folder to look for the tool's file in",
                "set HOME to it, as an absolute path",
            )
        };
        Ok(self.home.as_ref().ok_or_else(nowhere)?.join(name))
    }

    fn named(&self, name: &str) -> Option<PathBuf> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| PathBuf::from(value))
    }

    fn at(
        &self,
        name: &'static str,
        else_at: impl Fn() -> Result<PathBuf, Failure>,
    ) -> Result<PathBuf, Failure> {
        self.named(name).map_or_else(else_at, |path| absolute(name, path))
    }
}

/// Tools take a relative one from the folder they are called in, which is another every time.
fn absolute(variable: &str, path: PathBuf) -> Result<PathBuf, Failure> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Failure::new(
        Code::ConfigInvalid,
        format!("{variable} is not an absolute path: {}", Escaped(&path.display().to_string())),
        "set it to a path that begins at the root, or unset it for this call",
    ))
}

fn is_same(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(windows)]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
