//! Manual pages and completions, made of the grammar itself: neither can name a command that is not there.

use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::arguments;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Their grammar.
pub(super) fn commands() -> [Command; 2] {
    [
        Command::new("completions").about("Print the completions of a shell, for a file that it reads").arg(
            Arg::new("shell").value_name("SHELL").value_parser(SHELLS).required(true).help("Which shell"),
        ),
        Command::new("man")
            .about("Print a manual page, as roff: claviger man | man -l -")
            .arg(
                Arg::new("list")
                    .long("list")
                    .action(clap::ArgAction::SetTrue)
                    .conflicts_with("command")
                    .help("The names of all pages instead, a line each"),
            )
            .arg(
                Arg::new("command")
                    .value_name("COMMAND")
                    .num_args(1..)
                    .help("A command, as `providers add`; by default the program's own page"),
            ),
    ]
}

/// What one of them prints; `None`: it is neither.
pub(super) fn printed(word: &str, matches: &ArgMatches) -> Option<Result<String, String>> {
    match word {
        "completions" => {
            let shell = matches.get_one::<String>("shell").and_then(|word| word.parse::<Shell>().ok());
            Some(shell.map(completions).ok_or_else(|| "no such shell".to_owned()))
        }
        "man" if matches.get_flag("list") => {
            Some(Ok(pages().iter().map(|page| page_name(page) + "\n").collect()))
        }
        "man" => {
            let words = matches.get_many::<String>("command").into_iter().flatten();
            Some(page(words.map(String::as_str)))
        }
        _ => None,
    }
}

fn completions(shell: Shell) -> String {
    let mut written = Vec::new();
    clap_complete::generate(shell, &mut arguments::shown(), "claviger", &mut written);
    String::from_utf8_lossy(&written).into_owned()
}

fn page<'a>(words: impl Iterator<Item = &'a str>) -> Result<String, String> {
    let words: Vec<&str> = words.collect();
    let (mut words, mut command) = match words[..] {
        // As `--list` and the pages themselves call it.
        [name] if name.starts_with("claviger") => {
            let named = pages().into_iter().find(|page| page_name(page) == name);
            (Vec::new(), named.ok_or_else(|| no_page(name))?)
        }
        _ => (words, whole()),
    };
    if let Some(unknown) = words
        .drain(..)
        .try_for_each(|word| {
            let found = command.find_subcommand(word).cloned();
            command = found.ok_or(word)?;
            Ok::<(), &str>(())
        })
        .err()
    {
        return Err(no_page(unknown));
    }
    written(&command).map_err(|error| format!("man: the page could not be made: {error}"))
}

fn no_page(word: &str) -> String {
    format!("man: there is no command `{word}`; `claviger man --list` names the pages")
}

/// The grammar with every command's whole name in it.
fn whole() -> Command {
    let mut command = arguments::shown().disable_help_subcommand(true);
    command.build();
    command
}

/// Every command that has a page, the program itself first.
fn pages() -> Vec<Command> {
    fn walk(command: &Command, pages: &mut Vec<Command>) {
        pages.push(command.clone());
        command.get_subcommands().for_each(|below| walk(below, pages));
    }
    let mut pages = Vec::new();
    walk(&whole(), &mut pages);
    pages
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn written(command: &Command) -> std::io::Result<String> {
    let name = page_name(command);
    let man = Man::new(command.clone().disable_help_subcommand(true))
        .title(name.to_ascii_uppercase())
        .source(concat!("claviger ", env!("CARGO_PKG_VERSION")))
        .manual("claviger");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    more(&name).to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// What the grammar does not say.
fn more(name: &str) -> Roff {
    let mut more = Roff::default();
    for (_, text) in EXAMPLES.iter().filter(|(of, _)| *of == name) {
        more.control("SH", ["EXAMPLES"]).control("nf", []);
        more.text(text.lines().map(|line| roman([line, "\n"].concat())).collect::<Vec<_>>());
        more.control("fi", []);
    }
    if name == "claviger" {
        for (title, rows) in SECTIONS {
            more.control("SH", [title]);
            for (term, what) in rows {
                more.control("TP", []).text([bold(*term)]).text([roman(*what)]);
            }
        }
    } else {
        more.control("SH", ["SEE ALSO"]).text([bold("claviger"), roman("(1)")]);
    }
    more
}

/// Calls as one would type them.
const EXAMPLES: [(&str, &str); 9] = [
    (
        "claviger",
        "claviger providers add codeberg\nclaviger login codeberg\nclaviger links --dir ~/.local/bin\n\
         claviger configure git\nclaviger token codeberg --format header",
    ),
    ("claviger-get", "echo '{\"service\": \"https://api.acme.example\"}' | claviger get"),
    (
        "claviger-store",
        "claviger store <<'JSON'\n{\"service\": \"https://api.acme.example\", \"account\": \"alice\",\n \
         \"accessToken\": \"AT1\", \"expiresIn\": 3600, \"refreshToken\": \"RT1\",\n \
         \"tokenEndpoint\": \"https://id.acme.example/token\", \"clientId\": \"acme-cli\"}\nJSON",
    ),
    (
        "claviger-erase",
        "echo '{\"service\": \"https://api.acme.example\", \"accessToken\": \"AT1\"}' | claviger erase\n\
         echo '{\"service\": \"https://api.acme.example\"}' | claviger erase",
    ),
    ("claviger-list", "claviger list </dev/null"),
    ("claviger-exec", "claviger exec --env ACME_TOKEN acme -- ./deploy.sh"),
    (
        "claviger-configure-git",
        "claviger configure git --host git.acme.example\nclaviger configure git --undo",
    ),
    (
        "claviger-completions",
        "mkdir -p ~/.local/share/bash-completion/completions\n\
         claviger completions bash >~/.local/share/bash-completion/completions/claviger\n\
         claviger completions zsh >_claviger       # into a folder that is in fpath\n\
         claviger completions fish >~/.config/fish/completions/claviger.fish\n\
         claviger completions powershell >_claviger.ps1   # a file that $PROFILE reads: . PATH",
    ),
    ("claviger-man", "for page in $(claviger man --list); do claviger man $page >$page.1; done"),
];

/// A title and its rows, of the program's own page.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: [Section; 4] = [
    (
        "EXIT STATUS",
        &[
            ("0", "Here it is."),
            ("1", "There is no such session or account."),
            ("2", "The request or the command line is wrong, or it conflicts with what is kept."),
            ("3", "Somebody has to sign in."),
            ("4", "The network, the server or another process is slow: try again."),
            ("5", "The keyring, a file or a lock stands in the way; the hint says what to do."),
            ("6", "The configuration, TLS, the proxy or the server's settings are wrong."),
            ("7", "There are several accounts, and none is the default."),
            ("70", "A fault of claviger's own."),
            ("125, 126, 127", "Of exec: claviger failed; the program cannot be run; it is not there."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("CLAVIGER_HOME", "A folder for state and configuration, instead of the platform's own two."),
            ("CLAVIGER_STORAGE", "Where sessions are: keyring, plaintext or none; beats config.toml."),
            ("BROWSER", "The program that login shows an address with."),
            ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "The proxy that requests go through, in lower case too."),
            ("SSL_CERT_FILE, SSL_CERT_DIR", "The roots that are trusted instead of the system's (Linux)."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "~/.config/claviger/config.toml",
                "Configuration. On macOS config.toml in ~/Library/Application Support/claviger, on Windows in \
                 %APPDATA%\\claviger.",
            ),
            (
                "~/.local/state/claviger/",
                "The index, the locks and, without a keyring, the sessions. They outlive the program: \
                 `claviger logout --all` ends them.",
            ),
        ],
    ),
    (
        "SEE ALSO",
        &[(
            "gitcredentials(7), docker-login(1), cargo-login(1)",
            "Those who ask. The protocol: protocol/README.md of the sources.",
        )],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command of the table and every long option stands in its own page.
    #[test]
    fn every_command_and_every_option_has_its_place_in_a_manual_page() {
        let pages = pages();
        assert!(pages.len() > 35, "{}", pages.len());
        for command in &pages {
            let plain = written(command).unwrap().replace('\\', "");
            assert!(plain.contains(&format!(".TH {}", page_name(command).to_ascii_uppercase())), "{plain}");
            for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
                let shown = option.get_long().map_or_else(
                    || option.get_value_names().unwrap_or_default().first().map(ToString::to_string),
                    |long| Some(format!("--{long}")),
                );
                assert!(plain.contains(&shown.unwrap()), "{}: {option}\n{plain}", page_name(command));
            }
            for below in command.get_subcommands() {
                assert!(plain.contains(&format!("{}(1)", page_name(below))), "{plain}");
            }
        }
    }

    #[test]
    fn every_shown_command_is_completed_in_every_shell_and_a_hidden_one_in_none() {
        for word in SHELLS {
            let text = completions(word.parse().unwrap());
            for command in arguments::shown().get_subcommands() {
                assert!(text.contains(command.get_name()), "{word}: {}", command.get_name());
            }
            assert!(!text.contains(crate::worker::COMMAND), "{word}");
        }
    }

    #[test]
    fn an_example_belongs_to_a_page_and_a_page_is_found_by_its_words() {
        let names: Vec<_> = pages().iter().map(page_name).collect();
        for (of, _) in EXAMPLES {
            assert!(names.iter().any(|name| name == of), "{of}");
        }
        assert!(page(["providers", "add"].into_iter()).unwrap().contains("CLAVIGER-PROVIDERS-ADD"));
        let by_name = page(["claviger-providers-add"].into_iter()).unwrap();
        assert_eq!(by_name, page(["providers", "add"].into_iter()).unwrap());
        assert_eq!(page(["claviger"].into_iter()), page([].into_iter()));
        assert!(page(["claviger-no"].into_iter()).unwrap_err().contains("`claviger-no`"));
        assert!(page(["providers", "no"].into_iter()).unwrap_err().contains("`no`"));
        assert!(page([crate::worker::COMMAND].into_iter()).is_err());
    }
}
