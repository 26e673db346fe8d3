//! What the peer sees of the client: octets put together to methods and contents, and checked.
//!
//! Used by [`Peer`](super::Peer). Knows the rules that bind a client, and no script. Does no I/O.

use std::collections::BTreeMap;
use std::fmt;

use amqp_types::content::{Assembler, Incoming};
use amqp_types::frame::{Frame, FrameKind, OVERHEAD};
use amqp_types::protocol::{
    self, FRAMING, Method, PROTOCOL_HEADER, Properties, Spec, channel, connection,
};
use amqp_types::wire::{Limits, Writer};
use amqp_types::{AnyMethod, Body};
use bytes::{Buf, BytesMut};

/// One thing that the client did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "short-lived")]
pub enum Event {
    /// It sent a protocol header.
    ProtocolHeader([u8; 8]),
    /// It sent a method without content.
    Method {
        /// The channel.
        channel: u16,
        /// The method.
        method: Method,
    },
    /// It sent a method with its content.
    Content {
        /// The channel.
        channel: u16,
        /// The method.
        method: Method,
        /// The content's properties.
        properties: Properties,
        /// The content's body.
        body: Body,
    },
    /// It sent a heartbeat.
    Heartbeat,
    /// It ended the transport.
    End,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolHeader(header) => write!(f, "the protocol header {header:?}"),
            Self::Method { channel, method } => {
                write!(f, "{} on channel {channel}: {method:?}", method.info().full_name)
            }
            Self::Content { channel, method, body, .. } => {
                let (name, octets) = (method.info().full_name, body.len());
                write!(f, "{name} with {octets} octets on channel {channel}: {method:?}")
            }
            Self::Heartbeat => f.write_str("a heartbeat"),
            Self::End => f.write_str("the end of the transport"),
        }
    }
}

/// A rule of the protocol that the client broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    text: String,
    truncated: bool,
}

impl WireError {
    /// Whether all that is wrong is that the transport ended within a frame.
    #[must_use]
    pub fn is_truncation(&self) -> bool {
        self.truncated
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for WireError {}

fn broken<T>(text: impl Into<String>) -> Result<T, WireError> {
    Err(WireError { text: text.into(), truncated: false })
}

/// A channel as the server knows it.
struct ChannelView {
    assembler: Assembler<Spec>,
    /// The server has closed it, the client has not answered yet: anything may still be on its way.
    closed_by_us: bool,
    /// The client has closed it, the server has not answered yet: only an answer to our close may come.
    closed_by_client: bool,
}

impl Default for ChannelView {
    /// One that reads whatever a client may be told to send.
    fn default() -> Self {
        Self {
            assembler: Assembler::new().with_limits(Limits::GREATEST),
            closed_by_us: false,
            closed_by_client: false,
        }
    }
}

/// The inbound side of a server.
pub(crate) struct Observer {
    buffer: BytesMut,
    greeted: bool,
    frame_max: u32,
    channels: BTreeMap<u16, ChannelView>,
    closed_by_client: bool,
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            greeted: false,
            frame_max: FRAMING.min_size,
            channels: BTreeMap::new(),
            closed_by_client: false,
        }
    }

    /// Where octets from the transport are put.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Channels that the client has open.
    pub(crate) fn open_channels(&self) -> usize {
        self.channels.len()
    }

    /// The next thing that the octets so far tell of.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, WireError> {
        if !self.greeted {
            let Some(header) = self.buffer.first_chunk::<8>().copied() else { return Ok(None) };
            self.buffer.advance(header.len());
            self.greeted = true;
            return match header == PROTOCOL_HEADER {
                true => Ok(Some(Event::ProtocolHeader(header))),
                false => broken(format!("{header:?} is not the protocol header")),
            };
        }
        loop {
            let frame = match FRAMING.decode(&mut self.buffer, self.frame_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(error) => return broken(format!("no frame: {error}")),
            };
            if frame.kind == FrameKind::Heartbeat {
                return Ok(Some(Event::Heartbeat));
            }
            if self.closed_by_client {
                let close_ok = Method::decode(&frame.payload).is_ok_and(|method| {
                    matches!(method, Method::Connection(connection::Method::CloseOk(_)))
                });
                if !close_ok {
                    let Frame { kind, channel, payload } = frame;
                    let octets = payload.len();
                    return broken(format!(
                        "a {kind:?} frame of {octets} octets on channel {channel} after connection.close"
                    ));
                }
            }
            if let Some(event) = self.take(frame)? {
                self.note(&event)?;
                return Ok(Some(event));
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Event>, WireError> {
        let (id, kind) = (frame.channel, frame.kind);
        if kind == FrameKind::Body && frame.payload.is_empty() {
            return broken(format!("an empty body frame on channel {id}"));
        }
        if id == 0 || !self.channels.contains_key(&id) {
            let opening = Method::decode(&frame.payload).is_ok_and(|method| {
                kind == FrameKind::Method
                    && matches!(method, Method::Channel(channel::Method::Open(_)))
            });
            if id != 0 && !opening {
                return broken(format!("a {kind:?} frame on channel {id}, which is not open"));
            }
            self.channels.entry(id).or_default();
        }
        let view = self.channels.entry(id).or_default();
        let incoming = match view.assembler.push(frame) {
            Ok(incoming) => incoming,
            Err(error) => return broken(format!("channel {id}: {error}")),
        };
        Ok(incoming.map(|incoming| match incoming {
            Incoming::Method(method) => Event::Method { channel: id, method },
            Incoming::Content { method, properties, body } => {
                Event::Content { channel: id, method, properties, body }
            }
        }))
    }

    /// What the client's methods change in what may follow.
    fn note(&mut self, event: &Event) -> Result<(), WireError> {
        let (id, method) = match event {
            Event::Method { channel, method } | Event::Content { channel, method, .. } => {
                (*channel, method)
            }
            _ => return Ok(()),
        };
        if !method.info().from_client {
            return broken(format!("{} is not a client's to send", method.info().full_name));
        }
        match method {
            Method::Connection(connection::Method::TuneOk(tune)) => {
                self.frame_max = if tune.frame_max == 0 { u32::MAX } else { tune.frame_max };
            }
            Method::Connection(connection::Method::Close(_)) => self.closed_by_client = true,
            _ => {}
        }
        let Some(view) = self.channels.get_mut(&id).filter(|_| id != 0) else { return Ok(()) };
        let name = method.info().full_name;
        match method {
            Method::Channel(channel::Method::CloseOk(_)) if view.closed_by_us => {
                view.closed_by_us = false;
                if !view.closed_by_client {
                    self.channels.remove(&id);
                }
            }
            Method::Channel(channel::Method::CloseOk(_)) => {
                return broken(format!("channel.close-ok on channel {id}, which was not closed"));
            }
            _ if view.closed_by_client => {
                return broken(format!("{name} on channel {id} after channel.close"));
            }
            Method::Channel(channel::Method::Close(_)) => view.closed_by_client = true,
            _ => {}
        }
        Ok(())
    }

    /// What the server's own methods change.
    pub(crate) fn sent(&mut self, id: u16, method: &Method) {
        let Some(view) = self.channels.get_mut(&id).filter(|_| id != 0) else { return };
        match method {
            Method::Channel(channel::Method::Close(_)) => view.closed_by_us = true,
            Method::Channel(channel::Method::CloseOk(_)) if view.closed_by_client => {
                view.closed_by_client = false;
                if !view.closed_by_us {
                    self.channels.remove(&id);
                }
            }
            _ => {}
        }
    }

    /// Whether the transport may end here: not in the middle of a frame.
    pub(crate) fn at_end(&self) -> Result<(), WireError> {
        match self.buffer.len() {
            0 => Ok(()),
            left => {
                let text = format!("the transport ended {left} octets into a frame");
                Err(WireError { text, truncated: true })
            }
        }
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max
    }
}

/// A method frame.
pub(crate) fn method_frame<M: AnyMethod>(buffer: &mut BytesMut, channel: u16, method: &M) {
    let mut writer = Writer::new(buffer).with_limits(Limits::GREATEST);
    let encoded =
        FRAMING.write(&mut writer, FrameKind::Method, channel, u32::MAX, |w| method.encode(w));
    if let Err(error) = encoded {
        panic!("{method:?} cannot be sent: {error}");
    }
}

/// The header and body frames of a content.
pub(crate) fn content_frames<P: amqp_types::Properties>(
    buffer: &mut BytesMut,
    channel: u16,
    properties: &P,
    body: &[u8],
    frame_max: u32,
) {
    let mut writer = Writer::new(buffer).with_limits(Limits::GREATEST);
    let encoded = FRAMING.write(&mut writer, FrameKind::Header, channel, u32::MAX, |w| {
        amqp_types::content::ContentHeader::write(properties, body.len() as u64, w)
    });
    if let Err(error) = encoded {
        panic!("{properties:?} cannot be sent: {error}");
    }
    writer.finish();
    let room = usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(OVERHEAD).max(1);
    for piece in body.chunks(room) {
        if let Err(error) = FRAMING.put(FrameKind::Body, channel, piece, buffer) {
            panic!("a body frame cannot be sent: {error}");
        }
    }
}

/// The specification's own reply to `request`, with every argument zero, if it has one.
pub(crate) fn default_reply(request: &Method) -> Option<amqp_types::reflect::DynamicMethod> {
    let info = request.info();
    let name = info.responses.first()?;
    protocol::INFO.method(info.class, name).map(amqp_types::reflect::DynamicMethod::new)
}
