//! A server that says anything, and mostly what is expected: or a dialogue would be over soon.

#![allow(clippy::cast_possible_truncation, reason = "numbers are small")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amqp_connector::ShortStr;
use amqp_connector::amqp_types::AnyMethod as _;
use amqp_connector::amqp_types::content::{Assembler, Incoming};
use amqp_connector::amqp_types::frame::{Frame, FrameKind};
use amqp_connector::amqp_types::reflect::{DynamicMethod, Value, WireType};
use amqp_connector::amqp_types::wire::{Limits, Writer};
use amqp_connector::protocol::{FRAMING, INFO, Method, Spec, VERSION};
use amqp_connector::testing::Rng;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

use crate::frames;

pub(crate) struct Server {
    io: DuplexStream,
    rng: Rng,
    inbound: BytesMut,
    greeted: bool,
    /// The `connection.open` was answered.
    opened: bool,
    assemblers: BTreeMap<u16, Assembler<Spec>>,
    /// Requests without an answer.
    requests: VecDeque<(u16, DynamicMethod)>,
    /// Names that the client has used, for those it is told.
    names: Vec<ShortStr>,
    /// Frames that were sent.
    past: VecDeque<Vec<u8>>,
    tags: u64,
    /// Publishes, by their channel.
    published: BTreeMap<u16, usize>,
    /// One in so many things said is wild.
    temper: usize,
    /// A seed is replayed.
    aloud: bool,
    pub(crate) frames: u64,
}

impl Server {
    pub(crate) fn new(io: DuplexStream, mut rng: Rng) -> Self {
        let temper = [3, 10, 50, 300][rng.below(4)];
        Self {
            temper,
            aloud: std::env::var_os("AMQP_FUZZ_SEED").is_some(),
            published: BTreeMap::new(),
            io,
            rng,
            inbound: BytesMut::new(),
            greeted: false,
            opened: false,
            assemblers: BTreeMap::new(),
            requests: VecDeque::new(),
            names: Vec::new(),
            past: VecDeque::new(),
            tags: 0,
            frames: 0,
        }
    }

    /// To the end of the transport, or of what it has to say.
    pub(crate) async fn run(mut self) -> u64 {
        let most = 20 + self.rng.below(200) as u64;
        let silent = self.rng.one_in(3);
        while self.frames < most || silent {
            let patience = Duration::from_millis(1 + self.rng.below(50) as u64);
            match timeout(patience, self.io.read_buf(&mut self.inbound)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => self.take(),
                Err(_) if self.frames >= most => {
                    // It says no more, and listens until the client has had enough.
                    let rest =
                        timeout(Duration::from_secs(3000), self.io.read_buf(&mut self.inbound));
                    match rest.await {
                        Ok(Ok(n)) if n > 0 => self.take(),
                        _ => break,
                    }
                    continue;
                }
                Err(_) => {}
            }
            if self.frames >= most {
                continue;
            }
            for _ in 0..=self.rng.below(3) {
                let said = self.say();
                if said.is_empty() {
                    continue;
                }
                self.frames += 1;
                if self.aloud {
                    eprintln!("said {said:?}");
                }
                let written = timeout(Duration::from_secs(60), self.io.write_all(&said));
                if !matches!(written.await, Ok(Ok(()))) {
                    return self.frames;
                }
            }
            if self.opened && self.rng.one_in(300) {
                break;
            }
        }
        self.frames
    }

    /// Takes what has come: it is well-formed, whatever was said to the client.
    fn take(&mut self) {
        if !self.greeted {
            if self.inbound.len() < 8 {
                return;
            }
            assert_eq!(self.inbound[..4], *b"AMQP");
            self.inbound.advance(8);
            self.greeted = true;
        }
        while let Some(frame) = FRAMING.decode(&mut self.inbound, u32::MAX).expect("a frame") {
            self.take_frame(frame);
        }
    }

    fn take_frame(&mut self, frame: Frame) {
        let channel = frame.channel;
        let new = || Assembler::new().with_limits(Limits::GREATEST);
        let assembler = self.assemblers.entry(channel).or_insert_with(new);
        let incoming = assembler.push(frame).expect("in order");
        let Some(Incoming::Method(method) | Incoming::Content { method, .. }) = incoming else {
            return;
        };
        let mut payload = BytesMut::new();
        let mut writer = Writer::new(&mut payload).with_limits(Limits::GREATEST);
        Method::encode(&method, &mut writer).expect("it was read");
        writer.finish();
        let payload = Bytes::from(payload);
        let method =
            DynamicMethod::decode_limited(&INFO, &payload, Limits::GREATEST).expect("it was read");
        if self.aloud {
            eprintln!("heard on {channel}: {} {:?}", method.info().full_name, method.values());
        }
        for field in method.values() {
            if let Value::ShortStr(name) = field
                && !name.is_empty()
                && self.names.len() < 20
            {
                self.names.push(name.clone());
            }
        }
        if method.info().full_name == "basic.publish" {
            *self.published.entry(channel).or_default() += 1;
        }
        self.requests.push_back((channel, method));
    }

    /// What is said next.
    fn say(&mut self) -> Vec<u8> {
        if !self.greeted {
            return Vec::new();
        }
        if self.past.is_empty() {
            return self.start();
        }
        while self.requests.front().is_some_and(|(_, request)| !has_answer(request)) {
            self.requests.pop_front();
        }
        let wild = self.rng.one_in(if self.opened { self.temper } else { 10 * self.temper });
        let said = match self.rng.below(12) {
            _ if wild => self.wild(),
            _ if !self.opened => self.answer(false),
            0 => self.confirm(),
            1..=4 if self.assemblers.len() > 1 => self.message(false),
            5 if self.rng.one_in(4) => self.aside(),
            _ => self.answer(false),
        };
        self.keep(said)
    }

    /// What no server should say, but for luck.
    fn wild(&mut self) -> Vec<u8> {
        match self.rng.below(10) {
            0 | 1 => self.any_method(),
            2 => {
                let info = frames::any_of_confirms(&mut self.rng);
                let channel = self.channel(true);
                frames::method(channel, &frames::any_method(&mut self.rng, info, &self.names))
            }
            3 | 4 => self.message(true),
            5 | 6 => self.mutated(),
            7 => self.past[self.rng.below(self.past.len())].clone(),
            8 if self.rng.one_in(5) => frames::octets(&mut self.rng, 100).to_vec(),
            _ => self.answer(true),
        }
    }

    /// What a server may say at any time.
    fn aside(&mut self) -> Vec<u8> {
        let methods = [
            INFO.method("connection", "blocked"),
            INFO.method("connection", "unblocked"),
            INFO.method("channel", "flow"),
            INFO.method("basic", "cancel"),
        ];
        let Some(info) = methods[self.rng.below(4)] else {
            return frames::frame(FrameKind::Heartbeat, 0, |_| {});
        };
        let channel = if info.class == "connection" { 0 } else { self.channel(false) };
        frames::method(channel, &frames::any_method(&mut self.rng, info, &self.names))
    }

    /// Of a publish that was sent.
    fn confirm(&mut self) -> Vec<u8> {
        let channel = self.channel(false);
        let Some(published) = self.published.get(&channel).copied() else { return Vec::new() };
        let info = frames::any_of_confirms(&mut self.rng);
        let mut confirm = DynamicMethod::new(info);
        let tag = 1 + self.rng.below(published) as u64;
        confirm.set("delivery-tag", Value::LongLong(tag)).unwrap();
        confirm.set("multiple", Value::Bit(self.rng.one_in(2))).unwrap();
        frames::method(channel, &confirm)
    }

    fn keep(&mut self, said: Vec<u8>) -> Vec<u8> {
        if !said.is_empty() {
            self.past.push_back(said.clone());
            if self.past.len() > 20 {
                self.past.pop_front();
            }
        }
        said
    }

    fn start(&mut self) -> Vec<u8> {
        let mut start = DynamicMethod::new(INFO.method("connection", "start").unwrap());
        start.set("version-major", Value::Octet(VERSION.major)).unwrap();
        start.set("version-minor", Value::Octet(VERSION.minor)).unwrap();
        start.set("mechanisms", Value::LongStr("PLAIN AMQPLAIN".into())).unwrap();
        start.set("locales", Value::LongStr("en_US".into())).unwrap();
        let start = frames::method(0, &start);
        self.keep(start)
    }

    /// One that the client uses, or any.
    fn channel(&mut self, any: bool) -> u16 {
        let used: Vec<u16> = self.assemblers.keys().copied().filter(|id| *id != 0).collect();
        match self.rng.below(6) {
            0 if any => 0,
            1 if any => self.rng.below(65_536) as u16,
            _ if used.is_empty() => 1,
            _ => used[self.rng.below(used.len())],
        }
    }

    fn any_method(&mut self) -> Vec<u8> {
        let info = frames::any_of_servers(&mut self.rng);
        let channel = match info.class {
            "connection" => 0,
            _ => self.channel(true),
        };
        frames::method(channel, &frames::any_method(&mut self.rng, info, &self.names))
    }

    /// The answer to the oldest request, with other values than it should have if it is `wrong`.
    fn answer(&mut self, wrong: bool) -> Vec<u8> {
        let Some((channel, request)) = self.requests.pop_front() else { return Vec::new() };
        let info = request.info();
        let names = match info.full_name {
            "connection.start-ok" | "connection.secure-ok" => vec!["tune"],
            _ if !info.responses.is_empty() => info.responses.to_vec(),
            _ => return Vec::new(),
        };
        let no_wait = info.fields.iter().find(|field| field.name.replace('-', "") == "nowait");
        if no_wait.is_some_and(|field| request.get(field.name) == Some(&Value::Bit(true))) {
            return Vec::new();
        }
        let name = names[if wrong { self.rng.below(names.len()) } else { 0 }];
        let Some(reply) = INFO.method(info.class, name) else { return Vec::new() };
        let mut answer = DynamicMethod::new(reply);
        if wrong {
            answer = frames::any_method(&mut self.rng, reply, &self.names);
        } else if name == "tune" {
            let frame_max = [4096, 8192, 131_072, 0][self.rng.below(4)];
            answer.set("channel-max", Value::Short(10)).unwrap();
            answer.set("frame-max", Value::Long(frame_max)).unwrap();
            answer.set("heartbeat", Value::Short([0, 1, 60][self.rng.below(3)])).unwrap();
        } else {
            for field in reply.fields.iter().filter(|field| field.wire_type == WireType::ShortStr) {
                if let Some(value) = request.get(field.name) {
                    answer.set(field.name, value.clone()).unwrap();
                }
            }
        }
        self.opened |= name == "open-ok" && channel == 0;
        let mut said = frames::method(channel, &answer);
        if reply.content {
            said.extend(self.content(channel, reply.class_id, wrong));
        }
        said
    }

    /// A delivery, a return or what was got.
    fn message(&mut self, any: bool) -> Vec<u8> {
        let info = frames::any_of_messages(&mut self.rng, any);
        let channel = self.channel(any);
        let mut method = frames::any_method(&mut self.rng, info, &self.names);
        if method.get("delivery-tag").is_some() && !(any && self.rng.one_in(3)) {
            self.tags += 1;
            method.set("delivery-tag", Value::LongLong(self.tags)).unwrap();
        }
        let mut said = frames::method(channel, &method);
        said.extend(self.content(channel, info.class_id, any));
        said
    }

    /// Header and body, or some of it.
    fn content(&mut self, channel: u16, class: u16, any: bool) -> Vec<u8> {
        let most = [0, 10, 3000, 60_000][self.rng.below(4)];
        let mut body = BytesMut::zeroed(self.rng.below(most + 1));
        let mut said = frames::header(&mut self.rng, channel, class, body.len() as u64, any);
        while !body.is_empty() {
            let piece = body.split_to((1 + self.rng.below(4000)).min(body.len()));
            if any && self.rng.one_in(10) {
                break;
            }
            said.extend(frames::frame(FrameKind::Body, channel, |writer| writer.octets(&piece)));
        }
        said
    }

    /// A frame as it was sent, with octets changed: its ends are left in three of four.
    fn mutated(&mut self) -> Vec<u8> {
        let mut octets = self.past[self.rng.below(self.past.len())].clone();
        let whole = self.rng.one_in(4);
        for _ in 0..=self.rng.below(3) {
            let at = self.rng.below(octets.len());
            if whole || (at > 6 && at + 1 < octets.len()) {
                octets[at] ^= 1 << self.rng.below(8);
            }
        }
        if self.rng.one_in(30) {
            octets.truncate(self.rng.below(octets.len() + 1));
        }
        octets
    }
}

/// What settles and publishes has none.
fn has_answer(request: &DynamicMethod) -> bool {
    let info = request.info();
    !info.responses.is_empty()
        || matches!(info.full_name, "connection.start-ok" | "connection.secure-ok")
}
