//! The TCP sockets of this process that lead to a port.
//!
//! Read from `/proc`: the kernel's table of connections, of which those are ours whose inode one of our
//! file descriptors has. Where there is no `/proc` (not Linux) none are found; the broker's side of each
//! connection is still checked then.

use std::collections::HashSet;
use std::fs;

/// One of this process's sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) state: &'static str,
}

/// This process's sockets whose other end is `port`.
pub(crate) fn leading_to(port: u16) -> Vec<Socket> {
    let own = own_inodes();
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .iter()
        .flat_map(|table| rows(&fs::read_to_string(table).unwrap_or_default()))
        .filter(|(socket, inode)| socket.remote_port == port && own.contains(inode))
        .map(|(socket, _)| socket)
        .collect()
}

fn own_inodes() -> HashSet<u64> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|target| {
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// The rows of the kernel's table: number, local, remote, state, two columns of queues and timers,
/// retransmissions, user, timeout, inode.
fn rows(table: &str) -> Vec<(Socket, u64)> {
    table.lines().skip(1).filter_map(row).collect()
}

fn row(line: &str) -> Option<(Socket, u64)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let port =
        |column: usize| u16::from_str_radix(columns.get(column)?.rsplit_once(':')?.1, 16).ok();
    let socket =
        Socket { local_port: port(1)?, remote_port: port(2)?, state: state_name(columns.get(3)?) };
    Some((socket, columns.get(9)?.parse().ok()?))
}

fn state_name(code: &str) -> &'static str {
    match code {
        "01" => "established",
        "02" => "connecting",
        "04" | "05" => "closing (we closed first)",
        "08" => "half closed (the broker closed)",
        "09" => "closing (the broker closed first)",
        _ => "in another state",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn finds_an_own_socket_until_it_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(leading_to(port), []);
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let local_port = stream.local_addr().unwrap().port();
        let expected = Socket { local_port, remote_port: port, state: "established" };
        assert_eq!(leading_to(port), [expected]);
        drop(stream);
        assert_eq!(leading_to(port), []);
    }

    #[test]
    fn another_program_s_socket_is_not_ours() {
        let table = "header\n   0: 0100007F:C3F2 0100007F:1628 01 00000000:00000000 00:00000000 \
                     00000000  1000        0 4711 1 0000000000000000 20 4 30 10 -1\n";
        let socket = Socket { local_port: 50162, remote_port: 5672, state: "established" };
        assert_eq!(rows(table), [(socket, 4711)]);
        assert!(!own_inodes().contains(&4711));
    }
}
