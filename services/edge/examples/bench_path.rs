//! A long way for packets: what `tests/bench/edge/far` puts between two network namespaces, where a kernel without netem
//! has nothing of its own.
//!
//! `bench_path <milliseconds>`: its standard input and output are TUN devices. A packet that one of them has comes out
//! of the other that much later, in order, none lost; any number of them is under way at a time.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The largest that the kernel hands over unsegmented, with the header that says so.
const LARGEST: usize = (64 << 10) + 64;

struct Packet {
    due: Instant,
    bytes: Box<[u8]>,
}

fn main() {
    let delay: f64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let delay = Duration::from_secs_f64(delay / 1000.0);
    let one = way(std::io::stdin().as_fd(), std::io::stdout().as_fd(), delay);
    let other = way(std::io::stdout().as_fd(), std::io::stdin().as_fd(), delay);
    one.join().unwrap();
    other.join().unwrap();
}

fn way(from: impl AsFd, to: impl AsFd, delay: Duration) -> thread::JoinHandle<()> {
    let from = File::from(from.as_fd().try_clone_to_owned().unwrap());
    let to = File::from(to.as_fd().try_clone_to_owned().unwrap());
    let (depart, under_way) = channel();
    thread::spawn(move || take(from, &depart, delay));
    thread::spawn(move || deliver(&under_way, to))
}

fn take(mut from: File, depart: &Sender<Packet>, delay: Duration) {
    let mut buffer = vec![0; LARGEST];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let packet = Packet {
            due: Instant::now() + delay,
            bytes: buffer[..read].into(),
        };
        if depart.send(packet).is_err() {
            return;
        }
    }
}

fn deliver(under_way: &Receiver<Packet>, mut to: File) {
    for packet in under_way {
        let early = packet.due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        // Refused while the other side's device is down: lost, as on any way.
        let _ = to.write(&packet.bytes);
    }
}
