//! The three standard streams, without the standard library's buffers: those keep a copy of every secret
//! until the process ends.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};

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
