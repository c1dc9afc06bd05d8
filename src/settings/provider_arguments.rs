//! The command line of `providers`: each option of `add` is a key of the table it writes, and is checked as that.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::json;
use crate::message::{NewProvider, NewSecret, Request};
use crate::presets;

/// An option, the key it writes, what stands for its value, and what it is.
type Word = (&'static str, &'static str, &'static str, &'static str);

/// Options that give one text, in the order their keys are written.
const TEXTS: &[Word] = &[
    (
        "preset",
        "preset",
        "PRESET",
        "A well-known server: github, gitlab, bitbucket, gitea, forgejo, codeberg, google, entra or databricks; by default NAME, if it is one",
    ),
    ("host", "host", "HOST", "Your own installation of it, as git.acme.example"),
    ("tenant", "tenant", "TENANT", "Your directory (entra)"),
    ("issuer", "issuer", "URL", "The server: it is asked for everything else"),
    ("authorization-endpoint", "authorization-endpoint", "URL", "Where people sign in"),
    ("token-endpoint", "token-endpoint", "URL", "Where tokens come from"),
    ("device-authorization-endpoint", "device-authorization-endpoint", "URL", "Where the device flow begins"),
    ("revocation-endpoint", "revocation-endpoint", "URL", "Where sessions are ended"),
    ("client-id", "client-id", "ID", "The client that you registered"),
    (
        "client-auth",
        "client-auth",
        "METHOD",
        "none, client_secret_basic, client_secret_post or private_key_jwt",
    ),
    (
        "grant",
        "grant",
        "GRANT",
        "authorization_code, device_code, client_credentials, token_exchange or jwt_bearer",
    ),
];

/// Options that may be given more than once.
const LISTS: &[Word] = &[
    ("scope", "scopes", "SCOPE", "A scope to ask for; may be given more than once"),
    (
        "service",
        "services",
        "URL",
        "A service its tokens are meant for, as https://api.acme.example; may be given more than once",
    ),
    (
        "redirect-uri",
        "redirect-uris",
        "URI",
        "A redirect URI that the client is registered with, if it is not http://127.0.0.1; may be given more than once",
    ),
];

const STDIN: &str = "client-secret-stdin";

/// Those that say which server it is.
const SERVERS: &[&str] = &["preset", "issuer", "authorization-endpoint", "token-endpoint"];

pub(super) fn grammar() -> Command {
    let one =
        |(option, _, value, help): &Word| Arg::new(*option).long(*option).value_name(*value).help(*help);
    let secrets = [
        ("client-secret-env", "VARIABLE", "The environment variable that holds the client secret"),
        ("client-secret-file", "PATH", "The file that holds the client secret"),
    ];
    let name = |help: &'static str| Arg::new("name").value_name("NAME").required(true).help(help);
    Command::new("providers")
        .about("List, add or remove the providers of config.toml")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list").about("The providers there are, and where config.toml is").arg(json()),
        )
        .subcommand(
            Command::new("add")
                .about("Write a provider into config.toml; every other key is written there by hand (protocol/config-example.toml)")
                .arg(name("What you will call it"))
                .args(TEXTS.iter().map(one))
                .args(
                    secrets.map(|(option, value, help)| {
                        Arg::new(option).long(option).value_name(value).help(help)
                    }),
                )
                .arg(
                    Arg::new(STDIN)
                        .long(STDIN)
                        .action(ArgAction::SetTrue)
                        .help("Read the client secret from standard input, and keep it in the keyring"),
                )
                .group(clap::ArgGroup::new("secret").args(secrets.map(|(option, ..)| option)).arg(STDIN))
                .args(LISTS.iter().map(|option| one(option).action(ArgAction::Append)))
                .arg(
                    Arg::new("replace")
                        .long("replace")
                        .action(ArgAction::SetTrue)
                        .help("Put it in the place of one of that name"),
                )
                .arg(json()),
        )
        .subcommand(
            Command::new("remove").about("Take a provider out of config.toml").arg(name("The provider to take out")).arg(json()),
        )
}

/// The request, and the matches that say how to reply.
pub(super) fn asked(matches: &ArgMatches) -> Option<(Request, &ArgMatches)> {
    let (word, matches) = matches.subcommand()?;
    let request = match word {
        "list" => Request::ListProviders,
        "add" => Request::AddProvider(Box::new(new(matches)?)),
        "remove" => Request::RemoveProvider(matches.get_one::<String>("name")?.clone()),
        _ => return None,
    };
    Some((request, matches))
}

fn new(matches: &ArgMatches) -> Option<NewProvider> {
    let given = |option: &str| matches.get_one::<String>(option).cloned();
    let name = given("name")?;
    let mut texts: Vec<(&str, String)> =
        TEXTS.iter().filter_map(|(option, key, ..)| Some((*key, given(option)?))).collect();
    if presets::find(&name).is_some() && !SERVERS.iter().any(|option| matches.contains_id(option)) {
        texts.insert(0, ("preset", name.clone()));
    }
    let all = |option: &str| -> Option<Vec<String>> {
        Some(matches.get_many::<String>(option)?.cloned().collect())
    };
    let secret = given("client-secret-env")
        .map(NewSecret::Env)
        .or_else(|| given("client-secret-file").map(NewSecret::File))
        .or_else(|| matches.get_flag(STDIN).then_some(NewSecret::Keyring));
    Some(NewProvider {
        name,
        texts,
        lists: LISTS.iter().filter_map(|(option, key, ..)| Some((*key, all(option)?))).collect(),
        secret,
        replace: matches.get_flag("replace"),
    })
}
