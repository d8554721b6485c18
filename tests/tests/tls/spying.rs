//! What a stranger sees who reads each byte between nodes. All packets of the loopback device are
//! recorded, and searched for what only the nodes may know; the same search finds all of it where
//! links are in the clear.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use potoroo::cluster::agreement::{
    Agreed, Agreement, Changed, EntryChange, Expected, FolderAgreement,
};
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use super::nodes::encrypted;
use crate::support::cluster::{Cluster, THREE};

/// What the cluster's nodes show each other: other than in the same test beside this one.
fn secret() -> u128 {
    0x7065_6572_732d_6f6e_6c79_2d73_6563_7265 ^ u128::from(std::process::id())
}

/// The word that all nodes pass on; in frames as it stands here.
fn word() -> String {
    format!("marsupial{}", std::process::id())
}

/// Searches all packets for needles, on a thread of its own.
struct Spy {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Spy {
    /// `None`, with the reason, where this process may not see packets.
    fn start(needles: Vec<Vec<u8>>) -> Option<Self> {
        let all = NonZeroU32::new(u32::from(3_u16.to_be())).map(Protocol::from_raw);
        let (family, kind) = (AddressFamily::PACKET, SocketType::RAW);
        let Ok(socket) = socket_with(family, kind, SocketFlags::CLOEXEC, all) else {
            eprintln!("skipped: this process may not see packets (CAP_NET_RAW)");
            return None;
        };
        let _ = set_socket_recv_buffer_size_force(&socket, 64 << 20);
        let pause = Some(Duration::from_millis(20));
        set_socket_timeout(&socket, Timeout::Recv, pause).expect("a socket has one");
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = stop.clone();
        let thread = thread::spawn(move || search(&socket, &needles, &of_thread));
        Some(Self { stop, thread })
    }

    /// How many packets had each needle.
    fn found(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only reads")
    }
}

fn search(socket: &OwnedFd, needles: &[Vec<u8>], stop: &AtomicBool) -> Vec<u64> {
    let (mut packet, mut found) = (vec![0; 128 * 1024], vec![0; needles.len()]);
    loop {
        match recv(socket, &mut packet[..], RecvFlags::empty()) {
            Ok((count, _)) => {
                for (needle, found) in needles.iter().zip(&mut found) {
                    let mut places = packet[..count].windows(needle.len());
                    *found += u64::from(places.any(|place| place == needle));
                }
            }
            // What had come before the end was looked at.
            Err(_) if stop.load(Ordering::Relaxed) => return found,
            Err(_) => {}
        }
    }
}

/// Words that three nodes count. Each line of the file has the word once, and others.
fn words(test: &str) -> Cluster {
    let windows = Cluster::windows(test, 1, "1");
    let scratch = &windows.scratch;
    let word = word();
    let line = |line: u32| format!("{word} {word}x{} word{line}\n", line % 50);
    let lines: String = (0..3000).map(line).collect();
    let lines = scratch.write("lines", lines.as_bytes());
    let counts = scratch.path("counts");
    let arguments = format!(
        "--source lines=file:{lines} --sink counts=file:{counts} --checkpoint-ms 50 --idle park \
         --cores 0,0 --gather-ms 4000"
    );
    // Nodes that are started later show the secret that is there.
    let place = windows.folder();
    let agreement = FolderAgreement::open(place.as_ref(), None).expect("the folder is ours");
    let new = Some(Agreed { value: format!("{:032x}", secret()), session: None });
    let change = EntryChange { key: "secret", expected: Expected::Nothing, new, held: None };
    assert_eq!(agreement.change(&change).expect("it can be used"), Changed::Done);
    Cluster { example: "word_count", arguments, ..windows }
}

/// Counts the words on three nodes. Returns how many packets had the secret in a message, the
/// secret in a greeting, and the word; `None` where that cannot be seen.
fn seen(cluster: &Cluster) -> Option<[u64; 3]> {
    let needles = vec![
        format!("{:032x}", secret()).into_bytes(),
        secret().to_le_bytes().to_vec(),
        word().into_bytes(),
    ];
    let spy = Spy::start(needles)?;
    let apps = THREE.map(|node| cluster.start(node));
    for app in apps {
        let ended = app.finish();
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.log);
    }
    let counts = cluster.scratch.read("counts");
    assert_eq!(counts.iter().filter(|byte| **byte == b'\n').count(), 9000);
    Some(spy.found().try_into().expect("one for each needle"))
}

#[test]
fn a_stranger_between_nodes_sees_no_event_and_no_secret() {
    let clear = words("tls-seen");
    let Some(found) = seen(&clear) else { return };
    assert!(found.iter().all(|packets| *packets > 0), "the search finds nothing: {found:?}");
    let (cluster, _) = encrypted(words("tls-unseen"));
    let found = seen(&cluster).expect("it was possible a moment ago");
    assert_eq!(found, [0; 3], "they crossed in the clear");
}
