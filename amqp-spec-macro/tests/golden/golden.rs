// Written by `BLESS=1 cargo test -p amqp-spec-macro`; not to be edited.

/// What the compiled specification is called: `golden`.
pub const NAME: &str = "golden";
/// The version that the specification gives itself: 7-3.
pub const VERSION: ::amqp_types::reflect::Version = ::amqp_types::reflect::Version {
    major: 7,
    minor: 3,
    revision: ::core::option::Option::None,
};
/// The octets by which a client opens a connection: `AMQP 1 1 7 3`.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x01\x01\x07\x03";
/// The TCP port of the protocol: 5999.
pub const DEFAULT_PORT: u16 = 5999;
/// The numbers that frames are made of.
pub const FRAMING: ::amqp_types::frame::Framing = ::amqp_types::frame::Framing {
    method: 11,
    header: 12,
    body: 13,
    heartbeat: 9,
    end: 190,
    min_size: 8192,
};
/// The whole specification as data.
pub static INFO: ::amqp_types::reflect::SpecInfo = ::amqp_types::reflect::SpecInfo {
    name: NAME,
    version: VERSION,
    protocol_header: PROTOCOL_HEADER,
    port: DEFAULT_PORT,
    classes: &[
        r#box::Method::INFO,
        ask::Method::INFO,
        content::Method::INFO,
        amqp_types_::Method::INFO,
        connection::Method::INFO,
        constants_::Method::INFO,
    ],
    constants: &[
        Spec::constant("frame-method", 11),
        Spec::constant("frame-header", 12),
        Spec::constant("frame-body", 13),
        Spec::constant("frame-heartbeat", 9),
        Spec::constant("frame-min-size", 8192),
        Spec::constant("frame-end", 190),
        Spec::constant("reply-success", 200),
        Spec::error("odd-code", 399, "soft-error"),
        Spec::error("odd-alias", 399, "hard-error"),
        Spec::error("worse-code", 599, "hard-error"),
    ],
};
/// The specification's constants.
pub mod constants {
    /// `frame-method` = 11, declared in `golden.xml:4`.
    pub const FRAME_METHOD: u32 = 11;
    /// `frame-header` = 12, declared in `golden.xml:5`.
    pub const FRAME_HEADER: u32 = 12;
    /// `frame-body` = 13, declared in `golden.xml:6`.
    pub const FRAME_BODY: u32 = 13;
    /// `frame-heartbeat` = 9, declared in `golden.xml:7`.
    pub const FRAME_HEARTBEAT: u32 = 9;
    /// `frame-min-size` = 8192, declared in `golden.xml:8`.
    pub const FRAME_MIN_SIZE: u32 = 8192;
    /// `frame-end` = 190, declared in `golden.xml:9`.
    pub const FRAME_END: u32 = 190;
    /// `reply-success` = 200, declared in `golden.xml:10`.
    pub const REPLY_SUCCESS: u32 = 200;
    /// `odd-code` = 399 (soft-error), declared in `golden.xml:11`.
    pub const ODD_CODE: u32 = 399;
    /// `odd-alias` = 399 (hard-error), declared in `golden.xml:12`.
    pub const ODD_ALIAS: u32 = 399;
    /// `worse-code` = 599 (hard-error), declared in `golden.xml:13`.
    pub const WORSE_CODE: u32 = 599;
}
/// Why a channel or connection was closed, or a message returned.
///
/// Brokers also send codes that the compiled specification does not name; those are kept as
/// they are, and are neither soft nor hard.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(pub u16);
impl ReplyCode {
    /// 200 `reply-success`: no error.
    pub const REPLY_SUCCESS: Self = Self(200);
    /// 399 `odd-code`: closes the channel.
    pub const ODD_CODE: Self = Self(399);
    /// 399 `odd-alias`: closes the connection.
    pub const ODD_ALIAS: Self = Self(399);
    /// 599 `worse-code`: closes the connection.
    pub const WORSE_CODE: Self = Self(599);
    /// The specification's name of the code, such as `not-found`; none for a number that it
    /// does not have.
    #[must_use]
    pub const fn name(self) -> ::core::option::Option<&'static str> {
        match self {
            Self::REPLY_SUCCESS => ::core::option::Option::Some("reply-success"),
            Self::ODD_CODE => ::core::option::Option::Some("odd-code"),
            Self::WORSE_CODE => ::core::option::Option::Some("worse-code"),
            _ => ::core::option::Option::None,
        }
    }
    /// Whether the code closes the channel and leaves the connection open.
    #[must_use]
    pub const fn is_soft_error(self) -> bool {
        ::core::matches!(self, Self::ODD_CODE)
    }
    /// Whether the code closes the connection.
    #[must_use]
    pub const fn is_hard_error(self) -> bool {
        ::core::matches!(self, Self::WORSE_CODE)
    }
}
impl ::core::convert::From<u16> for ReplyCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}
impl ::core::convert::From<ReplyCode> for u16 {
    fn from(code: ReplyCode) -> Self {
        code.0
    }
}
impl ::core::fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        ::core::write!(f, "ReplyCode({self})")
    }
}
impl ::core::fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self.name() {
            ::core::option::Option::Some(name) => ::core::write!(f, "{} {name}", self.0),
            ::core::option::Option::None => ::core::write!(f, "{}", self.0),
        }
    }
}
/// The protocol that this module describes, for generic code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spec;
impl ::amqp_types::Protocol for Spec {
    type Method = Method;
    type Properties = Properties;
    const INFO: &'static ::amqp_types::reflect::SpecInfo = &INFO;
    const FRAMING: ::amqp_types::frame::Framing = FRAMING;
}
#[allow(dead_code)]
impl Spec {
    const fn field(
        name: &'static str,
        wire_type: ::amqp_types::reflect::WireType,
        domain: &'static str,
    ) -> ::amqp_types::reflect::FieldInfo {
        ::amqp_types::reflect::FieldInfo {
            name,
            wire_type,
            domain,
            reserved: false,
        }
    }
    const fn reserved(
        name: &'static str,
        wire_type: ::amqp_types::reflect::WireType,
        domain: &'static str,
    ) -> ::amqp_types::reflect::FieldInfo {
        ::amqp_types::reflect::FieldInfo {
            name,
            wire_type,
            domain,
            reserved: true,
        }
    }
    const fn constant(
        name: &'static str,
        value: u32,
    ) -> ::amqp_types::reflect::ConstantInfo {
        ::amqp_types::reflect::ConstantInfo {
            name,
            value,
            class: ::core::option::Option::None,
        }
    }
    const fn error(
        name: &'static str,
        value: u32,
        class: &'static str,
    ) -> ::amqp_types::reflect::ConstantInfo {
        let class = ::core::option::Option::Some(class);
        ::amqp_types::reflect::ConstantInfo {
            name,
            value,
            class,
        }
    }
}
/// Any method of the protocol.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Of class `box`.
    Box(r#box::Method),
    /// Of class `ask`.
    Ask(ask::Method),
    /// Of class `content`.
    Content(content::Method),
    /// Of class `amqp-types`.
    AmqpTypes(amqp_types_::Method),
    /// Of class `connection`.
    Connection(connection::Method),
    /// Of class `constants`.
    Constants(constants_::Method),
}
impl ::amqp_types::AnyMethod for Method {
    type Protocol = Spec;
    fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
        match self {
            Self::Box(method) => method.info(),
            Self::Ask(method) => method.info(),
            Self::Content(method) => method.info(),
            Self::AmqpTypes(method) => method.info(),
            Self::Connection(method) => method.info(),
            Self::Constants(method) => method.info(),
        }
    }
    fn decode_into(
        place: &mut ::core::option::Option<Self>,
        reader: &mut ::amqp_types::wire::Reader<'_>,
    ) -> ::core::result::Result<
        &'static ::amqp_types::reflect::MethodInfo,
        ::amqp_types::DecodeError,
    > {
        let class_id = reader.short()?;
        let method_id = reader.short()?;
        match class_id {
            10 => r#box::Method::decode_into(place, method_id, reader),
            20 => ask::Method::decode_into(place, method_id, reader),
            30 => content::Method::decode_into(place, method_id, reader),
            40 => amqp_types_::Method::decode_into(place, method_id, reader),
            50 => connection::Method::decode_into(place, method_id, reader),
            0 => constants_::Method::decode_into(place, method_id, reader),
            unknown => {
                ::core::result::Result::Err(
                    ::amqp_types::DecodeError::new(
                        ::amqp_types::DecodeErrorKind::UnknownClass(unknown),
                        0,
                    ),
                )
            }
        }
    }
    fn encode(
        &self,
        writer: &mut ::amqp_types::wire::Writer<'_>,
    ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
        match self {
            Self::Box(method) => method.encode(writer),
            Self::Ask(method) => method.encode(writer),
            Self::Content(method) => method.encode(writer),
            Self::AmqpTypes(method) => method.encode(writer),
            Self::Connection(method) => method.encode(writer),
            Self::Constants(method) => method.encode(writer),
        }
    }
    fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
        match self {
            Self::Box(method) => method.values(),
            Self::Ask(method) => method.values(),
            Self::Content(method) => method.values(),
            Self::AmqpTypes(method) => method.values(),
            Self::Connection(method) => method.values(),
            Self::Constants(method) => method.values(),
        }
    }
}
/// The properties of any class's content.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Properties {
    /// Of class `ask`.
    Ask(ask::Properties),
    /// Of class `content`.
    Content(content::Properties),
    /// Of class `amqp-types`.
    AmqpTypes(amqp_types_::Properties),
}
impl ::amqp_types::AnyProperties for Properties {
    type Protocol = Spec;
    fn class_id(&self) -> u16 {
        self.info().id
    }
    fn info(&self) -> &'static ::amqp_types::reflect::ClassInfo {
        match self {
            Self::Ask(_) => ask::Method::INFO,
            Self::Content(_) => content::Method::INFO,
            Self::AmqpTypes(_) => amqp_types_::Method::INFO,
        }
    }
    fn decode_into(
        place: &mut ::core::option::Option<Self>,
        class_id: u16,
        reader: &mut ::amqp_types::wire::Reader<'_>,
    ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
        match class_id {
            10 => {
                ::core::result::Result::Err(
                    ::amqp_types::DecodeError::new(
                        ::amqp_types::DecodeErrorKind::UnexpectedClass,
                        0,
                    ),
                )
            }
            20 => {
                <ask::Properties as ::amqp_types::Properties>::decode_into(place, reader)
            }
            30 => {
                <content::Properties as ::amqp_types::Properties>::decode_into(
                    place,
                    reader,
                )
            }
            40 => {
                <amqp_types_::Properties as ::amqp_types::Properties>::decode_into(
                    place,
                    reader,
                )
            }
            50 => {
                ::core::result::Result::Err(
                    ::amqp_types::DecodeError::new(
                        ::amqp_types::DecodeErrorKind::UnexpectedClass,
                        0,
                    ),
                )
            }
            0 => {
                ::core::result::Result::Err(
                    ::amqp_types::DecodeError::new(
                        ::amqp_types::DecodeErrorKind::UnexpectedClass,
                        0,
                    ),
                )
            }
            unknown => {
                ::core::result::Result::Err(
                    ::amqp_types::DecodeError::new(
                        ::amqp_types::DecodeErrorKind::UnknownClass(unknown),
                        0,
                    ),
                )
            }
        }
    }
    fn encode(
        &self,
        writer: &mut ::amqp_types::wire::Writer<'_>,
    ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
        match self {
            Self::Ask(properties) => ::amqp_types::Properties::encode(properties, writer),
            Self::Content(properties) => {
                ::amqp_types::Properties::encode(properties, writer)
            }
            Self::AmqpTypes(properties) => {
                ::amqp_types::Properties::encode(properties, writer)
            }
        }
    }
    fn values(
        &self,
    ) -> ::std::vec::Vec<::core::option::Option<::amqp_types::reflect::Value>> {
        match self {
            Self::Ask(properties) => ::amqp_types::Properties::values(properties),
            Self::Content(properties) => ::amqp_types::Properties::values(properties),
            Self::AmqpTypes(properties) => ::amqp_types::Properties::values(properties),
        }
    }
}
/// Class `box`, number 10: 3 methods.
///
/// Declared in `golden.xml:21`.
pub mod r#box {
    /// Any method of class `box`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Method {
        /// `box.return`.
        Return(Return),
        /// `box.ok`.
        Ok(Ok),
        /// `box.bits`.
        Bits(Bits),
    }
    impl Method {
        /// The static description of class `box`.
        pub const INFO: &'static ::amqp_types::reflect::ClassInfo = &::amqp_types::reflect::ClassInfo {
            name: "box",
            id: 10,
            properties: &[],
            methods: &[
                <Return as ::amqp_types::Method>::INFO,
                <Ok as ::amqp_types::Method>::INFO,
                <Bits as ::amqp_types::Method>::INFO,
            ],
        };
        pub(super) fn decode_into(
            place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<
            &'static ::amqp_types::reflect::MethodInfo,
            ::amqp_types::DecodeError,
        > {
            match method_id {
                1 => {
                    <Return as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                2 => <Ok as ::amqp_types::Method>::decode_arguments_into(place, reader),
                65535 => {
                    <Bits as ::amqp_types::Method>::decode_arguments_into(place, reader)
                }
                _ => {
                    ::core::result::Result::Err(
                        ::amqp_types::DecodeError::new(
                            ::amqp_types::DecodeErrorKind::UnknownMethod(10, method_id),
                            2,
                        ),
                    )
                }
            }
        }
        pub(super) fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
            match self {
                Self::Return(_) => <Return as ::amqp_types::Method>::INFO,
                Self::Ok(_) => <Ok as ::amqp_types::Method>::INFO,
                Self::Bits(_) => <Bits as ::amqp_types::Method>::INFO,
            }
        }
        pub(super) fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            match self {
                Self::Return(method) => ::amqp_types::Method::encode(method, writer),
                Self::Ok(method) => ::amqp_types::Method::encode(method, writer),
                Self::Bits(method) => ::amqp_types::Method::encode(method, writer),
            }
        }
        pub(super) fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            match self {
                Self::Return(method) => ::amqp_types::Method::values(method),
                Self::Ok(method) => ::amqp_types::Method::values(method),
                Self::Bits(method) => ::amqp_types::Method::values(method),
            }
        }
    }
    /// `box.return`: class 10, method 1; sent by the client; answered by [`Ok`](struct@Ok), unless `no_wait` is set.
    ///
    /// Declared in `golden.xml:22`.
    #[doc(alias = "box.return")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Return {
        /// `octet`: octet.
        pub octet: u8,
        /// `short`: short.
        pub short: u16,
        /// `long`: long.
        pub long: u32,
        /// `longlong`: longlong.
        pub longlong: u64,
        /// `shortstr`: shortstr (domain `queue-name`).
        pub shortstr: ::amqp_types::ShortStr,
        /// `longstr`: longstr.
        pub longstr: ::amqp_types::bytes::Bytes,
        /// `timestamp`: timestamp.
        pub timestamp: ::amqp_types::Timestamp,
        /// `table`: table.
        pub table: ::amqp_types::FieldTable,
        /// `content`: content.
        pub content: ::amqp_types::wire::ContentDomain,
        /// `type`: bit (domain `yes-or-no`).
        pub r#type: bool,
        /// `nowait`: bit.
        pub no_wait: bool,
    }
    impl ::amqp_types::Method for Return {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 10;
        const METHOD_ID: u16 = 1;
        const NAME: &'static str = "box.return";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "box",
            name: "return",
            full_name: "box.return",
            class_id: 10,
            method_id: 1,
            fields: {
                use ::amqp_types::reflect::WireType;
                &[
                    super::Spec::field("octet", WireType::Octet, "octet"),
                    super::Spec::field("short", WireType::Short, "short"),
                    super::Spec::field("long", WireType::Long, "long"),
                    super::Spec::field("longlong", WireType::LongLong, "longlong"),
                    super::Spec::field("shortstr", WireType::ShortStr, "queue-name"),
                    super::Spec::field("longstr", WireType::LongStr, "longstr"),
                    super::Spec::field("timestamp", WireType::Timestamp, "timestamp"),
                    super::Spec::field("table", WireType::Table, "table"),
                    super::Spec::field("content", WireType::Content, "content"),
                    super::Spec::field("type", WireType::Bit, "yes-or-no"),
                    super::Spec::field("nowait", WireType::Bit, "bit"),
                ]
            },
            synchronous: true,
            content: false,
            responses: &["ok"],
            from_client: true,
            from_server: false,
        };
        #[inline]
        fn encode_arguments(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            writer.octet(self.octet);
            writer.short(self.short);
            writer.long(self.long);
            writer.longlong(self.longlong);
            writer.short_str(&self.shortstr);
            writer.long_str(&self.longstr)?;
            writer.timestamp(self.timestamp);
            writer.table(&self.table)?;
            writer.content(&self.content)?;
            writer.bits([self.r#type, self.no_wait]);
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            self.octet = reader.octet()?;
            self.short = reader.short()?;
            self.long = reader.long()?;
            self.longlong = reader.longlong()?;
            reader.short_str_into(&mut self.shortstr)?;
            self.longstr = reader.long_str()?;
            self.timestamp = reader.timestamp()?;
            self.table = reader.table()?;
            self.content = reader.content()?;
            [self.r#type, self.no_wait] = reader.bits()?;
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![
                ::amqp_types::reflect::Value::Octet(self.octet),
                ::amqp_types::reflect::Value::Short(self.short),
                ::amqp_types::reflect::Value::Long(self.long),
                ::amqp_types::reflect::Value::LongLong(self.longlong),
                ::amqp_types::reflect::Value::ShortStr(self.shortstr.clone()),
                ::amqp_types::reflect::Value::LongStr(self.longstr.clone()),
                ::amqp_types::reflect::Value::Timestamp(self.timestamp),
                ::amqp_types::reflect::Value::Table(self.table.clone()),
                ::amqp_types::reflect::Value::Content(self.content.clone()),
                ::amqp_types::reflect::Value::Bit(self.r#type),
                ::amqp_types::reflect::Value::Bit(self.no_wait)
            ]
        }
        fn into_any(self) -> super::Method {
            super::Method::Box(Method::Return(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Box(Method::Return(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Box(Method::Return(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::Request for Return {
        type Reply = Ok;
        fn wants_reply(&self) -> bool {
            !self.no_wait
        }
    }
    impl ::amqp_types::ClientMethod for Return {}
    /// `box.ok`: class 10, method 2; sent by the server; answers [`Return`](struct@Return).
    ///
    /// Declared in `golden.xml:37`.
    #[doc(alias = "box.ok")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Ok {}
    impl ::amqp_types::Method for Ok {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 10;
        const METHOD_ID: u16 = 2;
        const NAME: &'static str = "box.ok";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "box",
            name: "ok",
            full_name: "box.ok",
            class_id: 10,
            method_id: 2,
            fields: &[],
            synchronous: true,
            content: false,
            responses: &[],
            from_client: false,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Box(Method::Ok(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Box(Method::Ok(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Box(Method::Ok(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ServerMethod for Ok {}
    /// `box.bits`: class 10, method 65535; sent by either peer; no reply.
    ///
    /// Declared in `golden.xml:41`.
    ///
    /// Reserved fields, sent as zero: `reserved-1`, `reserved-2`, `reserved-3`.
    #[doc(alias = "box.bits")]
    #[allow(non_snake_case)]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Bits {
        /// `b0`: bit.
        pub b0: bool,
        /// `b1`: bit.
        pub b1: bool,
        /// `b3`: bit.
        pub b3: bool,
        /// `b4`: bit.
        pub b4: bool,
        /// `b5`: bit.
        pub b5: bool,
        /// `b6`: bit.
        pub b6: bool,
        /// `b7`: bit.
        pub b7: bool,
        /// `b8`: bit.
        pub b8: bool,
        /// `reader`: octet.
        pub reader: u8,
        /// `2nd-Run`: bit.
        pub _2nd_Run: bool,
    }
    impl ::amqp_types::Method for Bits {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 10;
        const METHOD_ID: u16 = 65535;
        const NAME: &'static str = "box.bits";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "box",
            name: "bits",
            full_name: "box.bits",
            class_id: 10,
            method_id: 65535,
            fields: {
                use ::amqp_types::reflect::WireType;
                &[
                    super::Spec::field("b0", WireType::Bit, "bit"),
                    super::Spec::field("b1", WireType::Bit, "bit"),
                    super::Spec::reserved("reserved-1", WireType::Bit, "bit"),
                    super::Spec::field("b3", WireType::Bit, "bit"),
                    super::Spec::field("b4", WireType::Bit, "bit"),
                    super::Spec::field("b5", WireType::Bit, "bit"),
                    super::Spec::field("b6", WireType::Bit, "bit"),
                    super::Spec::field("b7", WireType::Bit, "bit"),
                    super::Spec::field("b8", WireType::Bit, "bit"),
                    super::Spec::reserved("reserved-2", WireType::ShortStr, "shortstr"),
                    super::Spec::reserved("reserved-3", WireType::Table, "table"),
                    super::Spec::field("reader", WireType::Octet, "octet"),
                    super::Spec::field("2nd-Run", WireType::Bit, "bit"),
                ]
            },
            synchronous: false,
            content: false,
            responses: &[],
            from_client: true,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            writer
                .bits([
                    self.b0,
                    self.b1,
                    false,
                    self.b3,
                    self.b4,
                    self.b5,
                    self.b6,
                    self.b7,
                    self.b8,
                ]);
            writer.short_str(&::amqp_types::ShortStr::EMPTY);
            writer.table(&::amqp_types::FieldTable::new())?;
            writer.octet(self.reader);
            writer.bits([self._2nd_Run]);
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            [
                self.b0,
                self.b1,
                _,
                self.b3,
                self.b4,
                self.b5,
                self.b6,
                self.b7,
                self.b8,
            ] = reader.bits()?;
            reader.short_str()?;
            reader.table()?;
            self.reader = reader.octet()?;
            [self._2nd_Run] = reader.bits()?;
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![
                ::amqp_types::reflect::Value::Bit(self.b0),
                ::amqp_types::reflect::Value::Bit(self.b1),
                ::amqp_types::reflect::Value::Bit(false),
                ::amqp_types::reflect::Value::Bit(self.b3),
                ::amqp_types::reflect::Value::Bit(self.b4),
                ::amqp_types::reflect::Value::Bit(self.b5),
                ::amqp_types::reflect::Value::Bit(self.b6),
                ::amqp_types::reflect::Value::Bit(self.b7),
                ::amqp_types::reflect::Value::Bit(self.b8),
                ::amqp_types::reflect::Value::ShortStr(::amqp_types::ShortStr::EMPTY),
                ::amqp_types::reflect::Value::Table(::amqp_types::FieldTable::new()),
                ::amqp_types::reflect::Value::Octet(self.reader),
                ::amqp_types::reflect::Value::Bit(self._2nd_Run)
            ]
        }
        fn into_any(self) -> super::Method {
            super::Method::Box(Method::Bits(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Box(Method::Bits(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Box(Method::Bits(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ClientMethod for Bits {}
    impl ::amqp_types::ServerMethod for Bits {}
}
/// Class `ask`, number 20: 6 methods.
///
/// Declared in `golden.xml:59`.
pub mod ask {
    /// Any method of class `ask`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Method {
        /// `ask.get`.
        Get(Get),
        /// `ask.get-ok`.
        GetOk(GetOk),
        /// `ask.get-empty`.
        GetEmpty(GetEmpty),
        /// `ask.method`.
        Method_(Method_),
        /// `ask.recover`.
        Recover(Recover),
        /// `ask.recover-ok`.
        RecoverOk(RecoverOk),
    }
    impl Method {
        /// The static description of class `ask`.
        pub const INFO: &'static ::amqp_types::reflect::ClassInfo = &::amqp_types::reflect::ClassInfo {
            name: "ask",
            id: 20,
            properties: &[],
            methods: &[
                <Get as ::amqp_types::Method>::INFO,
                <GetOk as ::amqp_types::Method>::INFO,
                <GetEmpty as ::amqp_types::Method>::INFO,
                <Method_ as ::amqp_types::Method>::INFO,
                <Recover as ::amqp_types::Method>::INFO,
                <RecoverOk as ::amqp_types::Method>::INFO,
            ],
        };
        pub(super) fn decode_into(
            place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<
            &'static ::amqp_types::reflect::MethodInfo,
            ::amqp_types::DecodeError,
        > {
            match method_id {
                1 => <Get as ::amqp_types::Method>::decode_arguments_into(place, reader),
                2 => {
                    <GetOk as ::amqp_types::Method>::decode_arguments_into(place, reader)
                }
                3 => {
                    <GetEmpty as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                4 => {
                    <Method_ as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                5 => {
                    <Recover as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                6 => {
                    <RecoverOk as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                _ => {
                    ::core::result::Result::Err(
                        ::amqp_types::DecodeError::new(
                            ::amqp_types::DecodeErrorKind::UnknownMethod(20, method_id),
                            2,
                        ),
                    )
                }
            }
        }
        pub(super) fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
            match self {
                Self::Get(_) => <Get as ::amqp_types::Method>::INFO,
                Self::GetOk(_) => <GetOk as ::amqp_types::Method>::INFO,
                Self::GetEmpty(_) => <GetEmpty as ::amqp_types::Method>::INFO,
                Self::Method_(_) => <Method_ as ::amqp_types::Method>::INFO,
                Self::Recover(_) => <Recover as ::amqp_types::Method>::INFO,
                Self::RecoverOk(_) => <RecoverOk as ::amqp_types::Method>::INFO,
            }
        }
        pub(super) fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            match self {
                Self::Get(method) => ::amqp_types::Method::encode(method, writer),
                Self::GetOk(method) => ::amqp_types::Method::encode(method, writer),
                Self::GetEmpty(method) => ::amqp_types::Method::encode(method, writer),
                Self::Method_(method) => ::amqp_types::Method::encode(method, writer),
                Self::Recover(method) => ::amqp_types::Method::encode(method, writer),
                Self::RecoverOk(method) => ::amqp_types::Method::encode(method, writer),
            }
        }
        pub(super) fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            match self {
                Self::Get(method) => ::amqp_types::Method::values(method),
                Self::GetOk(method) => ::amqp_types::Method::values(method),
                Self::GetEmpty(method) => ::amqp_types::Method::values(method),
                Self::Method_(method) => ::amqp_types::Method::values(method),
                Self::Recover(method) => ::amqp_types::Method::values(method),
                Self::RecoverOk(method) => ::amqp_types::Method::values(method),
            }
        }
    }
    /// `ask.get`: class 20, method 1; sent by the client; answered by [`GetOk`](struct@GetOk) or [`GetEmpty`](struct@GetEmpty) or [`Method_`](struct@Method_) ([`GetReply`]).
    ///
    /// Declared in `golden.xml:60`.
    #[doc(alias = "ask.get")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Get {}
    impl ::amqp_types::Method for Get {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const METHOD_ID: u16 = 1;
        const NAME: &'static str = "ask.get";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "ask",
            name: "get",
            full_name: "ask.get",
            class_id: 20,
            method_id: 1,
            fields: &[],
            synchronous: true,
            content: false,
            responses: &["get-ok", "get-empty", "method"],
            from_client: true,
            from_server: false,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Ask(Method::Get(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::Get(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Ask(Method::Get(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    /// What answers `ask.get`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum GetReply {
        /// `ask.get-ok`.
        Ok(GetOk),
        /// `ask.get-empty`.
        Empty(GetEmpty),
        /// `ask.method`.
        Method(Method_),
    }
    impl ::amqp_types::Reply for GetReply {
        type Protocol = super::Spec;
        fn accepts(class_id: u16, method_id: u16) -> bool {
            <GetOk as ::amqp_types::Reply>::accepts(class_id, method_id)
                || <GetEmpty as ::amqp_types::Reply>::accepts(class_id, method_id)
                || <Method_ as ::amqp_types::Reply>::accepts(class_id, method_id)
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::GetOk(method)) => {
                    ::core::result::Result::Ok(Self::Ok(method))
                }
                super::Method::Ask(Method::GetEmpty(method)) => {
                    ::core::result::Result::Ok(Self::Empty(method))
                }
                super::Method::Ask(Method::Method_(method)) => {
                    ::core::result::Result::Ok(Self::Method(method))
                }
                other => ::core::result::Result::Err(other),
            }
        }
    }
    impl ::amqp_types::Request for Get {
        type Reply = GetReply;
    }
    impl ::amqp_types::ClientMethod for Get {}
    /// `ask.get-ok`: class 20, method 2; sent by the server; carries content with [`Properties`](struct@Properties); answers [`Get`](struct@Get).
    ///
    /// Declared in `golden.xml:66`.
    #[doc(alias = "ask.get-ok")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct GetOk {}
    impl ::amqp_types::Method for GetOk {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const METHOD_ID: u16 = 2;
        const NAME: &'static str = "ask.get-ok";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "ask",
            name: "get-ok",
            full_name: "ask.get-ok",
            class_id: 20,
            method_id: 2,
            fields: &[],
            synchronous: false,
            content: true,
            responses: &[],
            from_client: false,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Ask(Method::GetOk(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::GetOk(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Ask(Method::GetOk(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ServerMethod for GetOk {}
    impl ::amqp_types::ContentMethod for GetOk {
        type Properties = Properties;
    }
    /// `ask.get-empty`: class 20, method 3; sent by the server; answers [`Get`](struct@Get).
    ///
    /// Declared in `golden.xml:69`.
    #[doc(alias = "ask.get-empty")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct GetEmpty {}
    impl ::amqp_types::Method for GetEmpty {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const METHOD_ID: u16 = 3;
        const NAME: &'static str = "ask.get-empty";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "ask",
            name: "get-empty",
            full_name: "ask.get-empty",
            class_id: 20,
            method_id: 3,
            fields: &[],
            synchronous: false,
            content: false,
            responses: &[],
            from_client: false,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Ask(Method::GetEmpty(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::GetEmpty(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Ask(Method::GetEmpty(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ServerMethod for GetEmpty {}
    /// `ask.method`: class 20, method 4; sent by the server; answers [`Get`](struct@Get).
    ///
    /// Declared in `golden.xml:72`.
    #[doc(alias = "ask.method")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Method_ {}
    impl ::amqp_types::Method for Method_ {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const METHOD_ID: u16 = 4;
        const NAME: &'static str = "ask.method";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "ask",
            name: "method",
            full_name: "ask.method",
            class_id: 20,
            method_id: 4,
            fields: &[],
            synchronous: false,
            content: false,
            responses: &[],
            from_client: false,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Ask(Method::Method_(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::Method_(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Ask(Method::Method_(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ServerMethod for Method_ {}
    /// `ask.recover`: class 20, method 5; sent by the client; answered by [`RecoverOk`](struct@RecoverOk).
    ///
    /// Declared in `golden.xml:75`.
    #[doc(alias = "ask.recover")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Recover {}
    impl ::amqp_types::Method for Recover {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const METHOD_ID: u16 = 5;
        const NAME: &'static str = "ask.recover";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "ask",
            name: "recover",
            full_name: "ask.recover",
            class_id: 20,
            method_id: 5,
            fields: &[],
            synchronous: false,
            content: false,
            responses: &["recover-ok"],
            from_client: true,
            from_server: false,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Ask(Method::Recover(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::Recover(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Ask(Method::Recover(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::Request for Recover {
        type Reply = RecoverOk;
    }
    impl ::amqp_types::ClientMethod for Recover {}
    /// `ask.recover-ok`: class 20, method 6; sent by the server; answers [`Recover`](struct@Recover).
    ///
    /// Declared in `golden.xml:78`.
    #[doc(alias = "ask.recover-ok")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct RecoverOk {}
    impl ::amqp_types::Method for RecoverOk {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const METHOD_ID: u16 = 6;
        const NAME: &'static str = "ask.recover-ok";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "ask",
            name: "recover-ok",
            full_name: "ask.recover-ok",
            class_id: 20,
            method_id: 6,
            fields: &[],
            synchronous: false,
            content: false,
            responses: &[],
            from_client: false,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Ask(Method::RecoverOk(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Ask(Method::RecoverOk(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Ask(Method::RecoverOk(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ServerMethod for RecoverOk {}
    /// Content of class `ask` has no properties.
    ///
    /// Declared in `golden.xml:59`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Properties {}
    impl ::amqp_types::Properties for Properties {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 20;
        const INFO: &'static ::amqp_types::reflect::ClassInfo = Method::INFO;
        #[inline]
        fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            let place = writer.begin_flags::<1>();
            let flags_0: u16 = 0;
            writer.end_flags(place, [flags_0]);
            ::core::result::Result::Ok(())
        }
        fn read(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            let [_] = reader.property_flags(0)?;
            ::core::result::Result::Ok(())
        }
        fn values(
            &self,
        ) -> ::std::vec::Vec<::core::option::Option<::amqp_types::reflect::Value>> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Properties {
            super::Properties::Ask(self)
        }
        fn from_any(
            any: super::Properties,
        ) -> ::core::result::Result<Self, super::Properties> {
            match any {
                super::Properties::Ask(properties) => {
                    ::core::result::Result::Ok(properties)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(
            any: &mut super::Properties,
        ) -> ::core::option::Option<&mut Self> {
            match any {
                super::Properties::Ask(properties) => {
                    ::core::option::Option::Some(properties)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
}
/// Class `content`, number 30: 1 method, content with 16 properties.
///
/// Declared in `golden.xml:84`.
pub mod content {
    /// Any method of class `content`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Method {
        /// `content.send`.
        Send(Send),
    }
    impl Method {
        /// The static description of class `content`.
        pub const INFO: &'static ::amqp_types::reflect::ClassInfo = &::amqp_types::reflect::ClassInfo {
            name: "content",
            id: 30,
            properties: {
                use ::amqp_types::reflect::WireType;
                &[
                    super::Spec::field("p1", WireType::ShortStr, "shortstr"),
                    super::Spec::field("p2", WireType::Octet, "octet"),
                    super::Spec::field("p3", WireType::Bit, "bit"),
                    super::Spec::field("p4", WireType::Table, "table"),
                    super::Spec::reserved("p5", WireType::LongStr, "longstr"),
                    super::Spec::reserved("p6", WireType::Bit, "bit"),
                    super::Spec::field("p7", WireType::Octet, "octet"),
                    super::Spec::field("p8", WireType::Octet, "octet"),
                    super::Spec::field("p9", WireType::Octet, "octet"),
                    super::Spec::field("p10", WireType::Octet, "octet"),
                    super::Spec::field("p11", WireType::Octet, "octet"),
                    super::Spec::field("p12", WireType::Octet, "octet"),
                    super::Spec::field("p13", WireType::Octet, "octet"),
                    super::Spec::field("p14", WireType::Octet, "octet"),
                    super::Spec::field("p15", WireType::Short, "short"),
                    super::Spec::field("p16", WireType::Timestamp, "timestamp"),
                ]
            },
            methods: &[<Send as ::amqp_types::Method>::INFO],
        };
        pub(super) fn decode_into(
            place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<
            &'static ::amqp_types::reflect::MethodInfo,
            ::amqp_types::DecodeError,
        > {
            match method_id {
                0 => <Send as ::amqp_types::Method>::decode_arguments_into(place, reader),
                _ => {
                    ::core::result::Result::Err(
                        ::amqp_types::DecodeError::new(
                            ::amqp_types::DecodeErrorKind::UnknownMethod(30, method_id),
                            2,
                        ),
                    )
                }
            }
        }
        pub(super) fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
            match self {
                Self::Send(_) => <Send as ::amqp_types::Method>::INFO,
            }
        }
        pub(super) fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            match self {
                Self::Send(method) => ::amqp_types::Method::encode(method, writer),
            }
        }
        pub(super) fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            match self {
                Self::Send(method) => ::amqp_types::Method::values(method),
            }
        }
    }
    /// `content.send`: class 30, method 0; sent by either peer; carries content with [`Properties`](struct@Properties); no reply.
    ///
    /// Declared in `golden.xml:101`.
    #[doc(alias = "content.send")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Send {}
    impl ::amqp_types::Method for Send {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 30;
        const METHOD_ID: u16 = 0;
        const NAME: &'static str = "content.send";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "content",
            name: "send",
            full_name: "content.send",
            class_id: 30,
            method_id: 0,
            fields: &[],
            synchronous: false,
            content: true,
            responses: &[],
            from_client: true,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::Content(Method::Send(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Content(Method::Send(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Content(Method::Send(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ClientMethod for Send {}
    impl ::amqp_types::ServerMethod for Send {}
    impl ::amqp_types::ContentMethod for Send {
        type Properties = Properties;
    }
    /// The 16 content properties of class `content`, each optional.
    ///
    /// Declared in `golden.xml:84`.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Properties {
        /// `p1`: shortstr.
        pub p1: ::core::option::Option<::amqp_types::ShortStr>,
        /// `p2`: octet.
        pub p2: ::core::option::Option<u8>,
        /// `p3`: bit.
        pub p3: bool,
        /// `p4`: table.
        pub p4: ::core::option::Option<::amqp_types::FieldTable>,
        /// `p7`: octet.
        pub p7: ::core::option::Option<u8>,
        /// `p8`: octet.
        pub p8: ::core::option::Option<u8>,
        /// `p9`: octet.
        pub p9: ::core::option::Option<u8>,
        /// `p10`: octet.
        pub p10: ::core::option::Option<u8>,
        /// `p11`: octet.
        pub p11: ::core::option::Option<u8>,
        /// `p12`: octet.
        pub p12: ::core::option::Option<u8>,
        /// `p13`: octet.
        pub p13: ::core::option::Option<u8>,
        /// `p14`: octet.
        pub p14: ::core::option::Option<u8>,
        /// `p15`: short.
        pub p15: ::core::option::Option<u16>,
        /// `p16`: timestamp.
        pub p16: ::core::option::Option<::amqp_types::Timestamp>,
    }
    impl Properties {
        /// Sets `p1`.
        #[inline]
        #[must_use]
        pub fn with_p1(mut self, p1: ::amqp_types::ShortStr) -> Self {
            self.p1 = ::core::option::Option::Some(p1);
            self
        }
        /// Sets `p2`.
        #[inline]
        #[must_use]
        pub fn with_p2(mut self, p2: u8) -> Self {
            self.p2 = ::core::option::Option::Some(p2);
            self
        }
        /// Sets `p3`.
        #[inline]
        #[must_use]
        pub fn with_p3(mut self, p3: bool) -> Self {
            self.p3 = p3;
            self
        }
        /// Sets `p4`.
        #[inline]
        #[must_use]
        pub fn with_p4(mut self, p4: ::amqp_types::FieldTable) -> Self {
            self.p4 = ::core::option::Option::Some(p4);
            self
        }
        /// Sets `p7`.
        #[inline]
        #[must_use]
        pub fn with_p7(mut self, p7: u8) -> Self {
            self.p7 = ::core::option::Option::Some(p7);
            self
        }
        /// Sets `p8`.
        #[inline]
        #[must_use]
        pub fn with_p8(mut self, p8: u8) -> Self {
            self.p8 = ::core::option::Option::Some(p8);
            self
        }
        /// Sets `p9`.
        #[inline]
        #[must_use]
        pub fn with_p9(mut self, p9: u8) -> Self {
            self.p9 = ::core::option::Option::Some(p9);
            self
        }
        /// Sets `p10`.
        #[inline]
        #[must_use]
        pub fn with_p10(mut self, p10: u8) -> Self {
            self.p10 = ::core::option::Option::Some(p10);
            self
        }
        /// Sets `p11`.
        #[inline]
        #[must_use]
        pub fn with_p11(mut self, p11: u8) -> Self {
            self.p11 = ::core::option::Option::Some(p11);
            self
        }
        /// Sets `p12`.
        #[inline]
        #[must_use]
        pub fn with_p12(mut self, p12: u8) -> Self {
            self.p12 = ::core::option::Option::Some(p12);
            self
        }
        /// Sets `p13`.
        #[inline]
        #[must_use]
        pub fn with_p13(mut self, p13: u8) -> Self {
            self.p13 = ::core::option::Option::Some(p13);
            self
        }
        /// Sets `p14`.
        #[inline]
        #[must_use]
        pub fn with_p14(mut self, p14: u8) -> Self {
            self.p14 = ::core::option::Option::Some(p14);
            self
        }
        /// Sets `p15`.
        #[inline]
        #[must_use]
        pub fn with_p15(mut self, p15: u16) -> Self {
            self.p15 = ::core::option::Option::Some(p15);
            self
        }
        /// Sets `p16`.
        #[inline]
        #[must_use]
        pub fn with_p16(mut self, p16: ::amqp_types::Timestamp) -> Self {
            self.p16 = ::core::option::Option::Some(p16);
            self
        }
    }
    impl ::amqp_types::Properties for Properties {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 30;
        const INFO: &'static ::amqp_types::reflect::ClassInfo = Method::INFO;
        #[inline]
        fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            let place = writer.begin_flags::<2>();
            let mut flags_0: u16 = 1;
            let mut flags_1: u16 = 0;
            if let ::core::option::Option::Some(value) = &self.p1 {
                flags_0 |= 0x8000;
                writer.short_str(value);
            }
            if let ::core::option::Option::Some(value) = self.p2 {
                flags_0 |= 0x4000;
                writer.octet(value);
            }
            if self.p3 {
                flags_0 |= 0x2000;
            }
            if let ::core::option::Option::Some(value) = &self.p4 {
                flags_0 |= 0x1000;
                writer.table(value)?;
            }
            if let ::core::option::Option::Some(value) = self.p7 {
                flags_0 |= 0x0200;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p8 {
                flags_0 |= 0x0100;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p9 {
                flags_0 |= 0x0080;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p10 {
                flags_0 |= 0x0040;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p11 {
                flags_0 |= 0x0020;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p12 {
                flags_0 |= 0x0010;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p13 {
                flags_0 |= 0x0008;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p14 {
                flags_0 |= 0x0004;
                writer.octet(value);
            }
            if let ::core::option::Option::Some(value) = self.p15 {
                flags_0 |= 0x0002;
                writer.short(value);
            }
            if let ::core::option::Option::Some(value) = self.p16 {
                flags_1 |= 0x8000;
                writer.timestamp(value);
            }
            writer.end_flags(place, [flags_0, flags_1]);
            ::core::result::Result::Ok(())
        }
        fn read(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            let [flags_0, flags_1] = reader.property_flags(16)?;
            if flags_0 & 0x8000 != 0 {
                reader.short_octets_into(self.p1.insert(::amqp_types::ShortStr::EMPTY))?;
            }
            if flags_0 & 0x4000 != 0 {
                self.p2 = ::core::option::Option::Some(reader.octet()?);
            }
            self.p3 = flags_0 & 0x2000 != 0;
            if flags_0 & 0x1000 != 0 {
                self.p4 = ::core::option::Option::Some(reader.table()?);
            }
            if flags_0 & 0x0800 != 0 {
                reader.long_str()?;
            }
            if flags_0 & 0x0200 != 0 {
                self.p7 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0100 != 0 {
                self.p8 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0080 != 0 {
                self.p9 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0040 != 0 {
                self.p10 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0020 != 0 {
                self.p11 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0010 != 0 {
                self.p12 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0008 != 0 {
                self.p13 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0004 != 0 {
                self.p14 = ::core::option::Option::Some(reader.octet()?);
            }
            if flags_0 & 0x0002 != 0 {
                self.p15 = ::core::option::Option::Some(reader.short()?);
            }
            if flags_1 & 0x8000 != 0 {
                self.p16 = ::core::option::Option::Some(reader.timestamp()?);
            }
            ::core::result::Result::Ok(())
        }
        fn values(
            &self,
        ) -> ::std::vec::Vec<::core::option::Option<::amqp_types::reflect::Value>> {
            ::std::vec![
                self.p1.clone().map(::amqp_types::reflect::Value::ShortStr), self.p2
                .map(::amqp_types::reflect::Value::Octet), self.p3
                .then_some(::amqp_types::reflect::Value::Bit(true)), self.p4.clone()
                .map(::amqp_types::reflect::Value::Table), ::core::option::Option::None,
                ::core::option::Option::None, self.p7
                .map(::amqp_types::reflect::Value::Octet), self.p8
                .map(::amqp_types::reflect::Value::Octet), self.p9
                .map(::amqp_types::reflect::Value::Octet), self.p10
                .map(::amqp_types::reflect::Value::Octet), self.p11
                .map(::amqp_types::reflect::Value::Octet), self.p12
                .map(::amqp_types::reflect::Value::Octet), self.p13
                .map(::amqp_types::reflect::Value::Octet), self.p14
                .map(::amqp_types::reflect::Value::Octet), self.p15
                .map(::amqp_types::reflect::Value::Short), self.p16
                .map(::amqp_types::reflect::Value::Timestamp)
            ]
        }
        fn into_any(self) -> super::Properties {
            super::Properties::Content(self)
        }
        fn from_any(
            any: super::Properties,
        ) -> ::core::result::Result<Self, super::Properties> {
            match any {
                super::Properties::Content(properties) => {
                    ::core::result::Result::Ok(properties)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(
            any: &mut super::Properties,
        ) -> ::core::option::Option<&mut Self> {
            match any {
                super::Properties::Content(properties) => {
                    ::core::option::Option::Some(properties)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
}
/// Class `amqp-types`, number 40: 2 methods, content with 2 properties.
///
/// Declared in `golden.xml:108`.
pub mod amqp_types_ {
    /// Any method of class `amqp-types`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Method {
        /// `amqp-types.INFO`.
        INFO_(INFO_),
        /// `amqp-types.INFO-Ok`.
        INFOOk(INFOOk),
    }
    impl Method {
        /// The static description of class `amqp-types`.
        pub const INFO: &'static ::amqp_types::reflect::ClassInfo = &::amqp_types::reflect::ClassInfo {
            name: "amqp-types",
            id: 40,
            properties: {
                use ::amqp_types::reflect::WireType;
                &[
                    super::Spec::field("Some", WireType::ShortStr, "shortstr"),
                    super::Spec::field("None", WireType::Bit, "bit"),
                ]
            },
            methods: &[
                <INFO_ as ::amqp_types::Method>::INFO,
                <INFOOk as ::amqp_types::Method>::INFO,
            ],
        };
        pub(super) fn decode_into(
            place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<
            &'static ::amqp_types::reflect::MethodInfo,
            ::amqp_types::DecodeError,
        > {
            match method_id {
                1 => {
                    <INFO_ as ::amqp_types::Method>::decode_arguments_into(place, reader)
                }
                2 => {
                    <INFOOk as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                _ => {
                    ::core::result::Result::Err(
                        ::amqp_types::DecodeError::new(
                            ::amqp_types::DecodeErrorKind::UnknownMethod(40, method_id),
                            2,
                        ),
                    )
                }
            }
        }
        pub(super) fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
            match self {
                Self::INFO_(_) => <INFO_ as ::amqp_types::Method>::INFO,
                Self::INFOOk(_) => <INFOOk as ::amqp_types::Method>::INFO,
            }
        }
        pub(super) fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            match self {
                Self::INFO_(method) => ::amqp_types::Method::encode(method, writer),
                Self::INFOOk(method) => ::amqp_types::Method::encode(method, writer),
            }
        }
        pub(super) fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            match self {
                Self::INFO_(method) => ::amqp_types::Method::values(method),
                Self::INFOOk(method) => ::amqp_types::Method::values(method),
            }
        }
    }
    /// `amqp-types.INFO`: class 40, method 1; sent by either peer; carries content with [`Properties`](struct@Properties); answered by [`INFOOk`](struct@INFOOk).
    ///
    /// Declared in `golden.xml:111`.
    #[doc(alias = "amqp-types.INFO")]
    #[allow(non_snake_case)]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct INFO_ {
        /// `Some`: octet.
        pub Some_: u8,
        /// `None`: bit.
        pub None_: bool,
        /// `Ok`: bit.
        pub Ok_: bool,
        /// `Err`: shortstr.
        pub Err_: ::amqp_types::ShortStr,
    }
    impl ::amqp_types::Method for INFO_ {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 40;
        const METHOD_ID: u16 = 1;
        const NAME: &'static str = "amqp-types.INFO";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "amqp-types",
            name: "INFO",
            full_name: "amqp-types.INFO",
            class_id: 40,
            method_id: 1,
            fields: {
                use ::amqp_types::reflect::WireType;
                &[
                    super::Spec::field("Some", WireType::Octet, "octet"),
                    super::Spec::field("None", WireType::Bit, "bit"),
                    super::Spec::field("Ok", WireType::Bit, "bit"),
                    super::Spec::field("Err", WireType::ShortStr, "shortstr"),
                ]
            },
            synchronous: true,
            content: true,
            responses: &["INFO-Ok"],
            from_client: true,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            writer.octet(self.Some_);
            writer.bits([self.None_, self.Ok_]);
            writer.short_str(&self.Err_);
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            self.Some_ = reader.octet()?;
            [self.None_, self.Ok_] = reader.bits()?;
            reader.short_str_into(&mut self.Err_)?;
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![
                ::amqp_types::reflect::Value::Octet(self.Some_),
                ::amqp_types::reflect::Value::Bit(self.None_),
                ::amqp_types::reflect::Value::Bit(self.Ok_),
                ::amqp_types::reflect::Value::ShortStr(self.Err_.clone())
            ]
        }
        fn into_any(self) -> super::Method {
            super::Method::AmqpTypes(Method::INFO_(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::AmqpTypes(Method::INFO_(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::AmqpTypes(Method::INFO_(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::Request for INFO_ {
        type Reply = INFOOk;
    }
    impl ::amqp_types::ClientMethod for INFO_ {}
    impl ::amqp_types::ServerMethod for INFO_ {}
    impl ::amqp_types::ContentMethod for INFO_ {
        type Properties = Properties;
    }
    /// `amqp-types.INFO-Ok`: class 40, method 2; sent by either peer; answers [`INFO_`](struct@INFO_).
    ///
    /// Declared in `golden.xml:118`.
    #[doc(alias = "amqp-types.INFO-Ok")]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct INFOOk {}
    impl ::amqp_types::Method for INFOOk {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 40;
        const METHOD_ID: u16 = 2;
        const NAME: &'static str = "amqp-types.INFO-Ok";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "amqp-types",
            name: "INFO-Ok",
            full_name: "amqp-types.INFO-Ok",
            class_id: 40,
            method_id: 2,
            fields: &[],
            synchronous: false,
            content: false,
            responses: &[],
            from_client: true,
            from_server: true,
        };
        #[inline]
        fn encode_arguments(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![]
        }
        fn into_any(self) -> super::Method {
            super::Method::AmqpTypes(Method::INFOOk(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::AmqpTypes(Method::INFOOk(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::AmqpTypes(Method::INFOOk(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ClientMethod for INFOOk {}
    impl ::amqp_types::ServerMethod for INFOOk {}
    /// The 2 content properties of class `amqp-types`, each optional.
    ///
    /// Declared in `golden.xml:108`.
    #[allow(non_snake_case)]
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Properties {
        /// `Some`: shortstr.
        pub Some_: ::core::option::Option<::amqp_types::ShortStr>,
        /// `None`: bit.
        pub None_: bool,
    }
    #[allow(non_snake_case)]
    impl Properties {
        /// Sets `Some`.
        #[inline]
        #[must_use]
        pub fn with_Some(mut self, Some_: ::amqp_types::ShortStr) -> Self {
            self.Some_ = ::core::option::Option::Some(Some_);
            self
        }
        /// Sets `None`.
        #[inline]
        #[must_use]
        pub fn with_None(mut self, None_: bool) -> Self {
            self.None_ = None_;
            self
        }
    }
    impl ::amqp_types::Properties for Properties {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 40;
        const INFO: &'static ::amqp_types::reflect::ClassInfo = Method::INFO;
        #[inline]
        fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            let place = writer.begin_flags::<1>();
            let mut flags_0: u16 = 0;
            if let ::core::option::Option::Some(value) = &self.Some_ {
                flags_0 |= 0x8000;
                writer.short_str(value);
            }
            if self.None_ {
                flags_0 |= 0x4000;
            }
            writer.end_flags(place, [flags_0]);
            ::core::result::Result::Ok(())
        }
        fn read(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            let [flags_0] = reader.property_flags(2)?;
            if flags_0 & 0x8000 != 0 {
                reader
                    .short_octets_into(
                        self.Some_.insert(::amqp_types::ShortStr::EMPTY),
                    )?;
            }
            self.None_ = flags_0 & 0x4000 != 0;
            ::core::result::Result::Ok(())
        }
        fn values(
            &self,
        ) -> ::std::vec::Vec<::core::option::Option<::amqp_types::reflect::Value>> {
            ::std::vec![
                self.Some_.clone().map(::amqp_types::reflect::Value::ShortStr), self
                .None_.then_some(::amqp_types::reflect::Value::Bit(true))
            ]
        }
        fn into_any(self) -> super::Properties {
            super::Properties::AmqpTypes(self)
        }
        fn from_any(
            any: super::Properties,
        ) -> ::core::result::Result<Self, super::Properties> {
            match any {
                super::Properties::AmqpTypes(properties) => {
                    ::core::result::Result::Ok(properties)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(
            any: &mut super::Properties,
        ) -> ::core::option::Option<&mut Self> {
            match any {
                super::Properties::AmqpTypes(properties) => {
                    ::core::option::Option::Some(properties)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
}
/// Class `connection`, number 50: 1 method.
///
/// Declared in `golden.xml:122`.
pub mod connection {
    /// Any method of class `connection`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Method {
        /// `connection.secure`.
        Secure(Secure),
    }
    impl Method {
        /// The static description of class `connection`.
        pub const INFO: &'static ::amqp_types::reflect::ClassInfo = &::amqp_types::reflect::ClassInfo {
            name: "connection",
            id: 50,
            properties: &[],
            methods: &[<Secure as ::amqp_types::Method>::INFO],
        };
        pub(super) fn decode_into(
            place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<
            &'static ::amqp_types::reflect::MethodInfo,
            ::amqp_types::DecodeError,
        > {
            match method_id {
                1 => {
                    <Secure as ::amqp_types::Method>::decode_arguments_into(
                        place,
                        reader,
                    )
                }
                _ => {
                    ::core::result::Result::Err(
                        ::amqp_types::DecodeError::new(
                            ::amqp_types::DecodeErrorKind::UnknownMethod(50, method_id),
                            2,
                        ),
                    )
                }
            }
        }
        pub(super) fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
            match self {
                Self::Secure(_) => <Secure as ::amqp_types::Method>::INFO,
            }
        }
        pub(super) fn encode(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            match self {
                Self::Secure(method) => ::amqp_types::Method::encode(method, writer),
            }
        }
        pub(super) fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            match self {
                Self::Secure(method) => ::amqp_types::Method::values(method),
            }
        }
    }
    /// `connection.secure`: class 50, method 1; sent by the client; no reply.
    ///
    /// Declared in `golden.xml:123`.
    #[doc(alias = "connection.secure")]
    #[derive(Clone, Default, PartialEq)]
    pub struct Secure {
        /// `note`: shortstr.
        pub note: ::amqp_types::ShortStr,
        /// `response`: longstr.
        pub response: ::amqp_types::bytes::Bytes,
        /// `new-secret`: shortstr.
        pub new_secret: ::amqp_types::ShortStr,
    }
    /// Of a secret the size alone.
    impl ::core::fmt::Debug for Secure {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_struct("Secure")
                .field("note", &self.note)
                .field(
                    "response",
                    &::core::format_args!("[{} octets]", self.response.len()),
                )
                .field("new_secret", &::core::format_args!("[hidden]"))
                .finish()
        }
    }
    impl ::amqp_types::Method for Secure {
        type Protocol = super::Spec;
        const CLASS_ID: u16 = 50;
        const METHOD_ID: u16 = 1;
        const NAME: &'static str = "connection.secure";
        const INFO: &'static ::amqp_types::reflect::MethodInfo = &::amqp_types::reflect::MethodInfo {
            class: "connection",
            name: "secure",
            full_name: "connection.secure",
            class_id: 50,
            method_id: 1,
            fields: {
                use ::amqp_types::reflect::WireType;
                &[
                    super::Spec::field("note", WireType::ShortStr, "shortstr"),
                    super::Spec::field("response", WireType::LongStr, "longstr"),
                    super::Spec::field("new-secret", WireType::ShortStr, "shortstr"),
                ]
            },
            synchronous: false,
            content: false,
            responses: &[],
            from_client: true,
            from_server: false,
        };
        #[inline]
        fn encode_arguments(
            &self,
            writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            writer.short_str(&self.note);
            writer.long_str(&self.response)?;
            writer.short_str(&self.new_secret);
            ::core::result::Result::Ok(())
        }
        fn read_arguments(
            &mut self,
            reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::DecodeError> {
            reader.short_str_into(&mut self.note)?;
            self.response = reader.long_str()?;
            reader.short_str_into(&mut self.new_secret)?;
            ::core::result::Result::Ok(())
        }
        fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            ::std::vec![
                ::amqp_types::reflect::Value::ShortStr(self.note.clone()),
                ::amqp_types::reflect::Value::LongStr(self.response.clone()),
                ::amqp_types::reflect::Value::ShortStr(self.new_secret.clone())
            ]
        }
        fn into_any(self) -> super::Method {
            super::Method::Connection(Method::Secure(self))
        }
        fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
            match any {
                super::Method::Connection(Method::Secure(method)) => {
                    ::core::result::Result::Ok(method)
                }
                other => ::core::result::Result::Err(other),
            }
        }
        fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
            match any {
                super::Method::Connection(Method::Secure(method)) => {
                    ::core::option::Option::Some(method)
                }
                _ => ::core::option::Option::None,
            }
        }
    }
    impl ::amqp_types::ClientMethod for Secure {}
}
/// Class `constants`, number 0: 0 methods.
///
/// Declared in `golden.xml:132`.
pub mod constants_ {
    /// Any method of class `constants`.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq)]
    pub enum Method {}
    impl Method {
        /// The static description of class `constants`.
        pub const INFO: &'static ::amqp_types::reflect::ClassInfo = &::amqp_types::reflect::ClassInfo {
            name: "constants",
            id: 0,
            properties: &[],
            methods: &[],
        };
        pub(super) fn decode_into(
            _place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            _reader: &mut ::amqp_types::wire::Reader<'_>,
        ) -> ::core::result::Result<
            &'static ::amqp_types::reflect::MethodInfo,
            ::amqp_types::DecodeError,
        > {
            ::core::result::Result::Err(
                ::amqp_types::DecodeError::new(
                    ::amqp_types::DecodeErrorKind::UnknownMethod(0, method_id),
                    2,
                ),
            )
        }
        pub(super) fn info(&self) -> &'static ::amqp_types::reflect::MethodInfo {
            match *self {}
        }
        pub(super) fn encode(
            &self,
            _writer: &mut ::amqp_types::wire::Writer<'_>,
        ) -> ::core::result::Result<(), ::amqp_types::EncodeError> {
            match *self {}
        }
        pub(super) fn values(&self) -> ::std::vec::Vec<::amqp_types::reflect::Value> {
            match *self {}
        }
    }
}
/// Compiles one of two pieces of code by whether the compiled specification has something.
///
/// Asks for `class`, `class.method`, `class.method.field`, `class.properties.name` or
/// `constant.name`, all in snake case. The `else` may be left out. Works as an item, a
/// statement and an expression. Reserved fields count as absent.
///
/// ```ignore
/// if_spec! { basic.nack => { let how = "nack"; } else { let how = "reject"; } }
/// ```
#[macro_export]
macro_rules! if_golden {
    (box => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . octet => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . short => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . long => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . longlong => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . shortstr => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . longstr => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . timestamp => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . table => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . content => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . type => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . return . no_wait => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . ok => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b0 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b1 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b3 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b4 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b5 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b6 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b7 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . b8 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . reader => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (box . bits . _2nd_Run => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask . get => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask . get_ok => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask . get_empty => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask . method => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask . recover => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (ask . recover_ok => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . send => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p1 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p2 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p3 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p4 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p7 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p8 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p9 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p10 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p11 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p12 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p13 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p14 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p15 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (content . properties . p16 => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . INFO => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . INFO . Some => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . INFO . None => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . INFO . Ok => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . INFO . Err => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . INFO_Ok => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . properties . Some => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (amqp_types . properties . None => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (connection => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (connection . secure => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (connection . secure . note => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (connection . secure . response => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (connection . secure . new_secret => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constants => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . frame_method => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . frame_header => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . frame_body => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . frame_heartbeat => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . frame_min_size => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . frame_end => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . reply_success => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . odd_code => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . odd_alias => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    (constant . worse_code => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($yes)*
    };
    ($first:ident $(. $rest:ident)* => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
        $($($no)*)?
    };
}
/// Refuses to compile unless the compiled specification is one of those named.
///
/// An environment variable can be missing without anybody noticing; this notices.
///
/// ```ignore
/// require_spec!("0-9-1", "rabbitmq");
/// ```
#[macro_export]
macro_rules! require_golden {
    ("golden" $(, $rest:literal)* $(,)?) => {};
    ($_0:literal, "golden" $(, $rest:literal)* $(,)?) => {};
    ($_0:literal, $_1:literal, "golden" $(, $rest:literal)* $(,)?) => {};
    ($_0:literal, $_1:literal, $_2:literal, "golden" $(, $rest:literal)* $(,)?) => {};
    ($wanted:literal $(, $other:literal)* $(,)?) => {
        ::core::compile_error!(::core::concat!("this code needs the AMQP specification \"",
        $wanted, $("\" or \"", $other,)* "\", but \"golden\" is compiled in",));
    };
}
