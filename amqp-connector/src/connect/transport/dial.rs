//! Opening a transport: the places of a broker, one after the other, and what each socket is told.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;
#[cfg(unix)]
use tokio_util::either::Either;

use super::{Socket, Transport};
#[cfg(feature = "__tls")]
use crate::connect::tls::Tls;
use crate::error::{Address, ConnectError, Step};
use crate::recovery::supervisor::{Dial, Dialling, Opening};

/// Where a broker is reached.
#[derive(Clone, Debug)]
pub(in crate::connect) enum Place {
    Tcp(Address),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// All of them, for errors.
fn names(places: &[Place]) -> String {
    let names: Vec<String> = places.iter().map(ToString::to_string).collect();
    names.join(" or ")
}

/// What TCP sockets are told.
#[derive(Clone, Copy, Debug)]
pub(in crate::connect) struct TcpOptions {
    pub(in crate::connect) nodelay: bool,
    pub(in crate::connect) keepalive: Option<Duration>,
    pub(in crate::connect) user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { nodelay: true, keepalive: None, user_timeout: None }
    }
}

impl TcpOptions {
    fn apply(self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(self.nodelay)?;
        let socket = SockRef::from(stream);
        if let Some(idle) = self.keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle))?;
        }
        match self.user_timeout {
            #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
            Some(time) => socket.set_tcp_user_timeout(Some(time)),
            #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "fuchsia")))]
            Some(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this operating system has no TCP user timeout",
            )),
            None => Ok(()),
        }
    }
}

/// All that is needed to open a transport.
struct Way {
    places: Vec<Place>,
    /// What all places but the last have of the step's time, each.
    share: Duration,
    tcp: TcpOptions,
    #[cfg(feature = "__tls")]
    tls: Option<Tls>,
}

/// Tries these places in turn; each time beginning with the next one.
pub(in crate::connect) fn dialling(
    places: Vec<Place>,
    time: Duration,
    tcp: TcpOptions,
    #[cfg(feature = "__tls")] tls: Option<Tls>,
) -> Dial<Transport> {
    let share = time / u32::try_from(places.len()).unwrap_or(u32::MAX).max(1);
    let way = Arc::new(Way {
        places,
        share,
        tcp,
        #[cfg(feature = "__tls")]
        tls,
    });
    let (address, first) = (names(&way.places), AtomicUsize::new(0));
    let open = move || -> Opening<Transport> {
        let (way, first) = (way.clone(), first.fetch_add(1, Ordering::Relaxed));
        Box::pin(async move { way.open(first).await })
    };
    Arc::new(Dialling { address, open: Box::new(open) })
}

impl Way {
    async fn open(&self, first: usize) -> Result<Transport, ConnectError> {
        let count = self.places.len();
        let mut failed = ConnectError::Deadline { step: Step::Transport };
        for at in 0..count {
            let Some(place) = self.places.get(first.wrapping_add(at) % count) else { break };
            let opening = self.open_at(place);
            // The last one has what is left of the step's time.
            let opened = match at + 1 < count {
                true => timeout(self.share, opening).await,
                false => Ok(opening.await),
            };
            failed = match opened {
                Ok(Ok(transport)) => return Ok(transport),
                Ok(Err(error)) => error,
                Err(_) => ConnectError::Io {
                    step: Step::Transport,
                    address: place.to_string(),
                    source: io::ErrorKind::TimedOut.into(),
                },
            };
            tracing::debug!(%place, error = %failed, "a place is not reached");
        }
        Err(match failed {
            // None of them was, which is more than that the last was not.
            ConnectError::Io { step, source, .. } => {
                ConnectError::Io { step, source, address: names(&self.places) }
            }
            failed => failed,
        })
    }

    async fn open_at(&self, place: &Place) -> Result<Transport, ConnectError> {
        let failed =
            |source| ConnectError::Io { step: Step::Transport, address: place.to_string(), source };
        let socket = self.socket(place).await.map_err(failed)?;
        #[cfg(feature = "__tls")]
        if let Some(tls) = &self.tls {
            let host = match place {
                Place::Tcp(address) => address.host.as_str(),
                #[cfg(unix)]
                Place::Unix(_) => "localhost",
            };
            let stream = tls.shake_hands(socket, host).await;
            let tls_failed = |source| ConnectError::Tls { address: place.to_string(), source };
            return stream.map(Transport::tls).map_err(tls_failed);
        }
        Ok(Transport::plain(socket))
    }

    async fn socket(&self, place: &Place) -> io::Result<Socket> {
        match place {
            Place::Tcp(Address { host, port }) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                self.tcp.apply(&stream)?;
                log_reached(place, stream.peer_addr().ok());
                #[cfg(unix)]
                let stream = Either::Left(stream);
                Ok(stream)
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                log_reached(place, None);
                Ok(Either::Right(stream))
            }
        }
    }
}

fn log_reached(place: &Place, peer: Option<SocketAddr>) {
    tracing::debug!(
        %place,
        network.transport = if peer.is_some() { "tcp" } else { "unix" },
        network.peer.address = peer.map(|peer| tracing::field::display(peer.ip())),
        network.peer.port = peer.map(|peer| peer.port()),
        "a place is reached"
    );
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    fn place(port: u16) -> Place {
        Place::Tcp(Address { host: "127.0.0.1".to_owned(), port })
    }

    fn dial(places: Vec<Place>, tcp: TcpOptions) -> Dial<Transport> {
        let time = Duration::from_secs(10);
        #[cfg(not(feature = "__tls"))]
        return dialling(places, time, tcp);
        #[cfg(feature = "__tls")]
        dialling(places, time, tcp, None)
    }

    /// What is below it, there being no TLS.
    fn socket(transport: &Transport) -> &Socket {
        #[cfg(not(feature = "__tls"))]
        return &transport.0;
        #[cfg(feature = "__tls")]
        match &transport.0 {
            Either::Left(socket) => socket,
            Either::Right(stream) => panic!("{stream:?}"),
        }
    }

    fn tcp(transport: &Transport) -> &TcpStream {
        match socket(transport) {
            Either::Left(stream) => stream,
            Either::Right(stream) => panic!("{stream:?}"),
        }
    }

    #[tokio::test]
    async fn sockets_are_told_what_was_set() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let places = vec![place(listener.local_addr().unwrap().port())];
        let seconds = |n| Some(Duration::from_secs(n));
        let set = TcpOptions { nodelay: false, keepalive: seconds(77), user_timeout: seconds(9) };
        for options in [TcpOptions::default(), set] {
            let transport = (dial(places.clone(), options).open)().await.unwrap();
            let socket = SockRef::from(tcp(&transport));
            assert_eq!(socket.tcp_nodelay().unwrap(), options.nodelay);
            assert_eq!(socket.keepalive().unwrap(), options.keepalive.is_some());
            if let Some(idle) = options.keepalive {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);
            }
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), options.user_timeout);
        }
    }

    #[tokio::test]
    async fn large_bodies_need_no_copy_on_any_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let places = vec![place(listener.local_addr().unwrap().port())];
        let transport = (dial(places, TcpOptions::default()).open)().await.unwrap();
        assert!(tokio::io::AsyncWrite::is_write_vectored(&transport));
    }

    #[tokio::test]
    async fn places_are_tried_in_turn_beginning_with_the_next_each_time() {
        let (one, other) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let (first, last) = (port(&one), port(&other));
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            port(&listener)
        };
        let places = vec![place(first), place(closed), place(last)];
        let dial = dial(places, TcpOptions::default());
        let mut reached = Vec::new();
        for _ in 0..4 {
            let transport = (dial.open)().await.unwrap();
            reached.push(tcp(&transport).peer_addr().unwrap().port());
        }
        assert_eq!(reached, [first, last, last, first], "the second one is closed");
        drop((one, other));
        let error = (dial.open)().await.unwrap_err().to_string();
        let names = format!("127.0.0.1:{first} or 127.0.0.1:{closed} or 127.0.0.1:{last}");
        assert!(error.contains(&names), "{error}");
    }

    #[tokio::test]
    async fn a_unix_socket_is_reached_by_its_path() {
        let path = std::env::temp_dir().join(format!("amqp-dial-{}.socket", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let places = vec![Place::Unix(path.clone())];
        let opened = (dial(places.clone(), TcpOptions::default()).open)().await;
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(socket(&opened.unwrap()), Either::Right(_)));
        drop(listener);
        let error = (dial(places, TcpOptions::default()).open)().await.unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
