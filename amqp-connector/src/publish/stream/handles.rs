//! Where streamed publishes begin: the operations of [`Connection`] and [`Channel`].

use std::future::Future;
use std::panic::Location;

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::AsyncRead;

use super::{BasicPublishStream, Pieces, Reads, Source, SourceError, publish, publish_in_tx};
use crate::channel::Channel;
use crate::connection::Connection;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::publish::Confirmation;

/// Octets of a frame that are not the body's.
const ENVELOPE: usize = amqp_types::frame::OVERHEAD;

impl Connection {
    /// Publishes a message whose body comes piece by piece and is never held whole, in a transaction on a
    /// channel of its own (`channel.open`, `tx.select`, `basic.publish`, `tx.commit`, `channel.close`). Resolves
    /// when it is committed, to [`Outcome::Acked`], or to [`Outcome::Returned`] for a mandatory message without
    /// a queue; the channel is closed in the background.
    ///
    /// The source is polled while there is room for a piece: [`Options::outbound_budget`](crate::Options) and
    /// the broker's pace hold it back. Other channels and heartbeats go on meanwhile. It has to give exactly as
    /// many octets as were promised, and then to end.
    ///
    /// ```no_run
    /// # async fn run(connection: amqp_connector::Connection) -> Result<(), Box<dyn std::error::Error>> {
    /// use amqp_connector::BasicPublishStream;
    /// use tokio::io::AsyncReadExt as _;
    ///
    /// let socket = tokio::net::TcpStream::connect("camera:80").await?;
    /// let publish = BasicPublishStream::new("", "films", 1 << 30);
    /// connection.publish_reader(publish, socket.take(1 << 30)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `StreamBroken` if the source fails, stalls, ends too early or gives too much: then, and when the future is
    /// dropped, nobody will ever see the message. What is missing of its body is made up with zeros, and its
    /// channel closed without a commit; if more is missing than
    /// [`Options::padding_max`](crate::Options::padding_max), the connection is closed, for
    /// [`CloseCause::StreamBroken`](crate::CloseCause::StreamBroken). `Unsupported` where the specification has no
    /// `tx.select`; `Invalid` for a name over 255 octets and for properties that do not fit a frame; `Timeout`
    /// if the broker leaves a call unanswered: after that of `tx.commit` the message may be there, whole. `Blocked`
    /// where [`Options::publish_while_blocked`](crate::Options::publish_while_blocked) says so: while the broker blocks
    /// publishing nothing is sent, and a publish under way is given up if no more is missing than may be made up; its
    /// calls do what [`Options::call_while_blocked`](crate::Options::call_while_blocked) says. The reason why the
    /// channel or connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the whole body was given, the message is never seen; dropped while the commit is awaited,
    /// it may be there, whole. That needs no runtime and no task.
    #[track_caller]
    pub fn publish_stream<S, E>(
        &self,
        publish: BasicPublishStream,
        source: S,
    ) -> impl Future<Output = Result<Outcome>> + Send + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<SourceError>,
    {
        let source = Pieces(Box::pin(source));
        self.publish_source(publish, source)
    }

    /// As [`publish_stream`](Self::publish_stream), from a reader, which has to end after the promised octets:
    /// one that goes on is cut by [`take`](tokio::io::AsyncReadExt::take). It is read in pieces that fill a
    /// frame, which are not copied any more.
    ///
    /// # Errors
    ///
    /// As [`publish_stream`](Self::publish_stream).
    ///
    /// # Cancel safety
    ///
    /// As [`publish_stream`](Self::publish_stream).
    #[track_caller]
    pub fn publish_reader<R>(
        &self,
        publish: BasicPublishStream,
        reader: R,
    ) -> impl Future<Output = Result<Outcome>> + Send + use<R>
    where
        R: AsyncRead + Send,
    {
        let size = self.tuning().frame_max as usize;
        let source = Reads::new(reader, size.saturating_sub(ENVELOPE).max(1));
        self.publish_source(publish, source)
    }

    #[track_caller]
    fn publish_source<S: Source + Send>(
        &self,
        publish: BasicPublishStream,
        source: S,
    ) -> impl Future<Output = Result<Outcome>> + Send + use<S> {
        let (handle, opening) = (self.handle().clone(), self.channel_open());
        publish_in_tx(handle, opening, publish, source, Location::caller())
    }
}

impl Channel {
    /// Publishes a message whose body comes piece by piece, on this channel. Prefer
    /// [`Connection::publish_stream`], which has a transaction and a channel of its own: here **a source that
    /// breaks its promise ends the whole connection**, unless this channel is in a transaction (`tx.select`).
    ///
    /// Resolves when all of the body is accepted for sending, to the [`Confirmation`] of its outcome. Till then
    /// the channel belongs to this publish: calls and publishes on it fail with `Busy`. What nothing answers, as
    /// settling deliveries, and what the library sends by itself is held back till the body is through.
    ///
    /// Whatever else would close this channel meanwhile ends the connection in the same manner: a consumer of streamed
    /// bodies on it, for one, that leaves [too much unread](crate::StreamConsumer).
    ///
    /// # Errors
    ///
    /// As [`Connection::publish_stream`]. `StreamBroken`, and a future that is dropped after its first piece was
    /// sent, closes the channel without a commit if it is in a transaction and no more is missing than
    /// [`Options::padding_max`](crate::Options::padding_max); otherwise the connection, since what was sent
    /// cannot be taken back. Closing the channel meanwhile does the same. `Invalid` for a mandatory message on a
    /// channel in confirm mode, `Busy` if another streamed publish owns the channel. `Blocked` while the broker blocks
    /// publishing and [`Options::publish_while_blocked`](crate::Options::publish_while_blocked) says so; once
    /// something was sent it waits all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the message is never seen; see the errors above.
    #[track_caller]
    pub fn basic_publish_stream<S, E>(
        &self,
        publish: BasicPublishStream,
        source: S,
    ) -> impl Future<Output = Result<Confirmation>> + Send + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<SourceError>,
    {
        let source = Pieces(Box::pin(source));
        self::publish(self.handle().clone(), publish, source, false, Location::caller())
    }

    /// As [`basic_publish_stream`](Self::basic_publish_stream), from a reader; see
    /// [`Connection::publish_reader`].
    ///
    /// # Errors
    ///
    /// As [`basic_publish_stream`](Self::basic_publish_stream).
    ///
    /// # Cancel safety
    ///
    /// As [`basic_publish_stream`](Self::basic_publish_stream).
    #[track_caller]
    pub fn basic_publish_reader<R>(
        &self,
        publish: BasicPublishStream,
        reader: R,
    ) -> impl Future<Output = Result<Confirmation>> + Send + use<R>
    where
        R: AsyncRead + Send,
    {
        let size = self.handle().shared().with(|session| session.tuning()).frame_max as usize;
        let source = Reads::new(reader, size.saturating_sub(ENVELOPE).max(1));
        self::publish(self.handle().clone(), publish, source, false, Location::caller())
    }
}
