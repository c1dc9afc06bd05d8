//! The one deadline of an exchange, judged only after a last look at what has already arrived.
//!
//! A process that was stopped, or had no turn, until its time was up finds the server's answer in its socket, and in
//! it the only refresh token that is good now. ureq asks its clock before it asks the connection, and would throw that
//! answer away: so ureq is told no deadline for the whole, and the connection keeps it.

use std::sync::Arc;

use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::clock::{Clock as _, SystemClock};

/// How long a last look takes, in milliseconds, where nothing has arrived.
const LOOK: u64 = 10;
/// How many there are in one exchange: enough for the largest reply that is read, and an end to one that drips.
const LOOKS: u32 = 100;

/// When an exchange must be over.
#[derive(Clone)]
struct Deadline {
    clock: Arc<SystemClock>,
    whole: std::time::Duration,
}

impl Deadline {
    /// A step's own timeout, or what is left where that is less.
    fn cap(&self, timeout: NextTimeout) -> NextTimeout {
        let left = Duration::from(self.whole.saturating_sub(self.clock.monotonic()));
        if left < timeout.after {
            // The reason stays: while a connection is made, it says that nothing was sent.
            return NextTimeout { after: left, ..timeout };
        }
        timeout
    }
}

/// Makes connections, and has each keep the deadline.
pub(super) struct Within<C> {
    inner: C,
    deadline: Deadline,
}

impl<C> Within<C> {
    /// From now on.
    pub(super) fn new(inner: C, whole: std::time::Duration) -> Self {
        Self { inner, deadline: Deadline { clock: Arc::new(SystemClock::start()), whole } }
    }
}

impl<C> std::fmt::Debug for Within<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within").field("whole", &self.deadline.whole).finish_non_exhaustive()
    }
}

impl<C: Connector> Connector for Within<C> {
    type Out = Looking<C::Out>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let in_time = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: self.deadline.cap(details.timeout),
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let made = self.inner.connect(&in_time, chained)?;
        Ok(made.map(|transport| Looking { transport, deadline: self.deadline.clone(), looks: LOOKS }))
    }
}

/// A connection with so many last looks left.
pub(super) struct Looking<T> {
    transport: T,
    deadline: Deadline,
    looks: u32,
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
        self.transport.transmit_output(amount, self.deadline.cap(timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        match self.transport.await_input(self.deadline.cap(timeout)) {
            Err(ureq::Error::Timeout(_)) if self.looks > 0 => {
                self.looks -= 1;
                let look = NextTimeout { after: Duration::from_millis(LOOK), ..timeout };
                self.transport.await_input(look)
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
