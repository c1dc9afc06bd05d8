//! The one deadline of an exchange, judged only after a last look at what has already arrived.
//!
//! A process that was stopped, or had no turn, until its time was up finds the server's answer in its socket, and in
//! it the only refresh token that is good now. ureq asks its clock before it asks the connection, and would throw that
//! answer away: so ureq is told no deadline for the whole, and the connection keeps it. It also knows until when nothing
//! can have been sent: while there is no connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::unversioned::transport::time::Duration as Span;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::Patience;
use crate::clock::{Clock as _, SystemClock};

/// How long a last look takes where nothing has arrived. Windows makes half a second of it.
const LOOK: Duration = Duration::from_millis(10);
/// How many there are in one exchange: enough for the largest reply that is read, and an end to one that drips.
const LOOKS: u32 = 100;
/// How long they may take together.
const LOOKING: Duration = Duration::from_secs(1);
/// The most that one of them is taken to have lasted: what is longer, this process stood still for.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// When one exchange must be over, and how far it is.
struct Exchange {
    clock: SystemClock,
    patience: Patience,
    /// When connecting began, by that clock.
    connecting: OnceLock<Duration>,
    connected: AtomicBool,
}

impl Exchange {
    /// A step's own timeout, or what is left where that is less.
    fn cap(&self, timeout: NextTimeout) -> NextTimeout {
        let now = self.clock.monotonic();
        let mut left = self.patience.whole.saturating_sub(now);
        if let (Some(begun), false) = (self.connecting.get(), self.is_connected()) {
            left = left.min(begun.saturating_add(self.patience.connect).saturating_sub(now));
        }
        let left = Span::from(left);
        if left < timeout.after {
            // The reason stays: while a connection is made, it says that nothing was sent.
            return NextTimeout { after: left, ..timeout };
        }
        timeout
    }

    fn is_connected(&self) -> bool {
        self.connected.load(Ordering::SeqCst)
    }
}

/// Whether there was a connection to the server: before it, no byte of the request can have been sent, whatever failed.
#[derive(Clone)]
pub(super) struct Progress(Arc<Exchange>);

impl Progress {
    /// Past any proxy and the handshake of TLS.
    pub(super) fn is_connected(&self) -> bool {
        self.0.is_connected()
    }
}

/// Makes connections, and has each keep the deadline.
pub(super) struct Within<C> {
    inner: C,
    exchange: Arc<Exchange>,
}

impl<C> Within<C> {
    /// From now on, for one exchange.
    pub(super) fn new(inner: C, patience: Patience) -> Self {
        let exchange = Exchange {
            clock: SystemClock::start(),
            patience,
            connecting: OnceLock::new(),
            connected: AtomicBool::new(false),
        };
        Self { inner, exchange: Arc::new(exchange) }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        Progress(self.exchange.clone())
    }
}

impl<C> std::fmt::Debug for Within<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within").field("patience", &self.exchange.patience).finish_non_exhaustive()
    }
}

impl<C: Connector> Connector for Within<C> {
    type Out = Looking<C::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        // To a proxy one connection is made within another.
        let outermost = self.exchange.connecting.set(self.exchange.clock.monotonic()).is_ok();
        let in_time = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: self.exchange.cap(details.timeout),
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let made = self.inner.connect(&in_time, chained)?;
        if outermost {
            self.exchange.connected.store(true, Ordering::SeqCst);
        }
        Ok(made.map(|transport| Looking {
            transport,
            exchange: self.exchange.clone(),
            looks: LOOKS,
            looked: Duration::ZERO,
        }))
    }
}

/// A connection with so many last looks left.
pub(super) struct Looking<T> {
    transport: T,
    exchange: Arc<Exchange>,
    looks: u32,
    looked: Duration,
}

impl<T> Looking<T> {
    fn may_look(&self) -> bool {
        self.looks > 0 && self.looked < LOOKING
    }
}

impl<T> std::fmt::Debug for Looking<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looking").field("looks", &self.looks).finish_non_exhaustive()
    }
}

impl<T: Transport> Transport for Looking<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.transport.transmit_output(amount, self.exchange.cap(timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        match self.transport.await_input(self.exchange.cap(timeout)) {
            Err(ureq::Error::Timeout(_)) if self.may_look() => {
                let begun = self.exchange.clock.monotonic();
                let found = self.transport.await_input(NextTimeout { after: LOOK.into(), ..timeout });
                self.looks -= 1;
                self.looked += self.exchange.clock.monotonic().saturating_sub(begun).min(LONGEST_LOOK);
                found
            }
            other => other,
        }
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}
