//! A specification as data, and methods without their types: for tools.
//!
//! The emitted constant `INFO` describes every class, method and field; [`DynamicMethod`] and
//! [`DynamicProperties`] read and write any of them by name, reserved fields included. The emitted
//! structs do not use this: they know their layout. [`Described`] shows any frame to people.

mod describe;
mod dynamic;
mod value;

use std::fmt;

pub use describe::{Described, Meaning};
pub(crate) use dynamic::content_class;
pub use dynamic::{DynamicMethod, DynamicProperties};
pub use value::Value;

/// The types that fields have on the wire; every domain of a specification is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireType {
    /// A bit; adjacent ones share octets.
    Bit,
    /// 8 bits.
    Octet,
    /// 16 bits.
    Short,
    /// 32 bits.
    Long,
    /// 64 bits.
    LongLong,
    /// Up to 255 octets.
    ShortStr,
    /// Up to 2³²−1 octets.
    LongStr,
    /// 64 bits: seconds since 1970.
    Timestamp,
    /// A field table.
    Table,
    /// The `content` domain of 0-9.
    Content,
}

/// A field of a method, or a property of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The name in the specification, with hyphens in place of spaces.
    pub name: &'static str,
    /// The type on the wire.
    pub wire_type: WireType,
    /// The domain or type that the specification gives it.
    pub domain: &'static str,
    /// Whether it is reserved: sent as zero, and absent from the emitted struct.
    pub reserved: bool,
}

/// A method of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// The name of the class.
    pub class: &'static str,
    /// The name of the method in its class.
    pub name: &'static str,
    /// Class and method, as in `basic.publish`.
    pub full_name: &'static str,
    /// The id of the class.
    pub class_id: u16,
    /// The id of the method in its class.
    pub method_id: u16,
    /// The fields, in the order of the wire.
    pub fields: &'static [FieldInfo],
    /// Whether the specification marks it synchronous. Prefer `responses` to tell requests.
    pub synchronous: bool,
    /// Whether a content follows.
    pub content: bool,
    /// The names of the methods of the same class that answer it.
    pub responses: &'static [&'static str],
    /// Whether a client may send it.
    pub from_client: bool,
    /// Whether a server may send it.
    pub from_server: bool,
}

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassInfo {
    /// The name.
    pub name: &'static str,
    /// The id.
    pub id: u16,
    /// The properties of its contents, in the order of the flags.
    pub properties: &'static [FieldInfo],
    /// The methods, in the order of the specification.
    pub methods: &'static [&'static MethodInfo],
}

/// A constant, such as a reply code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConstantInfo {
    /// The name, with hyphens in place of spaces.
    pub name: &'static str,
    /// The value.
    pub value: u32,
    /// `soft-error` or `hard-error`, for the codes of errors.
    pub class: Option<&'static str>,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// The first number.
    pub major: u8,
    /// The second number.
    pub minor: u8,
    /// The third number, which only 0-9-1 has.
    pub revision: Option<u8>,
}

/// The numbers with hyphens between: `0-9-1`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)?;
        self.revision.map_or(Ok(()), |revision| write!(f, "-{revision}"))
    }
}

/// A specification that could have been compiled in: an entry of the emitted `BUNDLED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundledSpec {
    /// The name that selects it.
    pub name: &'static str,
    /// Its version.
    pub version: Version,
    /// The eight octets that open a connection of that version.
    pub protocol_header: [u8; 8],
}

/// A specification: the emitted `INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecInfo {
    /// The name that selects it, or of its file.
    pub name: &'static str,
    /// The version.
    pub version: Version,
    /// The eight octets that open a connection.
    pub protocol_header: [u8; 8],
    /// The port that servers listen on.
    pub port: u16,
    /// The classes, in the order of the specification.
    pub classes: &'static [&'static ClassInfo],
    /// The constants, in the order of the specification.
    pub constants: &'static [ConstantInfo],
}

impl SpecInfo {
    /// The class of this name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&'static ClassInfo> {
        self.classes.iter().find(|class| class.name == name).copied()
    }

    /// The class of this id.
    #[must_use]
    pub fn class_by_id(&self, id: u16) -> Option<&'static ClassInfo> {
        self.classes.iter().find(|class| class.id == id).copied()
    }

    /// The method of this name in the class of that name.
    #[must_use]
    pub fn method(&self, class: &str, name: &str) -> Option<&'static MethodInfo> {
        self.class(class)?.method(name)
    }

    /// The method of these ids.
    #[must_use]
    pub fn method_by_id(&self, class_id: u16, method_id: u16) -> Option<&'static MethodInfo> {
        self.class_by_id(class_id)?.method_by_id(method_id)
    }

    /// All methods, in the order of the specification.
    pub fn methods(&self) -> impl Iterator<Item = &'static MethodInfo> + use<> {
        self.classes.iter().flat_map(|class| class.methods).copied()
    }

    /// The constant of this name.
    #[must_use]
    pub fn constant(&self, name: &str) -> Option<&'static ConstantInfo> {
        self.constants.iter().find(|constant| constant.name == name)
    }
}

impl ClassInfo {
    /// The method of this name.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<&'static MethodInfo> {
        self.methods.iter().find(|method| method.name == name).copied()
    }

    /// The method of this id.
    #[must_use]
    pub fn method_by_id(&self, id: u16) -> Option<&'static MethodInfo> {
        self.methods.iter().find(|method| method.method_id == id).copied()
    }

    /// Whether any of its methods carries content.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.methods.iter().any(|method| method.content)
    }
}

/// Class and method: `basic.publish`.
impl fmt::Display for MethodInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.name)
    }
}
