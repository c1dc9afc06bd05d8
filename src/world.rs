//! The world as it is: the machine's keyring, files, network, clock, locks and processes.

use crate::clock::SystemClock;
use crate::engine::World;
use crate::http::Network;
use crate::lock::KeepUntilExit;
use crate::message::Event;
use crate::refresh::turn::Locks;
use crate::settings::Settings;
use crate::store::{index::Index, keyring::Keyring, mode::Pin, plaintext::Plaintext};
use crate::worker::OwnProcess;

/// Something to be done in a world.
pub type Serve<'a> = &'a mut dyn FnMut(&World<'_>);

/// Does it in the real one. A login's events go to `event`.
pub fn real(settings: &Settings, serve: Serve<'_>, event: &dyn Fn(&Event<'_>)) {
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
        tell: &crate::tell,
        event,
    });
}
