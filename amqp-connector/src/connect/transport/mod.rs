//! What carries the octets of a connection that a [`Connector`](crate::Connector) opens by itself, and how it is opened.
//!
//! `dial` tries the places of a broker in turn. What is the program's own transport does not come here.

mod dial;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

pub(super) use dial::{Place, TcpOptions, dialling, names};

/// What carries the octets to a broker: TCP or a Unix socket, with TLS over it or without. Made by
/// [`Connector::connect`](crate::Connector::connect).
#[derive(Debug)]
pub struct Transport(Carrier);

#[derive(Debug)]
enum Carrier {
    Plain(Socket),
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<Socket>>),
}

/// What the operating system gives.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Transport {
    fn plain(socket: Socket) -> Self {
        Self(Carrier::Plain(socket))
    }

    #[cfg(feature = "rustls")]
    fn tls(stream: tokio_rustls::client::TlsStream<Socket>) -> Self {
        Self(Carrier::Tls(Box::new(stream)))
    }

    /// Whether TLS protects what goes over it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        !matches!(self.0, Carrier::Plain(_))
    }
}

/// Runs a method of whichever stream is inside.
macro_rules! each {
    ($this:expr, $stream:ident => $call:expr) => {
        match &mut $this.get_mut().0 {
            Carrier::Plain(Socket::Tcp($stream)) => $call,
            #[cfg(unix)]
            Carrier::Plain(Socket::Unix($stream)) => $call,
            #[cfg(feature = "rustls")]
            Carrier::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, octets))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        // All of them do: a large body is not copied to stand behind its header.
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// Below TLS.
#[cfg(feature = "rustls")]
mod below {
    use super::*;

    macro_rules! either {
        ($this:expr, $stream:ident => $call:expr) => {
            match $this.get_mut() {
                Socket::Tcp($stream) => $call,
                #[cfg(unix)]
                Socket::Unix($stream) => $call,
            }
        };
    }

    impl AsyncRead for Socket {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            either!(self, stream => Pin::new(stream).poll_read(cx, buf))
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            octets: &[u8],
        ) -> Poll<io::Result<usize>> {
            either!(self, stream => Pin::new(stream).poll_write(cx, octets))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            either!(self, stream => Pin::new(stream).poll_flush(cx))
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            either!(self, stream => Pin::new(stream).poll_shutdown(cx))
        }
    }
}
