//! Hardens the process, builds the real world, answers one request.

#![deny(clippy::exit, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]
#![deny(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

use std::alloc::System;
use std::process::ExitCode;

use claviger::dialect::Call;
use claviger::settings::{Command, Invocation, Settings, environment, invocation};
use claviger::world::{self, Serve};
use zeroizing_alloc::ZeroAlloc;

/// Every freed block of the heap is wiped, whichever library held a secret in it.
#[global_allocator]
static HEAP: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    claviger::harden::process();
    let invocation = invocation(std::env::args_os());
    if !invocation.as_ref().is_ok_and(Invocation::gives_way) {
        claviger::harden::no_cores_for_good();
    }
    #[cfg(unix)]
    if matches!(invocation, Ok(Invocation { command: Command::Worker, .. })) {
        claviger::worker::close_what_was_inherited();
    }
    let stdout = claviger::terminal::claim_stdout();
    let rendered = match invocation {
        Ok(Invocation { command: Command::Worker, .. }) => {
            let world = |settings: &Settings, serve: Serve<'_>| world::real(settings, serve, &|_| ());
            return ExitCode::from(claviger::work(stdout, &environment, world));
        }
        Ok(Invocation { command: Command::Protocol(Call::Cargo(call)), storage }) => {
            let world = |settings: &Settings, serve: Serve<'_>| world::real(settings, serve, &|_| ());
            return ExitCode::from(claviger::converse(&call, storage.as_ref(), stdout, &environment, world));
        }
        Ok(invocation) => {
            let event = claviger::reporting(&invocation, &stdout);
            let world = |settings: &Settings, serve: Serve<'_>| world::real(settings, serve, &event);
            claviger::run(invocation, claviger::input, &environment, world)
        }
        Err(usage) => usage.rendered(),
    };
    ExitCode::from(claviger::deliver(rendered, stdout))
}
