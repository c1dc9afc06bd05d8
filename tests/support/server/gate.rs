//! A gate before the server's answers: a test holds them until it lets them go.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct Inside {
    closed: bool,
    held: usize,
}

#[derive(Default)]
pub struct Gate {
    inside: Mutex<Inside>,
    news: Condvar,
}

impl Gate {
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Lets everything go that is held, and holds nothing more.
    pub fn open(&self) {
        self.lock().closed = false;
        self.news.notify_all();
    }

    /// Waits until so many answers are held; fails after a minute.
    pub fn wait_for(&self, held: usize) {
        let patience = Duration::from_secs(60);
        let waited = self.news.wait_timeout_while(self.lock(), patience, |inside| inside.held < held);
        let (inside, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{held} answers were to be held, and {} are", inside.held);
    }

    /// Goes through, when it is open.
    pub fn pass(&self) {
        let mut inside = self.lock();
        inside.held += 1;
        self.news.notify_all();
        let mut inside =
            self.news.wait_while(inside, |inside| inside.closed).unwrap_or_else(PoisonError::into_inner);
        inside.held -= 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
