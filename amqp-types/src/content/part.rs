//! [`Part`]: contents that are not put together, but lent to the receiver piece by piece as they come.
//!
//! The other way to use an [`Assembler`], for bodies that nobody wants to hold whole. Keeps nothing of a body.

use super::{AssembleError, Assembler, Complete};
use crate::frame::{FrameKind, FrameRef};
use crate::method::Protocol;
use crate::wire::Payload;

/// What a frame gives to a receiver that has some contents lent; see [`Assembler::push_part`].
#[derive(Debug)]
pub enum Part<'a, P: Protocol> {
    /// A method without content, or with a content that was put together.
    Complete(Complete<'a, P>),
    /// The beginning of a content that is lent. Its pieces follow if its size is not zero.
    Header {
        /// The method; it is there.
        method: &'a mut Option<P::Method>,
        /// The properties, of the method's class; they are there.
        properties: &'a mut Option<P::Properties>,
        /// The length of the body, in octets.
        size: u64,
    },
    /// A piece of the body of the content that is lent.
    Piece {
        /// Its octets, borrowed from the buffer they were read into. They may be none.
        octets: Payload<'a>,
        /// How many octets are still to come after it: with zero the content is over.
        rest: u64,
    },
}

impl<P: Protocol> Assembler<P> {
    /// The method whose content header comes next, to decide whether it should be [lent](Self::lend).
    #[must_use]
    pub fn awaiting_header(&self) -> Option<&P::Method> {
        match self.expected {
            FrameKind::Header => self.method.as_ref(),
            _ => None,
        }
    }

    /// Has the content whose method came last lent by [`push_part`](Self::push_part), instead of put together.
    /// To be called between its method and its header; at another time it does nothing. The limit on bodies
    /// that are put together does not hold for it.
    pub fn lend(&mut self) {
        if self.expected == FrameKind::Header {
            self.lent = Some(0);
        }
    }

    /// Like [`push_in_place`](Self::push_in_place), and the header and the pieces of a content that is lent are
    /// given out as they come.
    ///
    /// ```
    /// use amqp_types::content::{Assembler, ContentHeader, Part};
    /// use amqp_types::frame::{Frame, FrameKind, FrameRef};
    /// use amqp_types::protocol::{Spec, basic};
    /// use amqp_types::wire::Writer;
    /// use amqp_types::Method;
    /// # let mut method = bytes::BytesMut::new();
    /// # basic::Deliver::default().encode(&mut Writer::new(&mut method)).unwrap();
    /// # let mut header = bytes::BytesMut::new();
    /// # ContentHeader { body_size: 5, properties: basic::Properties::default() }
    /// #     .encode(&mut Writer::new(&mut header)).unwrap();
    /// # let frame = |kind, payload| Frame { kind, channel: 1, payload };
    /// # let deliver = frame(FrameKind::Method, method.freeze());
    /// # let header = frame(FrameKind::Header, header.freeze());
    /// # let body = frame(FrameKind::Body, "hello".into());
    ///
    /// let mut assembler = Assembler::<Spec>::new();
    /// assert!(assembler.push_part(FrameRef::from(&deliver))?.is_none());
    /// assert!(assembler.awaiting_header().is_some());
    /// assembler.lend();
    /// let begun = assembler.push_part(FrameRef::from(&header))?;
    /// assert!(matches!(begun, Some(Part::Header { size: 5, .. })));
    /// match assembler.push_part(FrameRef::from(&body))? {
    ///     Some(Part::Piece { octets, rest: 0 }) => assert_eq!(&octets[..], b"hello"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), amqp_types::content::AssembleError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the frame is not one that may follow, or its payload is malformed.
    pub fn push_part<'a>(
        &'a mut self,
        frame: FrameRef<'a>,
    ) -> Result<Option<Part<'a, P>>, AssembleError> {
        match (self.lent, frame.kind) {
            (Some(_), FrameKind::Header) if frame.kind == self.expected => {
                self.lent_header(frame).map(Some)
            }
            (Some(lent), FrameKind::Body) if frame.kind == self.expected => {
                self.lent_piece(lent, frame.payload).map(Some)
            }
            // What is out of order is an error there, too.
            _ => Ok(self.push_in_place(frame)?.map(Part::Complete)),
        }
    }

    fn lent_piece<'a>(
        &mut self,
        lent: u64,
        octets: Payload<'a>,
    ) -> Result<Part<'a, P>, AssembleError> {
        let len = octets.len() as u64;
        let Some(rest) = self.size.checked_sub(len) else {
            let (size, received) = (lent.saturating_add(self.size), lent.saturating_add(len));
            let error = AssembleError::BodyOverrun { size, received };
            self.reset(&error);
            return Err(error);
        };
        self.size = rest;
        self.lent = Some(lent.saturating_add(len));
        if rest == 0 {
            self.end_lent();
        }
        Ok(Part::Piece { octets, rest })
    }

    fn lent_header(&mut self, frame: FrameRef<'_>) -> Result<Part<'_, P>, AssembleError> {
        let max_body = std::mem::replace(&mut self.max_body, u64::MAX);
        let empty = self.header(frame);
        self.max_body = max_body;
        match empty {
            Ok(true) => self.end_lent(),
            Ok(false) => {}
            Err(error) => {
                self.reset(&error);
                return Err(error);
            }
        }
        let (method, properties) = (&mut self.method, &mut self.properties);
        Ok(Part::Header { method, properties, size: self.size })
    }

    fn end_lent(&mut self) {
        self.lent = None;
        self.expected = FrameKind::Method;
    }
}
