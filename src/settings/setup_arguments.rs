//! The command lines of `configure` and `links`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::arguments::{json, manner};
use crate::message::{Configurable, Configure, Links, Manner, Request};
use crate::session::Service;

/// Their grammar.
pub(super) fn commands() -> [Command; 2] {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let many = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
    };
    let tool = |(tool, word): (Configurable, &'static str)| {
        let command = Command::new(word).about(about(tool));
        let command = if tool.name() == word { command } else { command.visible_alias(tool.name()) };
        let command = if tool.knows_hosts() {
            let usual = match tool {
                Configurable::Cargo => "every registry",
                _ => "those of the providers in config.toml",
            };
            let help =
                format!("A host, as {}; may be given more than once. By default {usual}", tool.example());
            command.arg(Arg::new("host").long("host").value_name("HOST").action(ArgAction::Append).help(help))
        } else {
            command
        };
        let command = if tool == Configurable::Docker {
            command.arg(flag("all", "For every registry there is").conflicts_with("host"))
        } else {
            command
        };
        command
            .arg(flag("undo", "Take away what was added, and leave the rest alone"))
            .arg(flag("dry-run", "Show what would be changed, and change nothing"))
            .arg(json())
    };
    [
        Command::new("configure")
            .about("Make another tool ask claviger, by its own configuration")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(Configurable::ALL.map(tool)),
        Command::new("links")
            .about("Make the names that tools call this program by")
            .arg(
                Arg::new("dir")
                    .long("dir")
                    .value_name("DIR")
                    .required(true)
                    .value_parser(value_parser!(PathBuf))
                    .help("A folder on PATH"),
            )
            .arg(many(
                "account",
                "ACCOUNT",
                "Names for docker and bazel that mean this account; may be given more than once",
            ))
            .arg(flag(
                "keyring",
                "`keyring` too, for pip and uv: it stands in the way of another program of that name",
            ))
            .arg(flag("undo", "Take these names away again; by default all in DIR that lead to claviger"))
            .arg(json()),
    ]
}

fn about(tool: Configurable) -> &'static str {
    match tool {
        Configurable::Git => "A helper for each host, in git's own file",
        Configurable::Docker => "credHelpers for each registry, in docker's config.json",
        Configurable::Cargo => "A credential provider, for every registry or for those of a host",
        Configurable::Kubernetes => {
            "A user `claviger`, and a context for each cluster of a host, in the kubeconfig"
        }
        Configurable::Terraform => "A credentials_helper, and the link it wants",
        Configurable::Bazel => "--credential_helper for each host, in .bazelrc",
        Configurable::Goauth => "GOAUTH, in the file of `go env -w`",
        Configurable::Pip => "keyring-provider, in pip's own file",
    }
}

/// What one of them asks for; `None`: it is neither.
pub(super) fn asked(word: &str, matches: &ArgMatches) -> Option<Result<(Request, Manner), String>> {
    match word {
        "configure" => {
            let (word, matches) = matches.subcommand()?;
            let (tool, _) = Configurable::ALL.into_iter().find(|(_, known)| *known == word)?;
            Some(configure(tool, matches).map(|request| (request, manner(matches))))
        }
        "links" => Some(links(matches).map(|request| (request, manner(matches)))),
        _ => None,
    }
}

fn configure(tool: Configurable, matches: &ArgMatches) -> Result<Request, String> {
    let mut hosts = Vec::new();
    for text in texts(matches, "host") {
        let host = host(tool, &text)?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(Request::Configure(Configure {
        tool,
        hosts,
        all: tool == Configurable::Docker && matches.get_flag("all"),
        undo: matches.get_flag("undo"),
        dry_run: matches.get_flag("dry-run"),
    }))
}

fn links(matches: &ArgMatches) -> Result<Request, String> {
    let folder = matches.get_one::<PathBuf>("dir").cloned().unwrap_or_default();
    let accounts = texts(matches, "account");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if accounts.iter().any(|account| account.is_empty() || account.len() > 64 || !account.chars().all(plain))
    {
        return Err("--account: a name here is 1 to 64 letters, digits and `._@+-`".to_owned());
    }
    Ok(Request::Links(Links {
        folder,
        accounts,
        keyring: matches.get_flag("keyring"),
        undo: matches.get_flag("undo"),
    }))
}

fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    let given = matches.try_get_many::<String>(name).ok().flatten();
    given.into_iter().flatten().cloned().collect()
}

/// A host as people write it: bare, with a port if need be, or as a URL. A bare loopback address is `http`, as it is for
/// docker.
fn host(tool: Configurable, text: &str) -> Result<Service, String> {
    let example = tool.example();
    let complaint = |why: &str| format!("--host {why}; say {example}, or {example}:8443");
    if tool == Configurable::Bazel && text.contains('*') {
        return Err(format!(
            "--host takes hosts one by one, as {example}; a line of .bazelrc for a pattern is to be written by hand"
        ));
    }
    let service = if text.contains("://") {
        Service::parse(text)
    } else {
        Service::parse(&format!("http://{text}")).or_else(|_| Service::parse(&format!("https://{text}")))
    };
    let service = service.map_err(|error| complaint(error.words()))?;
    if service.prefixes().count() > 1 {
        return Err(complaint("must not have a path"));
    }
    // No name begins so, and a program that is given it alone may take it for an option.
    if service.as_str().contains("//-") {
        return Err(complaint("must not begin with `-`"));
    }
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_people_write_it() {
        for (text, origin) in [
            ("git.acme.example", "https://git.acme.example"),
            ("GIT.acme.example:8443", "https://git.acme.example:8443"),
            ("https://git.acme.example/", "https://git.acme.example"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("https://127.0.0.1:5000", "https://127.0.0.1:5000"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("localhost:5000", "https://localhost:5000"),
            ("b\u{fc}cher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(host(Configurable::Git, text).as_ref().map(Service::as_str), Ok(origin), "{text}");
        }
    }

    #[test]
    fn what_another_file_would_read_otherwise_is_no_host() {
        #[rustfmt::skip]
        let hostile = [
            "", "-x", " ", "a b", "a\nb", "a\r", "a\0", "a\"", "a'", "a]", "[a", "a\\b", "a/b", "https://a/b", "a?b", "a#b", "a;b", "u@a",
            "a%0a", "a\u{2028}", "a\u{202e}", "ftp://a", "http://a.example", "a:0", "a:99999", "$(a)", "`a`", "a=b", "*.a", "a..b", "127.1", "{a}",
        ];
        for text in hostile {
            for (tool, word) in Configurable::ALL {
                assert!(host(tool, text).is_err(), "{word} {text:?}: {:?}", host(tool, text));
            }
        }
    }
}
