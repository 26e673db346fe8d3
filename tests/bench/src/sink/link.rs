//! What a connection of the sink reads and writes: a socket, or TLS over it. Each takes as few system calls as it can.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::{ServerConfig, ServerConnection};

/// Octets of plain text that TLS takes before they are encrypted and gone.
const TLS_BUFFER: usize = 256 << 10;

pub(super) trait Link {
    /// Reads what is there; waits for it if `waits`. 0 once the client has gone; an error [would
    /// block](io::ErrorKind::WouldBlock) if nothing is there.
    fn read(&mut self, free: &mut [u8], waits: bool) -> io::Result<usize>;

    /// Takes what there is room for, without waiting.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize>;

    /// Sends what was taken as far as there is room; whether that was all.
    fn flush(&mut self) -> io::Result<bool>;

    /// Waits until there is room, or something to read.
    fn wait(&mut self) -> io::Result<()>;
}

pub(super) struct Plain<'a>(pub(super) &'a TcpStream);

fn read(socket: &TcpStream, free: &mut [u8], waits: bool) -> io::Result<usize> {
    let flags = if waits { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    Ok(recv(socket, free, flags).map(|(_, count)| count)?)
}

fn write(socket: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    Ok(send(socket, octets, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

fn wait(socket: &TcpStream) -> io::Result<()> {
    let mut sockets = [PollFd::new(socket, PollFlags::IN | PollFlags::OUT)];
    match poll(&mut sockets, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Link for Plain<'_> {
    fn read(&mut self, free: &mut [u8], waits: bool) -> io::Result<usize> {
        read(self.0, free, waits)
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        write(self.0, octets)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn wait(&mut self) -> io::Result<()> {
        wait(self.0)
    }
}

pub(super) struct Tls<'a> {
    socket: &'a TcpStream,
    tls: ServerConnection,
    /// The last read took all that it had room for: there may be more that needs no socket.
    has_more: bool,
}

/// The socket, as rustls reads and writes it.
struct Io<'a> {
    socket: &'a TcpStream,
    waits: bool,
}

impl io::Read for Io<'_> {
    fn read(&mut self, free: &mut [u8]) -> io::Result<usize> {
        read(self.socket, free, self.waits)
    }
}

impl io::Write for Io<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        write(self.socket, octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Tls<'a> {
    pub(super) fn new(socket: &'a TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(TLS_BUFFER));
        Ok(Self { socket, tls, has_more: false })
    }
}

impl Link for Tls<'_> {
    fn read(&mut self, free: &mut [u8], waits: bool) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(free) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.has_more = count == free.len();
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
            let everything = self.flush()?;
            let mut io = Io { socket: self.socket, waits: waits && everything };
            if self.tls.read_tls(&mut io)? == 0 {
                return Ok(0);
            }
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = self.tls.writer().write(octets)?;
        self.flush()?;
        match taken {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        let mut io = Io { socket: self.socket, waits: false };
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut io) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn wait(&mut self) -> io::Result<()> {
        if self.has_more { Ok(()) } else { wait(self.socket) }
    }
}
