//! The commands by which people sign in and out, look, choose, and hand a token to a program.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::{json, manner};
use crate::limits::SECONDS;
use crate::message::{Caller, Login, Manner, Request, Shape, Target, TokenWanted, Way};
use crate::session::Profile;

/// Their grammar.
pub(super) fn commands() -> Vec<Command> {
    let target = || {
        Arg::new("target")
            .value_name("PROVIDER|SERVICE")
            .help("A provider of config.toml, or a service it serves")
    };
    let account = || Arg::new("account").long("account").value_name("ACCOUNT").help("Whose session");
    let profile = || Arg::new("profile").long("profile").value_name("PROFILE").help("A tool's own profile");
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let min_validity = || {
        Arg::new("min-validity")
            .long("min-validity")
            .value_name("SECONDS")
            .value_parser(clap::value_parser!(i64).range(0..=SECONDS))
            .help("Seconds the token must still live")
    };
    vec![
        Command::new("login")
            .about("Sign in, and keep the session")
            .arg(target())
            .args([account(), profile()])
            .arg(flag("device", "By a code that is entered on any other device").conflicts_with("no-browser"))
            .arg(flag(
                "no-browser",
                "Start no browser: visit the address anywhere, and paste the one it ends at",
            ))
            .arg(json().help("Events and the reply as JSON, one object to a line")),
        Command::new("logout")
            .about("End a session here and at the server")
            .arg(target())
            .args([account(), profile()])
            .arg(flag("all", "Every session there is").conflicts_with_all(["target", "account", "profile"]))
            .arg(json()),
        Command::new("status")
            .about("Show every session: whose, for what, until when, and what is wrong with it")
            .arg(flag("check", "Read each session itself, not the index alone"))
            .arg(json()),
        Command::new("token")
            .about("Print a live access token")
            .arg(target())
            .args([account(), profile(), min_validity()])
            .arg(flag("force-refresh", "Refresh it, whatever its age"))
            .arg(
                Arg::new("format")
                    .long("format")
                    .value_name("FORMAT")
                    .value_parser(["plain", "json", "header", "gcloud", "az", "databricks"])
                    .default_value("plain")
                    .help("The token alone, the reply of `get`, an Authorization header, or what another tool prints"),
            )
            .arg(json().help("The same as --format json")),
        Command::new("exec")
            .about("Run a program with a live access token in its environment")
            .arg(target())
            .args([account(), profile(), min_validity()])
            .arg(flag("force-refresh", "Refresh it, whatever its age"))
            .arg(
                Arg::new("env")
                    .long("env")
                    .value_name("NAME")
                    .required(true)
                    .help("The variable the token goes into"),
            )
            .arg(
                Arg::new("command")
                    .value_name("COMMAND")
                    .last(true)
                    .required(true)
                    .num_args(1..)
                    .value_parser(clap::value_parser!(std::ffi::OsString))
                    .help("The program and its arguments, after --"),
            ),
        Command::new("use")
            .about("Make an account the default of the services its session is for")
            .arg(
                Arg::new("account")
                    .value_name("ACCOUNT")
                    .required(true)
                    .help("The account, or the label of its session"),
            )
            .arg(target())
            .arg(profile())
            .arg(json()),
    ]
}

/// What one of them asks for; `None`: it is none of them.
pub(super) fn asked(word: &str, matches: &ArgMatches) -> Option<Result<(Request, Manner), String>> {
    Some(match word {
        "login" => login(matches),
        "logout" if matches.get_flag("all") => Ok((Request::LogoutAll, manner(matches))),
        "logout" => target(matches).map(|target| (Request::Logout(target), manner(matches))),
        "status" => Ok((Request::Status { check: matches.get_flag("check") }, manner(matches))),
        "token" => token(matches).map(|request| (request, format(matches))),
        "exec" => exec(matches),
        "use" => target(matches).map(|target| (Request::Use(target), manner(matches))),
        _ => return None,
    })
}

fn login(matches: &ArgMatches) -> Result<(Request, Manner), String> {
    let way = match (matches.get_flag("device"), matches.get_flag("no-browser")) {
        (true, _) => Way::Device,
        (false, true) => Way::Paste,
        (false, false) => Way::Best,
    };
    Ok((Request::Login(Box::new(Login { target: target(matches)?, way })), manner(matches)))
}

fn token(matches: &ArgMatches) -> Result<Request, String> {
    Ok(Request::Token(Box::new(TokenWanted {
        target: target(matches)?,
        min_validity: matches.get_one("min-validity").copied(),
        force_refresh: matches.get_flag("force-refresh"),
        caller: Caller::default(),
    })))
}

fn format(matches: &ArgMatches) -> Manner {
    let word = matches.get_one::<String>("format").map(String::as_str);
    match word {
        _ if matches.get_flag("json") => Manner::Json,
        Some("json") => Manner::Json,
        Some("header") => Manner::Header,
        Some("gcloud") => Manner::As(Shape::Gcloud),
        Some("az") => Manner::As(Shape::Az),
        Some("databricks") => Manner::As(Shape::Databricks),
        _ => Manner::Plain,
    }
}

fn exec(matches: &ArgMatches) -> Result<(Request, Manner), String> {
    let variable = matches.get_one::<String>("env").cloned().unwrap_or_default();
    let well_named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if variable.is_empty()
        || !variable.chars().all(well_named)
        || variable.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(
            "--env: a variable's name is letters, digits and `_`, and begins with no digit".to_owned()
        );
    }
    let command = matches.get_many("command").into_iter().flatten().cloned().collect();
    Ok((token(matches)?, Manner::Exec { variable, command }))
}

fn target(matches: &ArgMatches) -> Result<Target, String> {
    let word = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let profile = word("profile").map(|text| Profile::parse(&text)).transpose();
    Ok(Target {
        word: word("target"),
        account: word("account"),
        profile: profile.map_err(|why| format!("--profile {why}"))?,
    })
}
