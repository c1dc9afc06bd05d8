//! The commands that tools call, and the names that they call them by.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::dialect::{Call, Whose, bazel, cargo, docker, git, goauth, keyring, kubernetes, terraform};
use crate::session::Profile;

/// The names a tool looks for, each with the command that it stands for. Behind some an account may follow: their callers
/// can pass no argument.
const NAMES: [(&str, &str, bool); 6] = [
    ("git-credential-claviger", "git", false),
    ("docker-credential-claviger", "docker", true),
    ("cargo-credential-claviger", "cargo", false),
    ("terraform-credentials-claviger", "terraform", false),
    ("bazel-credential-claviger", "bazel", true),
    ("keyring", "keyring", false),
];

/// What cargo calls whatever program it is told to call, and nobody else.
const CARGO_PLUGIN: &str = "--cargo-plugin";

/// The arguments as they would be had the program been called by its own name. What counts is the name that it was called
/// by, whatever that is a link to.
pub(super) fn by_its_own_name(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let invoked = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let mut words = vec![OsString::from("claviger")];
    match stands_for(&invoked) {
        Some((command, account)) => {
            words.push(command.into());
            words.extend(account.map(|account| OsString::from(format!("--account={account}"))));
        }
        None if rest.len() == 1 && rest.first().is_some_and(|word| word == CARGO_PLUGIN) => {
            words.push("cargo".into());
        }
        None => {}
    }
    // docker's own helpers answer to these too.
    let asks_for_version = rest.len() == 1 && rest.iter().all(|word| word == "--version" || word == "-v");
    if asks_for_version && words.get(1).is_some_and(|word| word == "docker") {
        words.push("version".into());
        return words;
    }
    words.extend(rest);
    words
}

fn stands_for(invoked: &OsStr) -> Option<(&'static str, Option<String>)> {
    let name = Path::new(invoked).file_name()?.to_str()?;
    let without_suffix = name.len().checked_sub(4).and_then(|at| name.split_at_checked(at));
    let name = match without_suffix {
        Some((stem, suffix)) if suffix.eq_ignore_ascii_case(".exe") => stem,
        _ => name,
    };
    NAMES.into_iter().find_map(|(known, command, takes_account)| {
        let (start, rest) = name.split_at_checked(known.len())?;
        if !start.eq_ignore_ascii_case(known) {
            return None;
        }
        match rest.strip_prefix('-') {
            _ if rest.is_empty() => Some((command, None)),
            Some(account) if takes_account && !account.is_empty() => {
                Some((command, Some(account.to_owned())))
            }
            _ => None,
        }
    })
}

/// Their grammar.
pub(super) fn commands() -> Vec<Command> {
    let account = || Arg::new("account").long("account").value_name("ACCOUNT").help("Whose session");
    let profile = || Arg::new("profile").long("profile").value_name("PROFILE").help("A tool's own profile");
    let whose = || [account(), profile()];
    let word = |name: &'static str, shown: &'static str, help: &'static str| {
        Arg::new(name).value_name(shown).help(help).allow_hyphen_values(false)
    };
    vec![
        Command::new("git")
            .about("A git credential helper: git config credential.helper claviger")
            .args(whose())
            .arg(
                Arg::new("retry")
                    .long("retry")
                    .action(ArgAction::SetTrue)
                    .help("Have git ask again within one command when a token is refused (git 2.46)"),
            )
            .arg(word("operation", "get|store|erase|capability", "What git asks for").required(true)),
        Command::new("docker")
            .about("A docker credential helper: \"credsStore\": \"claviger\"")
            .args(whose())
            .arg(word("operation", "get|store|erase|list|version", "What docker asks for").required(true)),
        Command::new("cargo")
            .about("A cargo credential provider: credential-provider = \"claviger\"")
            .args(whose())
            .arg(Arg::new("plugin").long("cargo-plugin").action(ArgAction::SetTrue).hide(true)),
        Command::new("kubernetes").about("A Kubernetes exec credential plugin").args(whose()).arg(word(
            "target",
            "PROVIDER|SERVICE",
            "Whose token; without it, the cluster's own server's",
        )),
        Command::new("terraform")
            .about("A Terraform credentials helper")
            .args(whose())
            .arg(word("operation", "get|store|forget", "What Terraform asks for").required(true))
            .arg(word("host", "HOST", "For which host").required(true)),
        Command::new("bazel")
            .about("A Bazel credential helper")
            .args(whose())
            .arg(word("operation", "get", "What Bazel asks for").required(true)),
        Command::new("goauth")
            .about("A GOAUTH command: go env -w GOAUTH='claviger goauth'")
            .args(whose())
            .arg(Arg::new("service").long("service").value_name("SERVICE").action(ArgAction::Append).help(
                "A service whose token go has from the start; of others it asks for one when it is refused",
            ))
            .arg(word("target", "URL", "The URL that was refused; go adds it")),
        Command::new("keyring")
            .about("Stands in for Python's keyring command, for pip and uv")
            .args(whose())
            .arg(
                Arg::new("mode")
                    .long("mode")
                    .value_name("MODE")
                    .value_parser(["password", "creds"])
                    .default_value("password")
                    .help("The password alone, or the user name too"),
            )
            .arg(
                Arg::new("output")
                    .long("output")
                    .value_name("OUTPUT")
                    .value_parser(["plain", "json"])
                    .default_value("plain")
                    .help("Lines, or one JSON object"),
            )
            .arg(word("operation", "get|set|del", "What is asked for").required(true))
            .arg(word("target", "SERVICE", "The URL of an index, or its host").required(true))
            .arg(word("username", "USERNAME", "The user name")),
    ]
}

/// What one of them asks for; `None`: it is none of them.
pub(super) fn asked(word: &str, matches: &ArgMatches) -> Option<Result<Call, String>> {
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let profile = text("profile").map(|text| Profile::parse(&text)).transpose();
    let whose = profile.map(|profile| Whose { account: text("account"), profile });
    let call = |whose| call(word, matches, whose);
    whose.map_err(|why| format!("--profile {why}")).map(call).transpose()
}

fn call(word: &str, matches: &ArgMatches, whose: Whose) -> Option<Call> {
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let required = |name: &str| text(name).unwrap_or_default();
    Some(match word {
        "git" => {
            let (operation, retry) = (required("operation"), matches.get_flag("retry"));
            Call::Git(git::Call { operation, whose, retry })
        }
        "docker" => Call::Docker(docker::Call { action: required("operation"), whose }),
        "cargo" => Call::Cargo(cargo::Call { whose }),
        "kubernetes" => Call::Kubernetes(kubernetes::Call { target: text("target"), whose }),
        "terraform" => {
            Call::Terraform(terraform::Call { verb: required("operation"), host: required("host"), whose })
        }
        "bazel" => Call::Bazel(bazel::Call { command: required("operation"), whose }),
        "goauth" => {
            let services = matches.get_many::<String>("service").into_iter().flatten().cloned().collect();
            Call::Goauth(goauth::Call { services, url: text("target"), whose })
        }
        "keyring" => {
            let form = match (required("mode").as_str(), required("output").as_str()) {
                ("password", _) => keyring::Form::Password,
                (_, "json") => keyring::Form::Json,
                _ => keyring::Form::Pair,
            };
            let (operation, service) = (required("operation"), required("target"));
            Call::Keyring(keyring::Call { operation, service, username: text("username"), form, whose })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(arguments: &[&str]) -> String {
        let words = by_its_own_name(arguments.iter().map(OsString::from));
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_name_that_it_was_called_by_says_what_is_wanted() {
        for (arguments, expected) in [
            (&["/usr/bin/git-credential-claviger", "get"][..], "claviger git get"),
            (&["git-credential-claviger", "--account", "a", "get"], "claviger git --account a get"),
            (&["docker-credential-claviger", "list"], "claviger docker list"),
            (&["docker-credential-claviger-work", "get"], "claviger docker --account=work get"),
            (&["docker-credential-claviger", "-v"], "claviger docker version"),
            (&["git-credential-claviger", "--version"], "claviger git --version"),
            (&["docker-credential-claviger-a-b", "get"], "claviger docker --account=a-b get"),
            (&["DOCKER-Credential-Claviger-Work.EXE", "get"], "claviger docker --account=Work get"),
            (&["cargo-credential-claviger", "--cargo-plugin"], "claviger cargo --cargo-plugin"),
            (&["/opt/claviger", "--cargo-plugin"], "claviger cargo --cargo-plugin"),
            (&["terraform-credentials-claviger", "get", "h"], "claviger terraform get h"),
            (&["bazel-credential-claviger", "get"], "claviger bazel get"),
            (&["keyring", "get", "s", "u"], "claviger keyring get s u"),
            (&["claviger", "get"], "claviger get"),
            (&["claviger-2", "get"], "claviger get"),
            (&["git-credential-claviger-x", "get"], "claviger get"),
            (&["docker-credential-claviger-", "get"], "claviger get"),
            (&["git-credential-clavigerx", "get"], "claviger get"),
            (&[], "claviger"),
        ] {
            assert_eq!(words(arguments), expected, "{arguments:?}");
        }
    }
}
