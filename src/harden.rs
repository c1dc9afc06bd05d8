//! What a process that holds tokens does first: no core dump, no other process of the same user reading
//! its memory, no panic message that might quote a value.

/// Applies every measure this platform has. Failure of one is not failure of the program: they narrow
/// what an attacker of the same user can do, and a sandbox may forbid them.
pub fn process() {
    quiet_panics();
    #[cfg(target_os = "linux")]
    {
        // Best effort, see above; /proc/PID/{mem,environ,fd} and ptrace are closed to peers by this.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let before = getrlimit(Resource::Core);
        // Best effort, see above. The hard limit stays: a program that takes our place has its cores back.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum });
        let _ = CORES.set(before.current);
    }
}

/// What a core dump could be as large as before [`process`] forbade it.
#[cfg(unix)]
static CORES: std::sync::OnceLock<Option<u64>> = std::sync::OnceLock::new();

/// Takes the hard limit away too, so that no child raises it again: for every call but one whose place a program takes.
pub fn no_cores_for_good() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // Best effort, see above.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

/// Gives a program that is about to take our place the core dumps that whoever started us allows.
#[cfg(unix)]
pub fn allow_cores_again() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if let Some(before) = CORES.get() {
        let now = getrlimit(Resource::Core);
        // Best effort: without it the program only dumps no core.
        let _ = setrlimit(Resource::Core, Rlimit { current: *before, maximum: now.maximum });
    }
}

/// A panic says where it happened and nothing else: its message could hold what was being handled.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let line = format!("claviger: error: internal fault{place}\n");
        if let Ok(stderr) = crate::terminal::stderr() {
            // Nothing is left to tell anyone if stderr is gone.
            let _ = crate::terminal::write_whole(stderr, line.as_bytes());
        }
    }));
}

/// Overwrites what calls that have returned left on this thread's stack, as far down as a cipher's or a hash's
/// working blocks reach. The wiping allocator does not see those. Best effort: registers and the frames of
/// callers are out of reach.
#[inline(never)]
pub fn scrub_stack() {
    const REACH: usize = 16 * 1024;
    let mut dead = [0_u8; REACH];
    zeroize::Zeroize::zeroize(&mut dead);
    std::hint::black_box(&dead);
}

/// Keeps interrupts from this thread while it lives: from lock to save, a Ctrl-C or a closing terminal
/// must not fall between the server's rotation and our write. What came meanwhile arrives at the end.
#[must_use]
pub struct Uninterrupted {
    #[cfg(unix)]
    before: Option<nix::sys::signal::SigSet>,
}

impl Uninterrupted {
    /// Blocks the signals alone that a terminal stops jobs with (Ctrl-Z). SIGSTOP cannot be kept away.
    pub fn by_a_stop() -> Self {
        #[cfg(unix)]
        {
            use nix::sys::signal::{SigSet, SigmaskHow, Signal};
            let stops = SigSet::from_iter([Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]);
            Self { before: stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Blocks every signal that can be blocked, but those of faults, in this thread and in those it starts.
    pub fn begin() -> Self {
        #[cfg(unix)]
        {
            use nix::sys::signal::{SigSet, SigmaskHow, Signal};
            let mut set = SigSet::all();
            // These say that the process itself is broken; the kernel delivers them whatever the mask.
            for fault in [
                Signal::SIGSEGV,
                Signal::SIGBUS,
                Signal::SIGILL,
                Signal::SIGFPE,
                Signal::SIGTRAP,
                Signal::SIGABRT,
                Signal::SIGSYS,
            ] {
                set.remove(fault);
            }
            Self { before: set.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }
}

impl Drop for Uninterrupted {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = self.before {
            // Restoring a mask the kernel gave us cannot fail.
            let _ = before.thread_set_mask();
        }
    }
}
