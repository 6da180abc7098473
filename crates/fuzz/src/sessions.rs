//! The state machines of `sfu`: sessions whose peer has done the handshake and then turns hostile.
//!
//! A handshake costs more than a thousand small inputs, so a session serves [`USES`] inputs. The replay of a corpus begins with
//! a fresh one for each input.
use std::cell::RefCell;
use std::time::{Duration, Instant};

use sfu::{
    DataEvent, DataStats, Ingest, IngestEvent, Injector, Layer, Outbox, StreamCache, StreamDescription, StreamPosition,
    Subscriber, SubscriberEvent, Tap,
};
use swarm::Peer;
use wire::rtp;

use crate::offers::{client, clock, ingest_setup, server, stranger, subscriber_setup};
use crate::parsers::pieces;

const USES: u32 = 1024;
/// Time between the checks that a peer by the book sends, between inputs.
const CHECKS: Duration = Duration::from_secs(3);
/// Most time that a handshake may take, in rounds of 10 ms.
const ROUNDS: u32 = 200;

const WHEP: &str = include_str!("../../wire/tests/data/chromium_whep.sdp");
const WHIP: &str = include_str!("../../wire/tests/data/chromium_whip_simulcast.sdp");

/// A connected session and how to talk to it.
pub(crate) struct Session<S> {
    pub(crate) side: S,
    pub(crate) peer: Peer,
    pub(crate) now: Instant,
    pub(crate) outbox: Outbox,
    uses: u32,
    /// When the peer's checks last went their way.
    checked: Instant,
}

/// What both kinds of session have.
pub(crate) trait Side: Sized {
    /// What its data channels may hold, whatever is sent to them, bytes.
    const MOST_HELD: i64;

    fn handle_datagram(&mut self, now: Instant, from: sfu::Peer, datagram: &mut [u8], outbox: &mut Outbox);
    fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox);
    fn trickle(&mut self, now: Instant, fragment: &str);
    /// Time goes on, media flows. `false` when the session is over.
    fn turn(&mut self, now: Instant, outbox: &mut Outbox) -> bool;
    /// Sends a message on the data channel of that label.
    fn tell(&mut self, now: Instant, label: &str, text: bool, message: &[u8], outbox: &mut Outbox);
    fn poll_data(&mut self) -> Option<DataEvent>;
    /// Figures of the data channels.
    fn data(&self, now: Instant) -> DataStats;
}

impl<S: Side> Session<S> {
    fn connect(side: S, peer: Peer, now: Instant) -> Session<S> {
        let mut session = Session { side, peer, now, outbox: Outbox::default(), uses: 0, checked: now };
        for _ in 0..ROUNDS {
            session.now += Duration::from_millis(10);
            session.exchange();
            if session.peer.transport.connected() {
                session.side.turn(session.now, &mut session.outbox);
                return session;
            }
        }
        panic!("a peer that does everything by the book does not connect");
    }

    /// What the peer sends by the book, and what it gets for it.
    fn exchange(&mut self) {
        for datagram in self.peer.drain(self.now) {
            self.give(datagram);
        }
        self.side.handle_timeout(self.now, &mut self.outbox);
        for (_, datagram) in self.outbox.iter() {
            self.peer.receive(self.now, datagram);
        }
        self.outbox.clear();
    }

    /// Does what `data` says. `false` when the session is over.
    fn obey(&mut self, data: &[u8]) -> bool {
        // What one input lets pass may end a session, what many do together not: half of all runs would be handshakes.
        if self.now.saturating_duration_since(self.checked) >= CHECKS {
            self.checked = self.now;
            self.exchange();
        }
        remember(data);
        for piece in pieces(data) {
            let Some((&order, rest)) = piece.split_first() else { continue };
            match order % 8 {
                0 => self.now += Duration::from_millis(rest.first().copied().unwrap_or(20).into()),
                1 => self.now += Duration::from_millis(100 * u64::from(rest.first().copied().unwrap_or(10))),
                2 => self.give(rest.to_vec()),
                3 => {
                    self.outbox.clear();
                    self.side.handle_datagram(self.now, stranger(), &mut rest.to_vec(), &mut self.outbox);
                    assert!(self.outbox.iter().all(|(to, _)| to != stranger()), "a stranger was answered");
                }
                4 => {
                    if let Ok(fragment) = std::str::from_utf8(rest) {
                        self.side.trickle(self.now, fragment);
                    }
                }
                5 | 6 => self.seal_rtcp(rest.to_vec()).into_iter().for_each(|packet| self.give(packet)),
                _ => self.seal_rtp(rest.to_vec()).into_iter().for_each(|packet| self.give(packet)),
            }
            if !self.turn() {
                return false;
            }
            self.outbox.clear();
        }
        self.uses += 1;
        self.uses < USES
    }

    /// Timers that are due, and media. `false` when the session is over.
    pub(crate) fn turn(&mut self) -> bool {
        self.side.handle_timeout(self.now, &mut self.outbox);
        self.side.turn(self.now, &mut self.outbox)
    }

    /// Sends a message on the data channel of that label.
    pub(crate) fn tell(&mut self, label: &str, text: bool, message: &[u8]) {
        self.side.tell(self.now, label, text, message, &mut self.outbox);
    }

    /// These bytes as SRTCP, if they can be.
    fn seal_rtcp(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let (sealer, _) = self.peer.transport.keys().filter(|_| bytes.len() >= 8)?;
        bytes[0] = bytes[0] & 0x3f | 0x80;
        sealer.seal_rtcp(&mut bytes, 0).then_some(bytes)
    }

    /// These bytes as SRTP, if they can be.
    fn seal_rtp(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let (sealer, _) = self.peer.transport.keys().filter(|_| bytes.len() >= rtp::HEADER_BYTES)?;
        bytes[0] = bytes[0] & 0x3f | 0x80;
        let header = rtp::header_bytes(&bytes).unwrap_or(rtp::HEADER_BYTES);
        let sequence = u16::from_be_bytes([bytes[2], bytes[3]]);
        sealer.seal_rtp(&mut bytes, 0, header, sequence.into()).then_some(bytes)
    }

    /// A datagram of the peer's arrives.
    pub(crate) fn give(&mut self, mut datagram: Vec<u8>) {
        self.side.handle_datagram(self.now, client(), &mut datagram, &mut self.outbox);
    }
}

/// A viewer's session with a stream that runs.
pub(crate) struct Watching {
    subscriber: Subscriber,
    cache: StreamCache,
    injector: Injector,
    next: Instant,
    tick: u32,
}

impl Watching {
    pub(crate) fn session() -> Session<Watching> {
        let now = Instant::now();
        let description = StreamDescription::h264_opus(true, true);
        let mut cache = StreamCache::new(description.clone());
        let (mut injector, mut tick) = (Injector::new(description, clock(now), StreamPosition::default()), 0);
        cache.push(&injector.push_video(now, &picture(true), 0, true));
        tick += 1;
        let (mut peer, offer) = Peer::new(now, WHEP, client().address, server());
        let made = Subscriber::answer(now, subscriber_setup(now), &offer, &cache);
        let (subscriber, answer) = made.expect("a browser's offer is answered");
        peer.accept(now, &answer.sdp);
        Session::connect(Watching { subscriber, cache, injector, next: now, tick }, peer, now)
    }
}

/// A picture in Annex B.
fn picture(key: bool) -> Vec<u8> {
    let mut unit = Vec::new();
    if key {
        unit.extend([0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x95, 0xa8, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    }
    unit.extend([0, 0, 0, 1, if key { 0x65 } else { 0x41 }]);
    unit.resize(unit.len() + 1_300, 0x5a); // two packets
    unit
}

impl Side for Watching {
    const MOST_HELD: i64 = 1 << 20;

    fn handle_datagram(&mut self, now: Instant, from: sfu::Peer, datagram: &mut [u8], outbox: &mut Outbox) {
        self.subscriber.handle_datagram(now, from, datagram, &self.cache, outbox);
    }

    fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.subscriber.handle_timeout(now, &self.cache, outbox);
    }

    fn trickle(&mut self, now: Instant, fragment: &str) {
        let _ = self.subscriber.trickle(now, fragment);
    }

    fn tell(&mut self, now: Instant, label: &str, text: bool, message: &[u8], outbox: &mut Outbox) {
        self.subscriber.send_data(now, label, text, message, outbox);
    }

    fn poll_data(&mut self) -> Option<DataEvent> {
        self.subscriber.poll_data()
    }

    fn data(&self, now: Instant) -> DataStats {
        self.subscriber.stats(now).data
    }

    fn turn(&mut self, now: Instant, outbox: &mut Outbox) -> bool {
        for _ in 0..4 {
            if now < self.next {
                break;
            }
            let key = self.tick.is_multiple_of(25);
            let burst = self.injector.push_video(now, &picture(key), self.tick * 3600, key);
            let late = self.cache.push(&burst);
            self.subscriber.forward(now, &late, &self.cache, outbox);
            self.tick += 1;
            self.next = now + Duration::from_millis(40);
        }
        let _ = (self.subscriber.stats(now), self.subscriber.poll_timeout());
        while let Some(event) = self.subscriber.poll_event() {
            if matches!(event, SubscriberEvent::Closed(_)) {
                return false;
            }
        }
        true
    }
}

/// A publisher's session, with the cache and the tap behind it.
pub(crate) struct Publishing {
    ingest: Ingest,
    cache: StreamCache,
    tap: Tap,
}

impl Publishing {
    pub(crate) fn session() -> Session<Publishing> {
        let now = Instant::now();
        // its sound as RED first, so that payloads of that come in too
        let offered = WHIP.replace("SAVPF 111 63 ", "SAVPF 63 111 ");
        let (mut peer, offer) = Peer::new(now, &offered, client().address, server());
        let made = Ingest::publish(now, ingest_setup(now), &offer);
        let (ingest, answer) = made.expect("a browser's offer is answered");
        peer.accept(now, &answer.sdp);
        let cache = StreamCache::new(StreamDescription::default());
        let tap = Tap::new(now, &cache);
        Session::connect(Publishing { ingest, cache, tap }, peer, now)
    }
}

impl Side for Publishing {
    const MOST_HELD: i64 = 1 << 20;

    fn handle_datagram(&mut self, now: Instant, from: sfu::Peer, datagram: &mut [u8], outbox: &mut Outbox) {
        self.ingest.handle_datagram(now, from, datagram);
        self.ingest.poll(now, outbox);
    }

    fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.ingest.handle_timeout(now);
        self.ingest.poll(now, outbox);
    }

    fn trickle(&mut self, now: Instant, fragment: &str) {
        let _ = self.ingest.trickle(now, fragment);
    }

    fn tell(&mut self, now: Instant, label: &str, text: bool, message: &[u8], outbox: &mut Outbox) {
        self.ingest.send_data(now, label, text, message);
        self.ingest.poll(now, outbox);
    }

    fn poll_data(&mut self) -> Option<DataEvent> {
        self.ingest.poll_data()
    }

    fn data(&self, _: Instant) -> DataStats {
        self.ingest.stats().data
    }

    fn turn(&mut self, now: Instant, outbox: &mut Outbox) -> bool {
        self.ingest.request_key_frame(now, Layer::SINGLE);
        self.ingest.poll(now, outbox);
        let _ = (self.ingest.stats(), self.ingest.poll_timeout());
        while let Some(event) = self.ingest.poll_event() {
            match event {
                IngestEvent::Started(description) => self.cache.describe(description),
                IngestEvent::Closed(_) => return false,
                _ => {}
            }
        }
        while let Some(burst) = self.ingest.poll_burst() {
            self.cache.push(&burst);
            self.tap.push(now, &burst);
        }
        while self.tap.poll().is_some() {}
        true
    }
}

thread_local! {
    /// All that the session was told.
    static HISTORY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WATCHING: RefCell<Option<Session<Watching>>> = const { RefCell::new(None) };
    static PUBLISHING: RefCell<Option<Session<Publishing>>> = const { RefCell::new(None) };
}

/// Everything that the session of the last input was told, as one input: what led to a panic that its last input alone does not.
pub(crate) fn history() -> Vec<u8> {
    HISTORY.with_borrow(Clone::clone)
}

/// One more input that the session was given.
pub(crate) fn remember(data: &[u8]) {
    HISTORY.with_borrow_mut(|history| history.extend_from_slice(data));
}

pub(crate) fn fresh<S>(session: fn() -> S) -> S {
    HISTORY.with_borrow_mut(Vec::clear);
    session()
}

/// Orders for a viewer that has connected.
pub(crate) fn subscriber(data: &[u8]) {
    WATCHING.with_borrow_mut(|kept| {
        let mut session = kept.take().unwrap_or_else(|| fresh(Watching::session));
        *kept = session.obey(data).then_some(session);
    });
}

/// Orders for a publisher that has connected.
pub(crate) fn ingest(data: &[u8]) {
    PUBLISHING.with_borrow_mut(|kept| {
        let mut session = kept.take().unwrap_or_else(|| fresh(Publishing::session));
        *kept = session.obey(data).then_some(session);
    });
}
