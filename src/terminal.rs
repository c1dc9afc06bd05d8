//! The three standard streams, without the standard library's buffers: those keep a copy of every secret
//! until the process ends.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use zeroize::Zeroizing;

/// Standard input as an unbuffered descriptor of our own.
#[expect(clippy::disallowed_methods, reason = "the descriptor only; nothing is read through the handle")]
pub fn stdin() -> io::Result<File> {
    own(&io::stdin())
}

/// Takes standard output for the reply alone, as an unbuffered descriptor of our own. Whatever else in this process
/// prints, a line of a library's perhaps, goes to standard error from then on (Unix).
#[expect(clippy::disallowed_methods, reason = "the descriptor only; nothing is written through the handle")]
pub fn claim_stdout() -> io::Result<File> {
    let ours = own(&io::stdout())?;
    #[cfg(unix)]
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(ours)
}

/// Standard error as an unbuffered descriptor of our own.
pub fn stderr() -> io::Result<File> {
    own(&io::stderr())
}

#[cfg(unix)]
fn own(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(windows)]
fn own(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    stream.as_handle().try_clone_to_owned().map(File::from)
}

/// Says a line of complaint to people.
pub fn complain(line: &str) {
    let line = format!("claviger: error: {line}\n");
    // Whoever closed stderr does not want to know.
    let _ = stderr().and_then(|stderr| write_whole(stderr, line.as_bytes()));
}

/// Takes what was handed over in standard error's place, a descriptor of something else altogether. Whatever in this
/// process prints from then on is lost (Unix), and does not land in it.
pub fn claim_handed_over() -> io::Result<File> {
    let ours = own(&io::stderr())?;
    #[cfg(unix)]
    {
        let nowhere = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        rustix::stdio::dup2_stdout(&nowhere)?;
    }
    Ok(ours)
}

/// Whether standard input is a terminal, where waiting for an end of file would look like a hang.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a question about the descriptor; nothing is read")]
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether standard input is a terminal whose lines are ours to read: a job in the background would be stopped for it.
#[must_use]
#[cfg_attr(
    unix,
    expect(clippy::disallowed_methods, reason = "a question about the descriptor; nothing is read")
)]
pub fn stdin_is_ours() -> bool {
    #[cfg(unix)]
    let foreground =
        rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp());
    #[cfg(windows)]
    let foreground = true;
    stdin_is_terminal() && foreground
}

/// Whether standard error is a terminal: somebody may be looking.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Lines that come on standard input while something else is waited for too. The thread that reads them ends with the
/// process.
pub struct Lines(Receiver<Line>);

/// What came.
#[derive(Debug)]
pub enum Line {
    /// A line, without its end.
    Text(Zeroizing<String>),
    /// A line that is over the limit or no text.
    Unreadable,
    /// There are no more.
    End,
}

impl Lines {
    /// Reads from now on, lines of at most `limit` bytes.
    pub fn start(limit: usize) -> io::Result<Self> {
        let input = stdin()?;
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::Builder::new().spawn(move || read_lines(input, limit, &send))?;
        Ok(Self(lines))
    }

    /// The next line, if it has come.
    #[must_use]
    pub fn next(&self) -> Option<Line> {
        match self.0.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Line::End),
        }
    }
}

fn read_lines(mut input: impl Read, limit: usize, send: &Sender<Line>) {
    let mut line = Zeroizing::new(Vec::with_capacity(limit + 1));
    let mut byte = [0];
    loop {
        let read = match input.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.unwrap_or(0),
        };
        let ended = read == 0 || byte == *b"\n";
        if !ended {
            // What is over the limit is not kept, and not taken for a shorter line.
            if line.len() <= limit {
                line.extend_from_slice(&byte);
            }
            continue;
        }
        if read != 0 || !line.is_empty() {
            let text = std::str::from_utf8(&line).ok().filter(|_| line.len() <= limit);
            let said = text.map_or(Line::Unreadable, |text| Line::Text(text.trim().to_owned().into()));
            line.clear();
            if send.send(said).is_err() {
                return;
            }
        }
        if read == 0 {
            // Whoever waited is gone if it cannot be told.
            let _ = send.send(Line::End);
            return;
        }
    }
}

/// Notices Ctrl-C and its like instead of being ended by them, so that what was begun can be taken back.
pub struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Notices them from now on, until the process ends.
    #[must_use]
    pub fn watch() -> Self {
        let came = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        let signals = {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            [SIGINT, SIGTERM, SIGHUP]
        };
        #[cfg(windows)]
        let signals = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
        for signal in signals {
            // Whoever insists is not kept waiting for a server: the second one ends the process.
            let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&came));
            // Where it cannot be noticed it ends the process as ever: the kernel lets go of the lock.
            let _ = signal_hook::flag::register(signal, Arc::clone(&came));
        }
        Self(came)
    }

    /// Whether one has come.
    #[must_use]
    pub fn came(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A QR code made of characters, two rows of it to a line, dark on light whatever the terminal's colours. `None`: the
/// text does not fit one.
#[must_use]
pub fn qr_code(text: &str) -> Option<String> {
    let code = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::L).ok()?;
    let (width, cells) = (code.width(), code.to_colors());
    let quiet = 2;
    let dark = |x: usize, y: usize| {
        let (x, y) = (x.checked_sub(quiet), y.checked_sub(quiet));
        x.zip(y).is_some_and(|(x, y)| {
            x < width && cells.get(y * width + x).is_some_and(|cell| *cell == qrcode::Color::Dark)
        })
    };
    let side = width + 2 * quiet;
    let mut picture = String::new();
    for y in (0..side).step_by(2) {
        picture.push_str("  \u{1b}[30;47m");
        picture.extend((0..side).map(|x| match (dark(x, y), dark(x, y + 1)) {
            (true, true) => '\u{2588}',
            (true, false) => '\u{2580}',
            (false, true) => '\u{2584}',
            (false, false) => ' ',
        }));
        picture.push_str("\u{1b}[0m\n");
    }
    Some(picture)
}

/// What [`read_bounded`] found.
pub enum Input {
    /// Everything up to the end of file.
    Whole(Zeroizing<Vec<u8>>),
    /// More than the limit.
    Over,
}

/// Reads to the end of file, at most `limit` bytes. Most inputs fit the first buffer; one that is outgrown
/// is wiped, as is the last.
pub fn read_bounded(mut from: impl Read, limit: usize) -> io::Result<Input> {
    const FIRST: usize = 8 * 1024;
    let mut buffer = Zeroizing::new(vec![0; FIRST.min(limit + 1)]);
    let mut filled = 0;
    loop {
        if filled > limit {
            return Ok(Input::Over);
        }
        if filled == buffer.len() {
            let mut larger = Zeroizing::new(vec![0; (filled * 4).min(limit + 1)]);
            larger.iter_mut().zip(buffer.iter()).for_each(|(to, from)| *to = *from);
            buffer = larger;
        }
        match from.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => {
                buffer.truncate(filled);
                return Ok(Input::Whole(buffer));
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads until enough has come or nothing more comes, at most `limit` bytes. Byte by byte: what comes after is left for
/// whoever reads next.
pub fn read_until(mut from: impl Read, limit: usize, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<Input> {
    // Room for all of it, so that no shorter copy is left behind while it grows.
    let mut read = Zeroizing::new(Vec::with_capacity(limit + 1));
    let mut byte = [0];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Ok(Input::Whole(read)),
            Ok(_) => read.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if read.len() > limit {
            return Ok(Input::Over);
        }
        if is_enough(&read) {
            return Ok(Input::Whole(read));
        }
    }
}

/// Writes bytes whole, or says why not.
pub fn write_whole(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        assert!(matches!(read_bounded(&[1; 8][..], 8), Ok(Input::Whole(bytes)) if bytes.len() == 8));
        assert!(matches!(read_bounded(&[1; 9][..], 8), Ok(Input::Over)));
        assert!(matches!(read_bounded(&[][..], 8), Ok(Input::Whole(bytes)) if bytes.is_empty()));
        let long: Vec<u8> = (0..100_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        assert!(matches!(read_bounded(&long[..], 100_000), Ok(Input::Whole(bytes)) if *bytes == long));
        assert!(matches!(read_bounded(&long[..], 99_999), Ok(Input::Over)));
    }
}
