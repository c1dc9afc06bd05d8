//! Hardens the process, builds the real world, answers one request.

#![deny(clippy::exit, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]
#![deny(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

use std::alloc::System;
use std::process::ExitCode;

use claviger::clock::SystemClock;
use claviger::engine::World;
use claviger::http::Network;
use claviger::lock::KeepUntilExit;
use claviger::refresh::turn::Locks;
use claviger::settings::{Command, Invocation, Settings, environment, invocation};
use claviger::store::{index::Index, keyring::Keyring, mode::Pin, plaintext::Plaintext};
use claviger::worker::OwnProcess;
use zeroizing_alloc::ZeroAlloc;

/// Every freed block of the heap is wiped, whichever library held a secret in it.
#[global_allocator]
static HEAP: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    claviger::harden::process();
    let invocation = invocation(std::env::args_os());
    #[cfg(unix)]
    if matches!(invocation, Ok(Invocation { command: Command::Worker, .. })) {
        claviger::worker::close_what_was_inherited();
    }
    let stdout = claviger::terminal::claim_stdout();
    let rendered = match invocation {
        Ok(Invocation { command: Command::Worker, .. }) => {
            return ExitCode::from(claviger::work(stdout, &environment, with_real_world));
        }
        Ok(invocation) => claviger::run(invocation, claviger::input, &environment, with_real_world),
        Err(usage) => usage.rendered(),
    };
    ExitCode::from(claviger::deliver(&rendered, stdout))
}

fn with_real_world(settings: &Settings, serve: &mut dyn FnMut(&World<'_>)) {
    let keep = KeepUntilExit::default();
    serve(&World {
        settings,
        keyring: &Keyring::new(settings.keyring.clone(), settings.keyring_patience(), keep.clone()),
        plaintext: &Plaintext::new(&settings.state),
        index: &Index::new(&settings.state),
        pin: &Pin::new(&settings.state),
        http: &Network { patience: settings.patience(), proxies: settings.proxies.clone() },
        clock: &SystemClock::start(),
        locks: &Locks {
            keyring: None,
            plaintext: settings.state.join("locks"),
            keep,
            patience: settings.timeouts.lock,
        },
        worker: &OwnProcess,
        tell: &claviger::tell,
    });
}
