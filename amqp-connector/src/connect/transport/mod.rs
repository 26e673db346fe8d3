//! What carries the octets of a connection that a [`Connector`](crate::Connector) opens by itself, and how it is opened.
//!
//! `dial` tries the places of a broker in turn. What is the program's own transport does not come here.

mod dial;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(any(unix, feature = "__tls"))]
use tokio_util::either::Either;

#[cfg(feature = "__tls")]
use crate::connect::tls;
pub(super) use dial::{Place, TcpOptions, dialling};

/// What the operating system gives.
#[cfg(unix)]
pub(super) type Socket = Either<TcpStream, tokio::net::UnixStream>;
#[cfg(not(unix))]
pub(super) type Socket = TcpStream;

#[cfg(feature = "__tls")]
type Carrier = Either<Socket, Box<tls::Stream>>;
#[cfg(not(feature = "__tls"))]
type Carrier = Socket;

/// What carries the octets to a broker: TCP or a Unix socket, with TLS over it or without. Made by
/// [`Connector::connect`](crate::Connector::connect).
#[derive(Debug)]
pub struct Transport(Carrier);

impl Transport {
    fn plain(socket: Socket) -> Self {
        #[cfg(feature = "__tls")]
        let socket = Either::Left(socket);
        Self(socket)
    }

    #[cfg(feature = "__tls")]
    fn tls(stream: tls::Stream) -> Self {
        Self(Either::Right(Box::new(stream)))
    }
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    #[inline]
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
