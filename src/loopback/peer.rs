//! Whose program is at the other end of a connection on this machine.
//!
//! A browser is given the address of a login as its argument, which other users of the machine can read: with it they
//! know the `state`. What they cannot do is connect as somebody else.

#[cfg(any(target_os = "linux", test))]
use std::net::SocketAddr;
use std::net::TcpStream;

/// Whether the other end belongs to another user, as far as the system tells. Root is nobody else: whatever forwards
/// a connection for the user (Windows under WSL, a container's port) is often root's.
#[cfg(target_os = "linux")]
pub(super) fn is_another_users(stream: &TcpStream) -> bool {
    let (Ok(ours), Ok(theirs)) = (stream.local_addr(), stream.peer_addr()) else { return false };
    let table = if theirs.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let owner = std::fs::read_to_string(table).ok().and_then(|table| owner_in(&table, theirs, ours));
    let me = rustix::process::geteuid().as_raw();
    // What is not in the table, or cannot be read, is told by the state alone.
    owner.is_some_and(|owner| owner != me && owner != 0)
}

/// The other systems do not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_another_users(_: &TcpStream) -> bool {
    false
}

/// The user of the socket that is bound to `local` and connected to `remote` (proc(5), `/proc/net/tcp`).
#[cfg(any(target_os = "linux", test))]
fn owner_in(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (written(local), written(remote));
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let ends = (words.next()?, words.next()?);
        if ends != (local.as_str(), remote.as_str()) {
            return None;
        }
        words.nth(4)?.parse().ok()
    })
}

/// An address as the kernel writes it: each 32 bits of it in the machine's own order.
#[cfg(any(target_os = "linux", test))]
fn written(address: SocketAddr) -> String {
    let octets: Vec<u8> = match address {
        SocketAddr::V4(v4) => v4.ip().octets().to_vec(),
        SocketAddr::V6(v6) => v6.ip().octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    let host: Vec<String> = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    format!("{}:{:04X}", host.concat(), address.port())
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_the_other_end_is_found_by_both_addresses() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:1267 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0\n   \
             1: 0100007F:8235 0100007F:1267 01 00000000:00000000 00:00000000 00000000 65534        0 2 1 0 20 4 30 10 -1\n";
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(owner_in(table, at(0x8235), at(0x1267)), Some(65534));
        assert_eq!(owner_in(table, at(0x1267), at(0x8235)), None);
        let v6: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(written(v6), "00000000000000000000000001000000:0050");
    }
}
