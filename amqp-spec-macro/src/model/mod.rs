//! The resolved specification: what the XML says, after every question about it is answered.
//!
//! [`build`](build::build) makes it, `emit` and `surface` read it. Domains are wire types, runs of
//! bits are packed, replies are references, flags have their masks, names are valid and distinct
//! Rust identifiers. So whatever holds a [`Spec`] needs no look-up by string and cannot fail.

pub(crate) mod build;
mod class;
mod constants;
mod domains;
mod names;
mod recognise;
mod replies;
mod scope;
mod unknown;

pub(crate) use self::names::Name;
use super::{diagnostics, xml};

/// One specification, complete.
#[derive(Debug)]
pub(crate) struct Spec {
    /// The file's last path component, for documentation: the same on every machine.
    pub(crate) file: String,
    pub(crate) version: Version,
    pub(crate) port: u16,
    pub(crate) framing: Framing,
    /// In file order; the Rust names are distinct.
    pub(crate) constants: Vec<Constant>,
    /// The constants that a `reply-code` field can hold; values and Rust names are distinct.
    pub(crate) reply_codes: Vec<ReplyCode>,
    /// In file order, at least one; ids and Rust names are distinct.
    pub(crate) classes: Vec<Class>,
}

/// The root element's version numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u8,
    pub(crate) minor: u8,
    pub(crate) revision: Option<u8>,
}

impl Version {
    /// The octets that open a connection. The layout is nowhere in the XML, but the files that have
    /// a revision are those of the version that put it into the header (0-9-1: `0 0 9 1`); earlier
    /// ones wrote `1 1 major minor`.
    pub(crate) fn protocol_header(self) -> [u8; 8] {
        let [a, b, c, d] = match self.revision {
            Some(revision) => [0, self.major, self.minor, revision],
            None => [1, 1, self.major, self.minor],
        };
        [b'A', b'M', b'Q', b'P', a, b, c, d]
    }
}

/// The numbers of the frame layout; the four types are distinct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) method: u8,
    pub(crate) header: u8,
    pub(crate) body: u8,
    pub(crate) heartbeat: u8,
    pub(crate) end: u8,
    pub(crate) min_size: u32,
}

#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: Name,
    pub(crate) value: u32,
    /// `soft-error`, `hard-error`, or whatever else the file says.
    pub(crate) class: Option<String>,
    pub(crate) line: usize,
}

#[derive(Debug)]
pub(crate) struct ReplyCode {
    pub(crate) name: Name,
    pub(crate) code: u16,
    pub(crate) severity: Severity,
}

/// What an error closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// No error, or a class of error that AMQP does not know.
    None,
    /// The channel.
    Soft,
    /// The connection.
    Hard,
}

#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: Name,
    /// The Rust module: `name.value`, changed where the expansion's own modules claim it.
    pub(crate) module: String,
    pub(crate) id: u16,
    /// Present if the class has content fields or a method that carries content.
    pub(crate) properties: Option<Properties>,
    /// In file order, possibly none; ids and Rust names are distinct.
    pub(crate) methods: Vec<Method>,
    pub(crate) line: usize,
}

/// A class's content properties.
#[derive(Debug)]
pub(crate) struct Properties {
    /// In flag order.
    pub(crate) list: Vec<Property>,
    /// How many 16-bit flag words they need: at least 1.
    pub(crate) words: usize,
}

#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) field: Field,
    /// Which flag word: `word < Properties::words`.
    pub(crate) word: usize,
    /// The one bit of that word, never bit 0, which says that another word follows.
    pub(crate) mask: u16,
}

#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: Name,
    /// The struct and the enum variant: `name.type_name`, changed where the expansion's own types
    /// claim it.
    pub(crate) type_name: String,
    pub(crate) id: u16,
    /// The arguments in wire order.
    pub(crate) arguments: Vec<Argument>,
    pub(crate) synchronous: bool,
    pub(crate) content: bool,
    pub(crate) reply: Reply,
    pub(crate) from_client: bool,
    pub(crate) from_server: bool,
    pub(crate) line: usize,
}

impl Method {
    /// All fields in wire order, the reserved ones too.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.arguments.iter().flat_map(|argument| match argument {
            Argument::One(field) => std::slice::from_ref(field),
            Argument::Bits(fields) => fields.as_slice(),
        })
    }

    /// The bit by which the sender says that it wants no reply.
    pub(crate) fn no_wait(&self) -> Option<&Field> {
        self.fields().find(|field| {
            !field.reserved && field.wire == WireType::Bit && field.name.value == "no_wait"
        })
    }
}

/// What stands between two octet boundaries.
#[derive(Debug)]
pub(crate) enum Argument {
    /// Anything but a bit.
    One(Field),
    /// A run of adjacent bits, at least one: they share octets, the lowest bit first.
    Bits(Vec<Field>),
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Name,
    /// The domain or type as the file names it.
    pub(crate) domain: String,
    pub(crate) wire: WireType,
    /// Sent as zero, and absent from the struct.
    pub(crate) reserved: bool,
}

impl Field {
    /// Whether a peer proves itself by this field of a method, or may: it is not shown. `MethodInfo::is_secret` of the
    /// runtime knows the same fields.
    pub(crate) fn is_secret(&self, class: &Class) -> bool {
        class.name.spec == "connection"
            && ["response", "new-secret", "challenge"].contains(&self.name.spec.as_str())
    }
}

/// How a value stands on the wire: the closed set that every domain resolves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Bit,
    Octet,
    Short,
    Long,
    LongLong,
    ShortStr,
    LongStr,
    Timestamp,
    Table,
    Content,
}

/// What answers a method.
#[derive(Debug)]
pub(crate) enum Reply {
    None,
    One(Answer),
    /// Two or more: an enum of that name, whose variants are distinct.
    Several {
        type_name: String,
        answers: Vec<Answer>,
    },
}

impl Reply {
    pub(crate) fn answers(&self) -> &[Answer] {
        match self {
            Self::None => &[],
            Self::One(answer) => std::slice::from_ref(answer),
            Self::Several { answers, .. } => answers,
        }
    }
}

/// A reference to a method of the same class.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The method's name in the file, with hyphens.
    pub(crate) spec: String,
    /// Its struct.
    pub(crate) type_name: String,
    /// Its variant in the reply enum: its name without the request's, where it starts with that.
    pub(crate) variant: String,
}
