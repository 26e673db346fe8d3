//! Hops from frame to frame over what was read, and hands out what each holds.
//!
//! Used by the sink for what a client sends, and by `raw` and `floor` for what a server sends. It must be
//! much cheaper than any client: no copies, no allocation, and a body that has not come in full is given in
//! pieces instead of being waited for.

use amqp_types::protocol::FRAMING;

/// What takes what the frames hold.
pub trait Receiver {
    /// A method's frame.
    ///
    /// # Errors
    ///
    /// If it makes no sense; scanning ends.
    fn method(&mut self, channel: u16, payload: &[u8]) -> Result<(), Wrong>;

    /// A header's frame.
    ///
    /// # Errors
    ///
    /// As for [`method`](Self::method).
    fn header(&mut self, channel: u16, payload: &[u8]) -> Result<(), Wrong>;

    /// A body's frame or a part of one.
    ///
    /// # Errors
    ///
    /// As for [`method`](Self::method).
    fn body(&mut self, channel: u16, piece: &[u8]) -> Result<(), Wrong>;
}

/// What the other side sent makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// Something that makes no sense.
pub(crate) fn wrong<T>(text: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(text.into()))
}

/// Where in the stream of frames we are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    /// Octets of a body's frame still to come, its end octet included.
    missing: usize,
    /// The channel of that frame.
    channel: u16,
}

impl Scanner {
    /// Hands out the frames in `octets`, and tells how many octets they had. The rest is to be given again
    /// with more behind it; it is never a part of a body.
    ///
    /// # Errors
    ///
    /// If these are no frames, or whatever the receiver objects to.
    #[inline]
    pub fn scan<R: Receiver>(&mut self, octets: &[u8], to: &mut R) -> Result<usize, Wrong> {
        let mut rest = octets;
        if self.missing > 0 {
            rest = self.go_on(rest, to)?;
        }
        while let Some((&[kind, c0, c1, s0, s1, s2, s3], after)) = rest.split_first_chunk() {
            let channel = u16::from_be_bytes([c0, c1]);
            let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
            match after.split_at_checked(size) {
                Some((payload, [end, next @ ..])) => {
                    if *end != FRAMING.end {
                        return wrong(format!("a frame on channel {channel} ends with {end}"));
                    }
                    if kind == FRAMING.body {
                        to.body(channel, payload)?;
                    } else if kind == FRAMING.method {
                        to.method(channel, payload)?;
                    } else if kind == FRAMING.header {
                        to.header(channel, payload)?;
                    } else if kind != FRAMING.heartbeat {
                        return wrong(format!("a frame of type {kind}"));
                    }
                    rest = next;
                }
                _ if kind == FRAMING.body => {
                    (self.missing, self.channel) = (size + 1, channel);
                    rest = self.go_on(after, to)?;
                    break;
                }
                _ => break,
            }
        }
        Ok(octets.len() - rest.len())
    }

    /// The next part of a body's frame that did not come in full.
    fn go_on<'a, R: Receiver>(&mut self, octets: &'a [u8], to: &mut R) -> Result<&'a [u8], Wrong> {
        let len = octets.len().min(self.missing - 1);
        let (piece, rest) = octets.split_at_checked(len).unwrap_or((octets, &[]));
        if !piece.is_empty() {
            to.body(self.channel, piece)?;
            self.missing -= len;
        }
        match rest {
            [end, rest @ ..] if self.missing == 1 => {
                if *end != FRAMING.end {
                    return wrong(format!("a body's frame ends with {end}"));
                }
                self.missing = 0;
                Ok(rest)
            }
            _ => Ok(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;
    use bytes::BytesMut;

    /// What was seen, the pieces of a body put together.
    #[derive(Default, Debug, PartialEq)]
    struct Seen {
        methods: Vec<(u16, usize)>,
        headers: usize,
        bodies: Vec<u8>,
    }

    impl Receiver for Seen {
        fn method(&mut self, channel: u16, payload: &[u8]) -> Result<(), Wrong> {
            self.methods.push((channel, payload.len()));
            Ok(())
        }

        fn header(&mut self, _channel: u16, _payload: &[u8]) -> Result<(), Wrong> {
            self.headers += 1;
            Ok(())
        }

        fn body(&mut self, channel: u16, piece: &[u8]) -> Result<(), Wrong> {
            assert!(!piece.is_empty() && (1..=2).contains(&channel));
            self.bodies.extend_from_slice(piece);
            Ok(())
        }
    }

    fn stream() -> BytesMut {
        let mut stream = BytesMut::new();
        frames::publish(&mut stream, 1, "a", 0, b"the first body", 20).unwrap();
        frames::publish(&mut stream, 2, "bc", 2, b"second", 100).unwrap();
        FRAMING.put_heartbeat(&mut stream);
        frames::publish(&mut stream, 1, "", 0, b"", 100).unwrap();
        stream
    }

    /// Reads the stream in steps of so many octets, keeping what a scan leaves.
    fn read(stream: &[u8], step: usize) -> Result<Seen, Wrong> {
        let (mut scanner, mut seen, mut buffer) = (Scanner::default(), Seen::default(), Vec::new());
        for octets in stream.chunks(step) {
            buffer.extend_from_slice(octets);
            let done = scanner.scan(&buffer, &mut seen)?;
            buffer.drain(..done);
        }
        assert!(buffer.is_empty());
        Ok(seen)
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let stream = stream();
        let whole = read(&stream, stream.len()).unwrap();
        assert_eq!(whole.methods.len(), 3);
        assert_eq!(whole.headers, 3);
        assert_eq!(whole.bodies, b"the first bodysecond");
        for step in 1..stream.len() {
            assert_eq!(read(&stream, step).as_ref(), Ok(&whole), "steps of {step}");
        }
    }

    #[test]
    fn octets_that_are_no_frames_are_refused() {
        for step in [1, 2, 1000] {
            let mut stream = BytesMut::new();
            frames::body_frames(&mut stream, 1, b"body", 100).unwrap();
            let end = stream.len() - 1;
            stream[end] = 0;
            assert!(read(&stream, step).is_err(), "a wrong end, in steps of {step}");
        }
        assert!(read(&[9, 0, 1, 0, 0, 0, 0, 206], 8).is_err());
    }
}
