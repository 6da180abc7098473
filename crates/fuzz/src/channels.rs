//! Data channels: a peer whose handshakes, DTLS and SCTP, were by the book, and whose packets then are not.
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sctp_proto::PayloadProtocolIdentifier as Ppid;
use sfu::{DataEvent, DataLimits};

use crate::association::{Association, with_checksum};
use crate::memory::held;
use crate::offers::client;
use crate::parsers::pieces;
use crate::sessions::{Publishing, Session, Side, Watching, fresh, remember};

/// Inputs that one session serves, unless they end its association.
const USES: u32 = 256;
/// Rounds of 10 ms that the peer's association may take to connect.
const ROUNDS: u32 = 50;
/// What one order may make a session send, datagrams.
const MOST_SENT: usize = 200;

/// A connected session, the peer's association with it, and books of what the session said.
struct Talk<S> {
    session: Session<S>,
    association: Association,
    /// Nothing that the session sends gets through.
    deaf: bool,
    open: HashMap<Arc<str>, u32>,
    began: Instant,
    held: i64,
    uses: u32,
}

impl<S: Side> Talk<S> {
    fn begin(session: Session<S>) -> Talk<S> {
        let began = session.now;
        let association = Association::new();
        let mut talk = Talk { session, association, deaf: false, open: HashMap::new(), began, held: 0, uses: 0 };
        for _ in 0..ROUNDS {
            talk.session.now += Duration::from_millis(10);
            talk.exchange();
            if talk.association.connected() {
                return talk;
            }
        }
        panic!("an association by the book does not connect");
    }

    /// Runs `work` on the session and keeps count of what it then holds.
    fn watched<T>(&mut self, work: impl FnOnce(&mut Session<S>) -> T) -> T {
        let (result, held) = held(|| work(&mut self.session));
        self.held += held;
        result
    }

    /// An SCTP packet of the peer's arrives.
    fn give(&mut self, packet: &[u8]) {
        self.session.peer.transport.send_data(packet);
        self.flush();
    }

    /// All that the peer's transport wants to send arrives.
    fn flush(&mut self) {
        let now = self.session.now;
        for datagram in self.session.peer.drain(now) {
            self.watched(|session| session.give(datagram));
        }
    }

    /// Time passes for both, and what they have for each other arrives. `false`: the session is over.
    fn exchange(&mut self) -> bool {
        self.flush();
        let alive = self.watched(Session::turn);
        let now = self.session.now;
        assert!(self.session.outbox.iter().count() <= MOST_SENT, "one order made a flood");
        for (to, datagram) in self.session.outbox.iter() {
            if to == client() && !self.deaf {
                self.session.peer.receive(now, datagram);
            }
        }
        self.session.outbox.clear();
        while let Some(packet) = self.session.peer.transport.poll_data() {
            self.association.receive(now, packet);
        }
        for packet in self.association.drain(now) {
            self.give(&packet);
        }
        self.check();
        alive
    }

    /// What must hold at any time.
    fn check(&mut self) {
        let limits = DataLimits::default();
        while let Some(event) = self.watched(|session| session.side.poll_data()) {
            match &event {
                DataEvent::Opened { label } => *self.open.entry(label.clone()).or_default() += 1,
                DataEvent::Message { label, bytes, .. } => {
                    assert!(self.open.contains_key(label), "a message on a channel that is not open");
                    assert!(bytes.len() <= limits.message_bytes);
                }
                DataEvent::Closed { label, .. } => {
                    let count = self.open.get_mut(label).expect("what closes was open");
                    *count -= 1;
                    if *count == 0 {
                        self.open.remove(label);
                    }
                }
            }
            self.watched(|_| drop(event));
        }
        let stats = self.session.side.data(self.session.now);
        let open: u32 = self.open.values().sum();
        assert_eq!(open as usize, stats.channels, "the books of what is open are wrong");
        assert!(stats.channels <= limits.channels);
        let seconds = self.session.now.duration_since(self.began).as_secs() + 1;
        let most = u64::from(limits.messages_at_once) + u64::from(limits.messages_per_s) * seconds;
        assert!(stats.received <= most, "{} messages in {seconds} s", stats.received);
        assert!(self.held < S::MOST_HELD, "a session holds {} bytes", self.held);
    }

    /// Does what `data` says. `false` when the session is of no more use.
    fn obey(&mut self, data: &[u8]) -> bool {
        remember(data);
        for piece in pieces(data) {
            let Some((&order, rest)) = piece.split_first() else { continue };
            self.follow(order, rest);
            if !self.exchange() {
                return false;
            }
        }
        self.uses += 1;
        self.uses < USES && !self.association.over()
    }

    fn follow(&mut self, order: u8, rest: &[u8]) {
        let byte = |at: usize| rest.get(at).copied().unwrap_or(0);
        let after = |at: usize| rest.get(at..).unwrap_or_default();
        let stream = u16::from(byte(0) % 12);
        let chunk = match order % 16 {
            0 => return self.session.now += Duration::from_millis(byte(0).into()),
            1 => return self.session.now += Duration::from_millis(50 * u64::from(byte(0))),
            2 => return self.give(rest),
            3 => return self.give(&with_checksum(rest.to_vec())),
            4 => rest.to_vec(),
            5 => self.association.chunk(byte(0), byte(1), after(2)),
            6 => self.association.data(byte(0), byte(1) as i8, byte(2) % 12, byte(3), ppid(byte(4)) as u8, after(5)),
            7 => self.association.acknowledgement(byte(0) as i8, [byte(1), byte(2)], after(3)),
            8 => self.association.forward(i16::from_be_bytes([byte(0), byte(1)]), after(2)),
            9 => self.association.reset(byte(0), byte(1) as i8, after(2)),
            10 => {
                let mut open = vec![3, byte(1), 0, 0, 0, 0, 0, byte(2), 0, after(3).len() as u8, 0, 0];
                open.extend(after(3));
                return self.association.write(stream, Ppid::Dcep, &open);
            }
            11 => return self.association.write(stream, ppid(byte(1)), after(2)),
            12 => {
                let length = usize::from(u16::from_be_bytes([byte(2), byte(3)]) % 20_000);
                return self.association.write(stream, ppid(byte(1)), &vec![byte(4); length]);
            }
            13 => return self.association.close(stream),
            14 => {
                let Some(label) = self.open.keys().min().cloned() else { return };
                let length = usize::from(u16::from_be_bytes([byte(0), byte(1)]) % 20_000);
                let message = vec![b'm'; length];
                self.watched(|session| session.tell(&label, byte(2) % 2 == 0, &message));
                return;
            }
            _ => return self.deaf = byte(0) % 2 == 1,
        };
        self.give(&self.association.packet(&chunk));
    }
}

fn ppid(byte: u8) -> Ppid {
    match byte % 6 {
        0 => Ppid::Binary,
        1 => Ppid::String,
        2 => Ppid::Dcep,
        3 => Ppid::BinaryEmpty,
        4 => Ppid::StringEmpty,
        _ => Ppid::Unknown,
    }
}

thread_local! {
    static WATCHING: RefCell<Option<Talk<Watching>>> = const { RefCell::new(None) };
    static PUBLISHING: RefCell<Option<Talk<Publishing>>> = const { RefCell::new(None) };
}

/// Orders for a viewer with data channels.
pub(crate) fn subscriber_data(data: &[u8]) {
    WATCHING.with_borrow_mut(|kept| {
        let mut talk = kept.take().unwrap_or_else(|| Talk::begin(fresh(Watching::session)));
        *kept = talk.obey(data).then_some(talk);
    });
}

/// Orders for a publisher with data channels.
pub(crate) fn ingest_data(data: &[u8]) {
    PUBLISHING.with_borrow_mut(|kept| {
        let mut talk = kept.take().unwrap_or_else(|| Talk::begin(fresh(Publishing::session)));
        *kept = talk.obey(data).then_some(talk);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fragments of so many bytes each of a message without a beginning: much to keep, little to count.
    fn fragments<S: Side>(session: Session<S>, bytes: &[u8]) {
        let mut talk = Talk::begin(session);
        talk.association.data(0, 0, 1, 0, Ppid::Binary as u8, b"lost");
        let mut most = 0;
        for _ in 0..4_000 {
            let count = 900 / (bytes.len() + 19);
            let chunks: Vec<u8> =
                (0..count).flat_map(|_| talk.association.data(0, 0, 1, 0, Ppid::Binary as u8, bytes)).collect();
            talk.give(&talk.association.packet(&chunks));
            talk.session.now += Duration::from_millis(3);
            talk.exchange();
            most = most.max(talk.held);
        }
        println!("fragments of {} bytes: {most} bytes more are held", bytes.len());
    }

    #[test]
    fn fragments_of_a_byte_fill_no_memory() {
        fragments(Watching::session(), b"x");
        fragments(Publishing::session(), b"x");
    }

    #[test]
    fn fragments_that_count_as_whole_ones_fill_no_memory() {
        fragments(Watching::session(), &[b'x'; 256]);
        fragments(Publishing::session(), &[b'x'; 256]);
    }
}
