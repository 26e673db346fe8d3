//! Where replies may go: RabbitMQ ends the connection of whoever publishes to an address of direct reply-to that it has not
//! made itself, and whoever asks names the address. So one that it cannot have made is known here.
//!
//! Such an address is an Erlang process, as that language's external term format has it, and a key, both in base64.

/// RabbitMQ's answers without a queue.
pub(super) const DIRECT: &str = "amq.rabbitmq.reply-to";

/// What its addresses are for: `false` for one that a broker cannot have made, though it is of direct reply-to.
pub(super) fn may_be_published_to(address: &[u8]) -> bool {
    match address.strip_prefix(DIRECT.as_bytes()).and_then(|rest| rest.strip_prefix(b".")) {
        Some(rest) => may_be_direct(rest),
        None => true,
    }
}

/// Whether it may be of direct reply-to, which tells no queue.
pub(super) fn is_direct(address: &[u8]) -> bool {
    address.starts_with(DIRECT.as_bytes())
}

fn may_be_direct(rest: &[u8]) -> bool {
    let mut parts = rest.split(|octet| *octet == b'.');
    let (Some(process), Some(key), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    decoded(process).is_some_and(|process| is_process(&process)) && decoded(key).is_some()
}

/// A version octet, a process's tag, its node's name, and three numbers, of which the last, the node's creation, once had one
/// octet.
fn is_process(term: &[u8]) -> bool {
    let [131, tag @ (88 | 103), rest @ ..] = term else { return false };
    let (name, numbers) = match rest {
        // An atom with a length of two octets.
        [100 | 118, high, low, rest @ ..] => {
            match rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))) {
                Some(parts) => parts,
                None => return false,
            }
        }
        // With one of one octet.
        [115 | 119, length, rest @ ..] => match rest.split_at_checked(usize::from(*length)) {
            Some(parts) => parts,
            None => return false,
        },
        _ => return false,
    };
    let creation = if *tag == 88 { 4 } else { 1 };
    numbers.len() == 8 + creation && is_node(name)
}

/// `name@host`; RabbitMQ puts a number in the host's place.
fn is_node(name: &[u8]) -> bool {
    let mut parts = name.split(|octet| *octet == b'@');
    let (Some(name), Some(host), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    let host_is_plain = match name == b"reply" {
        true => host.iter().all(u8::is_ascii_digit),
        false => host.iter().all(is_plain),
    };
    !name.is_empty() && name.iter().all(is_plain) && !host.is_empty() && host_is_plain
}

/// What base64 stands for, with its padding.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let mut octets = Vec::with_capacity(digits.len());
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        bits = bits << 6 & 0xffff | u32::from(value(*digit)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(octets)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RabbitMQ 3.10 has made it.
    const MADE: &str = "amq.rabbitmq.reply-to.g1h2AA9yZXBseUAxMzI0ODkzNjQAAA5WAAAAAGsH1Ew=.Eua6LfuaHbuuDtL4eHUl8Q==";

    #[test]
    fn base64_stands_for_octets() {
        let decoded = |text: &str| decoded(text.as_bytes());
        assert_eq!(decoded("TWFu").as_deref(), Some(&b"Man"[..]));
        assert_eq!(decoded("TWE=").as_deref(), Some(&b"Ma"[..]));
        assert_eq!(decoded("TQ==").as_deref(), Some(&b"M"[..]));
        assert_eq!(decoded("+/+/").as_deref(), Some(&b"\xfb\xff\xbf"[..]));
        for wrong in ["", "T", "TWF", "TW=u", "T===", "TWF!", "TWFuA"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_that_a_broker_has_made_are_known() {
        let long_names = "amq.rabbitmq.reply-to.g2dkAA1yYWJiaXRAaG9zdC0xAAAAAQAAAAAB.AAAA";
        for made in [MADE, long_names, "queue", "", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply"] {
            assert!(may_be_published_to(made.as_bytes()), "{made}");
        }
    }

    #[test]
    fn addresses_that_no_broker_has_made_are_not() {
        let (process, key) = MADE["amq.rabbitmq.reply-to.".len()..].split_once('.').unwrap();
        let longer = format!("{process}AAAA");
        for (process, key) in [
            ("", ""),
            ("!!!", key),
            ("AAAA", key),
            ("g2gCdwFhYQE=", key),
            (process, ""),
            (process, "!"),
            (process, &format!("{key}.x")),
            (&process[..process.len() - 4], key),
            (&longer, key),
        ] {
            let address = format!("amq.rabbitmq.reply-to.{process}.{key}");
            assert!(!may_be_published_to(address.as_bytes()), "{address}");
        }
        assert!(!may_be_published_to(b"amq.rabbitmq.reply-to."));
        // Whatever is changed, it ends.
        for at in 0..MADE.len() {
            for octet in [0, b'.', b'=', b'/', 0xff] {
                let mut changed = MADE.as_bytes().to_vec();
                changed[at] = octet;
                let _ = may_be_published_to(&changed);
            }
        }
    }
}
