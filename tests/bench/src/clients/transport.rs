//! How a [`Wire`](super::wire::Wire) reads and writes its socket: blocking, or asking the kernel first as an
//! event-driven client has to.
//!
//! Both move the same octets in the same pieces; they differ by the system calls alone. Nothing here may
//! know what the octets are. Every wait has a deadline.

use std::cell::OnceCell;
use std::io::{IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use rustix::io::{Errno, writev};
use rustix::net::{RecvFlags, recv};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// How long the peer may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connected socket.
pub(super) trait Transport: Sized + Send + 'static {
    /// What the floor is called on top of it.
    const FLOOR: &'static str;

    /// Takes the socket over.
    fn new(socket: TcpStream) -> Result<Self>;

    /// Waits for octets and reads what is there; 0 once the peer has gone.
    fn read(&mut self, free: &mut [u8]) -> Result<usize>;

    /// Writes it all.
    fn write(&mut self, octets: &[u8]) -> Result<()>;
}

/// A read that waits, a write that waits.
pub(super) struct Blocking(TcpStream);

impl Transport for Blocking {
    const FLOOR: &'static str = "floor";

    fn new(socket: TcpStream) -> Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    fn read(&mut self, free: &mut [u8]) -> Result<usize> {
        Ok(self.0.read(free)?)
    }

    fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.0.write_all(octets)?)
    }
}

/// A bare stream of rustls over the same, which believes everybody.
pub(super) struct BlockingTls(Box<StreamOwned<ClientConnection, TcpStream>>);

impl Transport for BlockingTls {
    const FLOOR: &'static str = "floor";

    fn new(socket: TcpStream) -> Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions()?.dangerous();
        let builder = builder.with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        let name = ServerName::try_from("localhost")?;
        let tls = ClientConnection::new(Arc::new(builder.with_no_client_auth()), name)?;
        Ok(Self(Box::new(StreamOwned::new(tls, socket))))
    }

    fn read(&mut self, free: &mut [u8]) -> Result<usize> {
        Ok(self.0.read(free)?)
    }

    fn write(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.0.write_all(octets)?)
    }
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The calls that tokio makes for a client on one thread: a write is tried at once, a read is one that epoll
/// has announced, and a read that leaves room has emptied the socket, so that the next one waits again
/// without trying.
pub(super) struct Epoll {
    socket: TcpStream,
    epoll: Arc<OwnedFd>,
    is_readable: bool,
    is_writable: bool,
}

thread_local! {
    /// One for all connections of the thread, as a runtime has it.
    static EPOLL: OnceCell<Arc<OwnedFd>> = const { OnceCell::new() };
}

fn shared_epoll() -> Result<Arc<OwnedFd>> {
    EPOLL.with(|cell| {
        if let Some(epoll) = cell.get() {
            return Ok(Arc::clone(epoll));
        }
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        Ok(Arc::clone(cell.get_or_init(|| epoll)))
    })
}

impl Transport for Epoll {
    const FLOOR: &'static str = "floor-epoll";

    fn new(socket: TcpStream) -> Result<Self> {
        use epoll::EventFlags as Flags;
        socket.set_nonblocking(true)?;
        let this = Self { socket, epoll: shared_epoll()?, is_readable: false, is_writable: true };
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        epoll::add(&this.epoll, &this.socket, this.token()?, flags)?;
        Ok(this)
    }

    fn read(&mut self, free: &mut [u8]) -> Result<usize> {
        loop {
            while !self.is_readable {
                self.wait()?;
            }
            match recv(&self.socket, &mut *free, RecvFlags::empty()) {
                Ok((_, count)) => {
                    self.is_readable = count == free.len();
                    return Ok(count);
                }
                Err(Errno::AGAIN) => self.is_readable = false,
                Err(Errno::INTR) => {}
                Err(error) => bail!(error),
            }
        }
    }

    fn write(&mut self, mut octets: &[u8]) -> Result<()> {
        while !octets.is_empty() {
            while !self.is_writable {
                self.wait()?;
            }
            match writev(&self.socket, &[IoSlice::new(octets)]) {
                Ok(count) => {
                    octets = octets.get(count..).unwrap_or_default();
                    self.is_writable = octets.is_empty();
                }
                Err(Errno::AGAIN) => self.is_writable = false,
                Err(Errno::INTR) => {}
                Err(error) => bail!(error),
            }
        }
        Ok(())
    }
}

impl Epoll {
    fn token(&self) -> Result<epoll::EventData> {
        Ok(epoll::EventData::new_u64(u64::try_from(self.socket.as_raw_fd())?))
    }

    /// Waits until the kernel says that something may be done, whatever it is.
    fn wait(&mut self) -> Result<()> {
        use epoll::EventFlags as Flags;
        let nothing = epoll::Event { flags: Flags::empty(), data: epoll::EventData::new_u64(0) };
        let mut events = [nothing; 8];
        let patience = Timespec::try_from(PATIENCE).context("a timeout")?;
        let count = match epoll::wait(&self.epoll, &mut events, Some(&patience)) {
            Err(Errno::INTR) => return Ok(()),
            result => result?,
        };
        ensure!(count > 0, "nothing has happened for {PATIENCE:?}");
        for event in events.iter().take(count) {
            let epoll::Event { flags, data } = *event;
            // Announced once only: to let it pass would lose it. No case waits for two connections.
            ensure!(data.u64() == self.token()?.u64(), "another connection has got something");
            let is_over = flags.intersects(Flags::HUP | Flags::ERR);
            self.is_readable |= is_over || flags.intersects(Flags::IN | Flags::RDHUP);
            self.is_writable |= is_over || flags.contains(Flags::OUT);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn epoll_transport_moves_more_than_the_socket_holds_and_sees_the_end() {
        const SIZE: usize = 32 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours =
            Epoll::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        let mut theirs = listener.accept().unwrap().0;
        let echo = std::thread::spawn(move || {
            let mut octets = vec![0; SIZE];
            theirs.read_exact(&mut octets).unwrap();
            theirs.write_all(&octets).unwrap();
        });
        let sent: Vec<u8> = (0..SIZE).map(|n| n.to_be_bytes()[7]).collect();
        ours.write(&sent).unwrap();
        let (mut got, mut free) = (Vec::new(), vec![0; 70_000]);
        loop {
            let count = ours.read(&mut free).unwrap();
            if count == 0 {
                break;
            }
            got.extend_from_slice(&free[..count]);
        }
        assert!(got == sent, "{} octets came back", got.len());
        echo.join().unwrap();
    }
}
