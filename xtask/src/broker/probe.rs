//! Whether a broker answers, and what it says it is: one protocol header out, `connection.start` in.
//!
//! It reads no more of AMQP than it takes to find two entries in the server's properties, as xtask
//! must build without the crates that it builds.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Both brokers of the 0-9-1 and of the 1.0 age answer to it.
const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
const LARGEST: usize = 64 * 1024;

/// The product and version of the broker at 127.0.0.1:`port`.
pub(crate) fn product(port: u16, patience: Duration) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(HEADER)?;
    // octet type, short channel, long size
    let mut head = [0; 7];
    stream.read_exact(&mut head)?;
    let [kind, _, _, size @ ..] = head;
    let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if kind != 1 || size > LARGEST {
        return Err(Error::new(ErrorKind::InvalidData, "what answers is not an AMQP 0-9-1 broker"));
    }
    let mut payload = vec![0; size];
    stream.read_exact(&mut payload)?;
    let entry = |name| long_string(&payload, name).unwrap_or_else(|| "?".to_owned());
    Ok(format!("{} {}", entry("product"), entry("version")))
}

/// The value of a table's entry: short string key, tag `S`, long length, octets.
fn long_string(table: &[u8], name: &str) -> Option<String> {
    let mut key = vec![u8::try_from(name.len()).ok()?];
    key.extend_from_slice(name.as_bytes());
    key.push(b'S');
    let at = table.windows(key.len()).position(|window| window == key)?;
    let (length, value) = table.get(at + key.len()..)?.split_first_chunk::<4>()?;
    let value = value.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_string_finds_a_whole_entry_only() {
        let table = b"\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\xffshort";
        assert_eq!(long_string(table, "product").as_deref(), Some("RabbitMQ"));
        assert_eq!(long_string(table, "version"), None);
        assert_eq!(long_string(table, "platform"), None);
    }
}
