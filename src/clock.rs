//! Time as the program sees it: one trait, so that tests hold the hands.

use std::time::{Duration, Instant, SystemTime};

use crate::time::Timestamp;

/// Wall time for expiries, monotonic time for deadlines, and the only way to wait.
pub trait Clock {
    /// Wall time now.
    fn now(&self) -> Timestamp;
    /// Monotonic time since some fixed point.
    fn monotonic(&self) -> Duration;
    /// Waits.
    fn pause(&self, span: Duration);
}

/// The machine's clock.
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the World's clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the World's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from_system(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the World's clock")]
    fn pause(&self, span: Duration) {
        std::thread::sleep(span);
    }
}
