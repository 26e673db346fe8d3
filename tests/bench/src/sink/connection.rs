//! One connection of the sink: a thread, a socket, and as few system calls as there can be.
//!
//! Reads block when there is nothing to write. Otherwise neither blocks and `poll` waits for both, so that
//! a client that writes before it reads cannot make the two wait for each other.

use std::io;

use super::link::Link;
use super::scanner::Scanner;
use super::session::Session;

const BUFFER: usize = 256 << 10;
/// A method or header that does not fit what is free is moved to the buffer's front; the rest of a body's
/// frame need not fit.
const LEAST_FREE: usize = 128 << 10;

/// Serves one client until it goes.
///
/// # Errors
///
/// Of the socket, or what the client sent wrongly.
pub(super) fn serve(mut link: impl Link) -> anyhow::Result<()> {
    let (mut session, mut scanner) = (Session::new(), Scanner::default());
    let mut buffer = vec![0; BUFFER];
    let (mut from, mut to) = (0, 0);
    loop {
        let pending = write(&mut link, &mut session)?;
        if session.is_over() && pending == Pending::Nothing {
            return Ok(());
        }
        if pending == Pending::NoRoom {
            link.wait()?;
        }
        if buffer.len() - to < LEAST_FREE {
            buffer.copy_within(from..to, 0);
            (from, to) = (0, to - from);
        }
        let Some(free) = buffer.get_mut(to..).filter(|free| !free.is_empty()) else {
            anyhow::bail!("a method or header is larger than {BUFFER} octets");
        };
        match link.read(free, pending == Pending::Nothing) {
            Ok(0) => return Ok(()),
            Ok(count) => to += count,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut read = buffer.get(from..to).unwrap_or_default();
        from += session.greet(read)?;
        if session.is_greeted() {
            read = buffer.get(from..to).unwrap_or_default();
            from += scanner.scan(read, &mut session)?;
            session.end_of_batch()?;
        }
        if from == to {
            (from, to) = (0, 0);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pending {
    /// Everything is written.
    Nothing,
    /// A flood goes on, and the socket may have room for it.
    More,
    /// The socket has no room.
    NoRoom,
}

/// Nothing is there, or there is no room, for now.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Writes what there is to write; of a flood, one part.
fn write(link: &mut impl Link, session: &mut Session) -> anyhow::Result<Pending> {
    let mut written = 0;
    loop {
        let octets = session.next()?;
        if octets.is_empty() {
            return Ok(if link.flush()? { Pending::Nothing } else { Pending::NoRoom });
        }
        if written >= BUFFER {
            return Ok(Pending::More);
        }
        match link.write(octets) {
            Ok(count) => {
                session.wrote(count);
                written += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Pending::NoRoom),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
