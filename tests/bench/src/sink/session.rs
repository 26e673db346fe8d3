//! What one connection of the sink does with the frames that come: publishes and acks are looked at where
//! they lie, [`answers`](super::answers) has every other method.
//!
//! Called by the connection's thread; does no I/O.

use amqp_types::frame::FrameKind;
use amqp_types::protocol::{FRAMING, Method, PROTOCOL_HEADER, Spec, basic, connection};
use amqp_types::{AnyMethod as _, ShortStr};
use bytes::{Bytes, BytesMut};

use super::channel::{Channels, Echo};
use super::flood::Floods;
use super::scanner::{Receiver, Wrong, wrong};
use crate::cases::ECHO;
use crate::frames;

/// The largest frame that the sink offers.
pub(super) const FRAME_MAX: u32 = 131_072;

/// One connection's state.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) channels: Channels,
    pub(super) floods: Floods,
    /// Octets to write.
    out: BytesMut,
    greeted: bool,
    pub(super) over: bool,
    pub(super) frame_max: usize,
    /// Each publish is confirmed by itself.
    pub(super) each: bool,
    /// Channels with publishes to confirm at the end of the batch.
    due: Vec<u16>,
    /// Contents received.
    pub(super) received: u64,
    /// The consumer of queue `echo`.
    pub(super) echo: Option<(u16, ShortStr)>,
    /// For names that the server chooses.
    pub(super) names: u64,
}

/// A method's class and number, as its frame begins.
const fn id<M: amqp_types::Method>() -> u32 {
    (M::CLASS_ID as u32) << 16 | M::METHOD_ID as u32
}

const PUBLISH: u32 = id::<basic::Publish>();
const ACK: u32 = id::<basic::Ack>();

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            channels: Channels::default(),
            floods: Floods::default(),
            out: BytesMut::new(),
            greeted: false,
            over: false,
            frame_max: FRAME_MAX as usize,
            each: false,
            due: Vec::new(),
            received: 0,
            echo: None,
            names: 0,
        }
    }

    /// Takes the protocol header off the front of what was read, and tells how long it was: 0 if it has
    /// been there before or is not there in full.
    pub(crate) fn greet(&mut self, octets: &[u8]) -> Result<usize, Wrong> {
        match octets.first_chunk() {
            Some(header) if !self.greeted => {
                if *header != PROTOCOL_HEADER {
                    return wrong(format!("{header:?} is not the protocol header"));
                }
                self.greeted = true;
                let start = connection::Start {
                    version_major: 0,
                    version_minor: 9,
                    server_properties: super::server_properties(),
                    mechanisms: Bytes::from_static(b"PLAIN AMQPLAIN"),
                    locales: Bytes::from_static(b"en_US"),
                };
                self.answer(0, &start)?;
                Ok(header.len())
            }
            _ => Ok(0),
        }
    }

    /// Whether the protocol header has come.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Whether the connection has been closed by protocol; nothing is read any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// After each batch of frames: confirms what came in it.
    pub(crate) fn end_of_batch(&mut self) -> Result<(), Wrong> {
        for id in std::mem::take(&mut self.due) {
            let channel = self.channels.get(id);
            channel.due = false;
            let ack = basic::Ack { delivery_tag: channel.published, multiple: true };
            self.answer(id, &ack)?;
        }
        Ok(())
    }

    /// What is to be written next.
    pub(crate) fn next(&mut self) -> Result<&[u8], Wrong> {
        if !self.out.is_empty() && !self.floods.is_within_chunk() {
            return Ok(&self.out);
        }
        self.floods.next(&mut self.channels).map_err(|error| Wrong(error.to_string()))
    }

    /// So many octets of what [`next`](Self::next) gave were written.
    pub(crate) fn wrote(&mut self, octets: usize) {
        if self.floods.is_within_chunk() {
            self.floods.wrote(octets);
        } else if octets == self.out.len() {
            // Keeps its memory.
            self.out.clear();
        } else {
            drop(self.out.split_to(octets));
        }
    }

    pub(super) fn answer<M: amqp_types::Method<Protocol = Spec>>(
        &mut self,
        channel: u16,
        method: &M,
    ) -> Result<(), Wrong> {
        frames::method(&mut self.out, channel, method).map_err(|error| Wrong(error.to_string()))
    }

    /// A publish begins: is it to be sent back?
    #[inline]
    fn publish(&mut self, channel: u16, payload: &[u8]) {
        if self.echo.is_some() {
            // Class, method, a reserved short; then exchange and routing key.
            let echo = payload.get(6..).is_some_and(|names| {
                matches!(names, [0, len, name @ ..]
                    if usize::from(*len) == ECHO.len() && name.starts_with(ECHO.as_bytes()))
            });
            self.channels.get(channel).echo = echo.then(Echo::default);
        }
    }

    /// The content on this channel has come in full.
    #[inline]
    fn complete(&mut self, id: u16) -> Result<(), Wrong> {
        self.received += 1;
        let channel = self.channels.get(id);
        let echo = channel.echo.take();
        if channel.confirms {
            channel.published += 1;
            if self.each {
                let ack = basic::Ack { delivery_tag: channel.published, multiple: false };
                self.answer(id, &ack)?;
            } else if !channel.due {
                channel.due = true;
                self.due.push(id);
            }
        }
        match echo {
            Some(content) => self.send_back(content),
            None => Ok(()),
        }
    }

    fn send_back(&mut self, content: Echo) -> Result<(), Wrong> {
        let Some((to, consumer_tag)) = self.echo.clone() else { return Ok(()) };
        let deliver = basic::Deliver {
            consumer_tag,
            delivery_tag: self.channels.get(to).delivered(None),
            routing_key: frames::short(ECHO),
            ..Default::default()
        };
        self.answer(to, &deliver)?;
        let Echo { header, body } = content;
        FRAMING
            .put(FrameKind::Header, to, &header, &mut self.out)
            .and_then(|()| frames::body_frames(&mut self.out, to, &body, self.frame_max))
            .map_err(|error| Wrong(error.to_string()))
    }

    pub(super) fn settle(&mut self, id: u16, tag: u64, multiple: bool) -> Result<(), Wrong> {
        let Self { channels, floods, .. } = self;
        match channels.get(id).settle(tag, multiple, |consumer| floods.settled(consumer)) {
            true => Ok(()),
            false => wrong(format!("channel {id}: delivery {tag} is not there to be settled")),
        }
    }
}

impl Receiver for Session {
    #[inline]
    fn method(&mut self, channel: u16, payload: &[u8]) -> Result<(), Wrong> {
        let id = payload.first_chunk().map(|id| u32::from_be_bytes(*id));
        if id == Some(PUBLISH) {
            self.publish(channel, payload);
            return Ok(());
        }
        if id == Some(ACK)
            && let Some(([_, _, _, _, tag @ .., multiple], [])) = payload.split_first_chunk::<13>()
        {
            return self.settle(channel, u64::from_be_bytes(*tag), multiple & 1 != 0);
        }
        match Method::decode(&Bytes::copy_from_slice(payload)) {
            Ok(method) => self.request(channel, method),
            Err(error) => wrong(format!("channel {channel}: {error}")),
        }
    }

    #[inline]
    fn header(&mut self, id: u16, payload: &[u8]) -> Result<(), Wrong> {
        // Class, weight, then the body's size.
        let Some(size) = payload.get(4..).and_then(<[u8]>::first_chunk) else {
            return wrong("a header is too short");
        };
        let channel = self.channels.get(id);
        channel.left = u64::from_be_bytes(*size);
        if let Some(echo) = &mut channel.echo {
            echo.header = payload.to_vec();
        }
        if channel.left == 0 { self.complete(id) } else { Ok(()) }
    }

    #[inline]
    fn body(&mut self, id: u16, piece: &[u8]) -> Result<(), Wrong> {
        let channel = self.channels.get(id);
        let Some(left) = channel.left.checked_sub(piece.len() as u64) else {
            return wrong(format!("channel {id}: a body is longer than its header says"));
        };
        channel.left = left;
        if let Some(echo) = &mut channel.echo {
            echo.body.extend_from_slice(piece);
        }
        if left == 0 && !piece.is_empty() { self.complete(id) } else { Ok(()) }
    }
}
