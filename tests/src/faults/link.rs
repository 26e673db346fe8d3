//! One client's way to the broker: a proxy on loopback for each node, which can be cut, reset and silenced.
//!
//! Only the octets that go through are touched, by nothing but their end; so whatever the client makes of it is what it would
//! make of a network.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How a link breaks. Connections made afterwards pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Both sides see the end of the stream.
    Cut,
    /// Both sides see a reset, and lose what was on its way.
    Reset,
    /// Nothing passes any more in either direction, while the sockets stay open: only heartbeats can tell.
    Silence,
}

/// A way to one or several nodes.
#[derive(Debug)]
pub struct Link {
    ways: Vec<Way>,
    breaks: watch::Sender<(u64, Break)>,
}

/// The way to one node.
#[derive(Debug)]
struct Way {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Link {
    /// A way to each of these places, on a port of its own.
    ///
    /// # Errors
    ///
    /// If the ports cannot be had.
    pub async fn to(places: &[(String, u16)]) -> io::Result<Self> {
        let (breaks, told) = watch::channel((0, Break::Cut));
        // A connection that was silenced is held until the client comes anew, by whatever way.
        let (comes, _) = watch::channel(0);
        let mut ways = Vec::new();
        for place in places {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = listener.local_addr()?.port();
            let accepting =
                tokio::spawn(accept(listener, place.clone(), told.clone(), comes.clone()));
            ways.push(Way { port, accepting });
        }
        Ok(Self { ways, breaks })
    }

    /// The ports to connect to on 127.0.0.1, one for each place.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ways.iter().map(|way| way.port)
    }

    /// Breaks all connections that there are.
    pub fn fail(&self, how: Break) {
        self.breaks.send_modify(|(count, last)| {
            *count += 1;
            *last = how;
        });
    }
}

async fn accept(
    listener: TcpListener,
    place: (String, u16),
    told: watch::Receiver<(u64, Break)>,
    comes: watch::Sender<u64>,
) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((client, _)) = client else {
            // Out of files, perhaps: not at once again.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        comes.send_modify(|count| *count += 1);
        let (mut told, mut comes) = (told.clone(), comes.subscribe());
        // What comes from here on is about this connection too.
        told.mark_unchanged();
        comes.mark_unchanged();
        let place = place.clone();
        connections.spawn(async move {
            // A node that is down: the client sees the end of the stream.
            let Ok(broker) = TcpStream::connect((place.0.as_str(), place.1)).await else { return };
            pass(client, broker, told, comes).await;
        });
    }
}

/// Lets octets pass until either side ends or the link breaks.
async fn pass(
    mut client: TcpStream,
    mut broker: TcpStream,
    mut told: watch::Receiver<(u64, Break)>,
    mut comes: watch::Receiver<u64>,
) {
    // As the client has it: what is small is not kept back.
    let _ = client.set_nodelay(true);
    let _ = broker.set_nodelay(true);
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut broker) => return,
        changed = told.changed() => if changed.is_err() { return },
    }
    let (_, how) = *told.borrow_and_update();
    match how {
        Break::Cut => {
            // Either may have gone meanwhile.
            let _ = client.shutdown().await;
            let _ = broker.shutdown().await;
        }
        Break::Reset => {
            for stream in [&client, &broker] {
                let _ = stream.set_zero_linger();
            }
        }
        Break::Silence => {
            let _ = comes.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// A link to a listener, a connection by it, and the listener's end of that.
    async fn linked() -> (Link, TcpStream, TcpStream, TcpListener) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Link::to(&[("127.0.0.1".to_owned(), port)]).await.unwrap();
        let mut near = dial(&link).await;
        let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
        near.write_all(b"there").await.unwrap();
        far.write_all(b"back").await.unwrap();
        let (mut there, mut back) = ([0; 5], [0; 4]);
        timeout(SOON, far.read_exact(&mut there)).await.unwrap().unwrap();
        timeout(SOON, near.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!((&there, &back), (b"there", b"back"));
        (link, near, far, listener)
    }

    async fn dial(link: &Link) -> TcpStream {
        let port = link.ports().next().unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap()
    }

    #[tokio::test]
    async fn a_cut_is_the_end_of_both_streams() {
        let (link, mut near, mut far, _) = linked().await;
        link.fail(Break::Cut);
        for end in [&mut near, &mut far] {
            assert_eq!(timeout(SOON, end.read(&mut [0])).await.unwrap().unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_reset_is_one_on_both_sides() {
        let (link, mut near, mut far, _) = linked().await;
        link.fail(Break::Reset);
        for end in [&mut near, &mut far] {
            let error = timeout(SOON, end.read(&mut [0])).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }

    #[tokio::test]
    async fn silence_holds_both_sides_open_until_the_client_comes_anew() {
        let (link, mut near, mut far, listener) = linked().await;
        link.fail(Break::Silence);
        // The proxy has heard of it once the next connection passes, which is not silenced.
        near.write_all(b"unheard").await.unwrap();
        for end in [&mut near, &mut far] {
            let silent = timeout(Duration::from_millis(200), end.read(&mut [0])).await;
            assert!(silent.is_err(), "{silent:?}");
        }
        let mut again = dial(&link).await;
        let (mut other, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
        again.write_all(b"!").await.unwrap();
        timeout(SOON, other.read_exact(&mut [0])).await.unwrap().unwrap();
        let ended = timeout(SOON, far.read(&mut [0])).await.expect("it is let go of");
        assert!(!matches!(ended, Ok(n) if n > 0), "{ended:?}");
    }

    #[tokio::test]
    async fn where_nobody_listens_the_stream_ends_at_once() {
        let (link, _near, _far, listener) = linked().await;
        drop(listener);
        let mut stream = dial(&link).await;
        let ended = timeout(SOON, stream.read(&mut [0])).await.unwrap();
        assert!(!matches!(ended, Ok(n) if n > 0), "{ended:?}");
    }
}
