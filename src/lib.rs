//! # claviger
//!
//! Hands any tool a live OAuth access token, and never loses the session behind it. The executable is the
//! product; this library exists so that tests and fuzzers can call its parts, and is no API.
//!
//! ```text
//! argv+stdin ─▶ dialect::parse ─▶ Request ─▶ resolve ─▶ session ─▶ engine ─▶ Outcome ─▶ dialect::render ─▶ stdout+stderr+exit
//!    bytes           (pure)                   (pure)                 │ the only impure middle     (pure)
//!                                                                    ├─ store    slots (keyring | plaintext), index
//!                                                                    ├─ refresh  lock ─ read again ─ token request ─ save ─ unlock
//!                                                                    └─ login, and what sets other tools up: their own files
//! ```
//!
//! What is drawn as `refresh` is waited for in the process that was called, and carried out by a `worker` that outlives it.
//! People's commands come in by `settings/arguments.rs` instead of a dialect and go out by `cli`.
//!
//! Read next: `engine.rs`, `protocol/README.md`, one file of `protocol/transcripts/`, `refresh/mod.rs`.
//!
//! ## Invariants, and what enforces each
//!
//! - **I1** A refresh token leaves the process only to an endpoint in its own slot, and into that slot; one that a login
//!   got and cannot keep is revoked where its server says.
//!   *[`secret::RefreshToken`] has no `Serialize`, `Display`, `Clone`; `tests/house.rs` counts the calls that
//!   reveal it.*
//! - **I2** Nothing newly granted is handed out before it is durable, but under the storage `none`, which keeps nothing.
//!   *A reply's token comes from [`store::Persisted`], which only `store::load` and `store::save` make, or from
//!   [`refresh::Unkept`], which wants a [`store::mode::Nothing`]; `oauth` cannot see `message`.*
//! - **I3** One writer per session, across processes. *`store::save` demands the [`lock::Guard`] of that very
//!   session and backend; `tests/storm.rs`.*
//! - **I4** Input is bounded; over a limit is an error, never a truncation. *[`limits`], [`fields`],
//!   `tests/hostile.rs`.*
//! - **I5** Standard output gets one whole reply or nothing; a login asked for JSON gets events before it, each a whole
//!   line ([`reporting`]), and cargo a greeting and then a line for each of its own ([`converse`]). *[`deliver`] is the one writer of replies; `print_stdout` is denied, and
//!   what a library prints goes elsewhere ([`terminal::claim_stdout`], `tests/habits.rs`).*
//! - **I6** Errors, panics and logs cannot carry secrets. *[`fields::Error`] has no room for a value; a panic
//!   says only where; `tests/canary.rs`.*
//! - **I7** Text from outside is escaped before a terminal sees it. *[`text::Escaped`].*
//! - **I8** The environment is read through [`settings`] alone. *`clippy.toml` forbids it elsewhere.*
//! - **I9** A cached `get` makes no network call, no write, takes no lock. *`tests/quiet.rs` reads the
//!   system-call trace.*
//! - **I10** A failed refresh deletes and blanks nothing. *`protocol/transcripts/refresh-*`.*
//! - **I11** A token is given only for a service its own record was granted for. *`engine/find.rs`,
//!   `tests/grants.rs`.*
//!
//! Who may import whom is a table in `tests/house.rs`, and a test.

#![deny(
    clippy::exit,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used
)]

pub mod address;
pub mod browser;
pub mod child;
pub mod cli;
pub mod clock;
pub mod dialect;
pub mod engine;
pub mod error;
pub mod fields;
#[cfg(unix)]
pub mod folder;
pub mod harden;
pub mod http;
pub mod limits;
pub mod lock;
pub mod loopback;
pub mod message;
pub mod oauth;
pub mod presets;
pub mod provider;
pub mod refresh;
pub mod resolve;
pub mod secret;
pub mod session;
pub mod settings;
pub mod setup;
pub mod signing;
pub mod store;
pub mod terminal;
pub mod text;
pub mod time;
pub mod worker;
pub mod world;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dialect::{Form, HandOver, Parsed, Reading, Rendered};
use engine::World;
use message::{Code, Event, Failure, Manner};
use settings::{Command, Environment, Invocation, Settings};
use terminal::Input;

/// Answers one invocation: reads the request, then the settings, then lets `with_world` build what the
/// engine needs, and renders what came of it. `input` is read only where the request comes from there.
pub fn run(
    invocation: Invocation,
    input: impl FnOnce(Reading) -> std::io::Result<Input>,
    environment: Environment<'_>,
    with_world: impl FnOnce(&Settings, &mut dyn FnMut(&World<'_>)),
) -> Rendered {
    let Invocation { command, storage } = invocation;
    let patience = command.patience();
    let (request, form) = match command {
        Command::Protocol(call) => match asked(&call, input(call.reading()), environment) {
            Parsed::Ask(request, form) => (request, Reply::Dialect(form)),
            Parsed::Said(rendered) => return rendered,
        },
        Command::People { request, manner } => (Ok(request), Reply::People(manner)),
        Command::Worker => {
            (Err(Failure::new(Code::BadRequest, NOT_FOR_CALLERS, "")), Reply::People(Manner::Text))
        }
    };
    let mut warnings = Vec::new();
    let result = request.and_then(|request| {
        let settings = Settings::read(storage, environment)?.within(patience);
        let mut request = Some(request);
        let mut result = None;
        let answered = catch_unwind(AssertUnwindSafe(|| {
            with_world(&settings, &mut |world| {
                if let Some(request) = request.take() {
                    let (outcome, told) = engine::serve(world, request);
                    warnings = told;
                    result = Some(outcome);
                }
            });
        }));
        match (answered, result) {
            (Ok(()), Some(result)) => result,
            _ => Err(Failure::internal()),
        }
    });
    match form {
        Reply::Dialect(form) => form.render(&result, &warnings),
        Reply::People(manner) => cli::render(result, &warnings, manner),
    }
}

/// Answers one request after the other, a line each, for as long as there are any: as cargo asks. Gives the exit status.
pub fn converse(
    call: &dialect::cargo::Call,
    storage: Option<&String>,
    stdout: std::io::Result<File>,
    environment: Environment<'_>,
    with_world: impl Fn(&Settings, &mut dyn FnMut(&World<'_>)),
) -> u8 {
    let failed = dialect::native::exit(Code::Internal);
    let Ok(stdout) = stdout else { return failed };
    if terminal::write_whole(&stdout, dialect::cargo::HELLO).is_err() {
        return failed;
    }
    loop {
        let (mut ended, mut over) = (false, false);
        let invocation = Invocation {
            command: Command::Protocol(dialect::Call::Cargo(call.clone())),
            storage: storage.cloned(),
        };
        let line = |reading| {
            let input = input(reading);
            ended = matches!(&input, Ok(Input::Whole(line)) if line.is_empty());
            // The rest of it would be read as a request of its own.
            over = matches!(&input, Ok(Input::Over));
            input
        };
        let rendered = run(invocation, line, environment, &with_world);
        if ended {
            return 0;
        }
        let exit = deliver(rendered, stdout.try_clone());
        if exit != 0 || over {
            return exit;
        }
    }
}

const NOT_FOR_CALLERS: &str = "this command is claviger's own; `get` refreshes what is due";

/// Serves as a worker (see [`worker`]): takes the lock that was handed over in standard error's place, the order from
/// standard input, and reports to `stdout`. Gives the exit status.
pub fn work(
    stdout: std::io::Result<File>,
    environment: Environment<'_>,
    with_world: impl FnOnce(&Settings, &mut dyn FnMut(&World<'_>)),
) -> u8 {
    let (Ok(lock), Ok(stdout)) = (terminal::claim_handed_over(), stdout) else { return worker::DECLINED };
    if !lock.metadata().is_ok_and(|found| found.is_file()) {
        // It is standard error after all: somebody tries the command by hand.
        let _ = terminal::write_whole(lock, format!("claviger: error: {NOT_FOR_CALLERS}\n").as_bytes());
        return worker::DECLINED;
    }
    let order = terminal::stdin().and_then(|stdin| terminal::read_bounded(stdin, limits::REQUEST_BYTES));
    let Ok(Input::Whole(order)) = order else { return worker::DECLINED };
    // What ends the caller is often sent to its whole family.
    let _calm = harden::Uninterrupted::begin();
    let Ok(settings) = Settings::read(None, environment) else { return worker::DECLINED };
    let mut lock = Some(lock);
    let mut done = false;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        with_world(&settings, &mut |world| {
            if let Some(lock) = lock.take() {
                done = engine::work(world, &order, lock, &mut |said| {
                    terminal::write_whole(&stdout, said).is_ok()
                });
            }
        });
    }));
    match (ended, done) {
        (Ok(()), true) => 0,
        (Ok(()), false) => worker::DECLINED,
        (Err(_), _) => dialect::native::exit(Code::Internal),
    }
}

/// What a reply looks like.
enum Reply {
    Dialect(Form),
    People(Manner),
}

/// Writes a reply: the lines for people, then the whole of `stdout` in one go, or a program takes our place. Gives the
/// exit status.
#[must_use]
pub fn deliver(rendered: Rendered, stdout: std::io::Result<File>) -> u8 {
    if !rendered.stderr.is_empty() {
        // A caller that closed stderr still gets its reply and its exit status.
        let _ =
            terminal::stderr().and_then(|stderr| terminal::write_whole(stderr, rendered.stderr.as_bytes()));
    }
    if let Some(HandOver { variable, token, command }) = rendered.then {
        return stdout.map_or(child::FAILED, |stdout| child::run(&command, &variable, &token, stdout));
    }
    match stdout.and_then(|stdout| terminal::write_whole(stdout, &rendered.stdout)) {
        Ok(()) => rendered.exit,
        // Nobody got the reply, whatever it said.
        Err(_) => dialect::native::exit(Code::Internal),
    }
}

/// Says a line to people at once, ahead of the reply.
pub fn tell(line: &str) {
    // Whoever closed stderr does not want to know.
    let _ =
        terminal::stderr().and_then(|stderr| terminal::write_whole(stderr, format!("{line}\n").as_bytes()));
}

/// Tells a tool at once how a login goes on: a line of its own, ahead of the reply, where the reply is JSON.
pub fn reporting<'a>(
    invocation: &Invocation,
    stdout: &'a std::io::Result<File>,
) -> impl Fn(&Event<'_>) + use<'a> {
    let wanted = matches!(invocation.command, Command::People { manner: Manner::Json, .. });
    move |event| {
        let Some(stdout) = stdout.as_ref().ok().filter(|_| wanted) else { return };
        // Whoever closed it hears of the end by the exit status.
        let _ = terminal::write_whole(stdout, &dialect::native::event(event));
    }
}

/// Reads the request; one that may be empty never waits on a terminal.
pub fn input(reading: Reading) -> std::io::Result<Input> {
    let nothing = || Ok(Input::Whole(Vec::new().into()));
    let limit = limits::REQUEST_BYTES;
    match reading {
        Reading::Nothing => nothing(),
        Reading::WholeOrNothing if terminal::stdin_is_terminal() => nothing(),
        Reading::Whole if terminal::stdin_is_terminal() => {
            let line = b"claviger: reading the request from the terminal; end it with Ctrl-D\n";
            // Without it a person waits unasked; that is no reason to fail.
            let _ = terminal::stderr().and_then(|stderr| terminal::write_whole(stderr, line));
            terminal::read_bounded(terminal::stdin()?, limit)
        }
        Reading::Whole | Reading::WholeOrNothing => terminal::read_bounded(terminal::stdin()?, limit),
        Reading::Lines => {
            terminal::read_until(terminal::stdin()?, limit, |read| read.ends_with(b"\n\n") || read == b"\n")
        }
        Reading::Line => terminal::read_until(terminal::stdin()?, limit, |read| read.ends_with(b"\n")),
    }
}

fn asked(call: &dialect::Call, input: std::io::Result<Input>, environment: Environment<'_>) -> Parsed {
    let unread = |message: String, hint: &str| call.unread(Failure::new(Code::BadRequest, message, hint));
    match input {
        Ok(Input::Whole(bytes)) => match environment(EXEC_INFO).map(std::ffi::OsString::into_string) {
            Some(Err(_)) if matches!(call, dialect::Call::Kubernetes(_)) => {
                unread(format!("{EXEC_INFO} is not UTF-8"), "nothing was looked up")
            }
            info => call.parse(&bytes, info.and_then(Result::ok).as_deref()),
        },
        Ok(Input::Over) => unread(
            format!("bad request: over the limit of {} bytes", limits::REQUEST_BYTES),
            "send less; nothing was read",
        ),
        Err(error) => unread(format!("the request could not be read: {error}"), "pass it on stdin"),
    }
}

/// Where Kubernetes says what it wants (client-go, `plugin/pkg/client/auth/exec`).
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";
