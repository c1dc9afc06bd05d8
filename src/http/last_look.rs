//! A deadline that has passed is judged only after a last look at what has already arrived.
//!
//! A process that was stopped, or had no turn, until its time was up finds the server's answer in its socket, and in
//! it the only refresh token that is good now. ureq looks at the clock alone and would throw it away.

use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// How long a last look takes, in milliseconds, where nothing has arrived.
const LOOK: u64 = 10;
/// How many there are in one exchange: enough for the largest reply that is read, and an end to one that drips.
const LOOKS: u32 = 100;

/// Puts a last look around every connection.
#[derive(Debug)]
pub(super) struct LastLook;

impl<In: Transport> Connector<In> for LastLook {
    type Out = Looking<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|transport| Looking { transport, looks: LOOKS }))
    }
}

/// A connection with so many last looks left.
#[derive(Debug)]
pub(super) struct Looking<T> {
    transport: T,
    looks: u32,
}

impl<T: Transport> Transport for Looking<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.transport.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        match self.transport.await_input(timeout) {
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
