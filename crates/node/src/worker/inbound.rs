//! What comes in: datagrams of the media port and of our pulls, frames and connections of TCP; each to its session.

use std::sync::Arc;
use std::time::Instant;

use sfu::{Credentials, DatagramKind, Peer, stun_ufrag};

use crate::connections::{Connections, ReadOutcome};
use crate::gate::Admitted;
use crate::handshakes::SHARE;
use crate::post::Post;

use super::{BATCHES_A_TURN, Place, Worker};

impl Worker {
    pub(super) fn take_datagrams(&mut self, now: Instant) -> usize {
        // It is put back below; nothing in between takes it.
        let Some(mut receiver) = self.receiver.take() else { return 0 };
        let socket = self.socket.clone();
        let total = receiver.drain(&socket, BATCHES_A_TURN, |from, datagram| {
            self.take_datagram(now, Peer::udp(from), datagram);
        });
        self.receiver = Some(receiver);
        total
    }

    /// What upstreams have sent to the sockets of our pulls.
    pub(super) fn take_dialled(&mut self, now: Instant) -> usize {
        if self.dialled == 0 {
            return 0;
        }
        let Some(mut receiver) = self.receiver.take() else { return 0 };
        let (mut ready, mut total) = (std::mem::take(&mut self.ready), 0);
        self.dials.ready(&mut ready);
        for event in ready.drain(..) {
            let slot = event.id as usize;
            let dial = self.sources.get(slot).and_then(Option::as_ref).and_then(|source| source.dial.clone());
            let Some(dial) = dial else { continue };
            total += receiver.drain(&dial, BATCHES_A_TURN, |from, datagram| match DatagramKind::of(datagram) {
                DatagramKind::Unknown => self.stats.unknown += 1,
                _ => {
                    self.with_source(now, slot, |ingest| ingest.handle_datagram(now, Peer::udp(from), datagram));
                }
            });
        }
        self.ready = ready;
        self.receiver = Some(receiver);
        total
    }

    fn take_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        let ufrag = match DatagramKind::of(datagram) {
            DatagramKind::Unknown => {
                self.stats.unknown += 1;
                return;
            }
            DatagramKind::Stun => stun_ufrag(datagram),
            DatagramKind::Dtls | DatagramKind::Srtp => None,
        };
        if self.shared.inboxes.len() > 1 {
            let named = ufrag.and_then(Credentials::worker_of).filter(|w| usize::from(*w) < self.shared.inboxes.len());
            let known = named.is_none() && self.by_peer.contains_key(&from);
            if !known
                && let Some(owner) = self.steering.route(now, from.address, named)
                && owner != self.index
            {
                self.stats.handed_over += 1;
                let _ =
                    self.shared.inboxes[usize::from(owner)].push(Post::Datagram { from, bytes: (&*datagram).into() });
                return;
            }
        }
        self.sort_datagram(now, from, datagram);
    }

    /// One that is ours: handshakes wait, all else is handled now.
    pub(super) fn sort_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        if self.handshakes.concerns(datagram) && self.by_peer.contains_key(&from) {
            self.handshakes.push(from, datagram);
        } else {
            self.handle_datagram(now, from, datagram);
        }
    }

    /// Goes on with handshakes, now that media has left, for a while.
    pub(super) fn shake_hands(&mut self) -> usize {
        if self.handshakes.is_empty() {
            return 0;
        }
        let (began, mut count) = (Instant::now(), 0);
        let mut now = began;
        while now - began < SHARE
            && let Some((from, mut datagram)) = self.handshakes.pop()
        {
            self.handle_datagram(now, from, &mut datagram);
            count += 1;
            now = Instant::now();
        }
        self.flush();
        self.tend_connections(now);
        count
    }

    /// What has come in on TCP connections, and those that have room again.
    pub(super) fn take_frames(&mut self, now: Instant) -> usize {
        if self.connections.is_empty() {
            return 0;
        }
        let mut ready = std::mem::take(&mut self.ready);
        self.connections.ready(&mut ready);
        let count = ready.len();
        for event in ready.drain(..) {
            if event.writable
                && let Some(peer) = self.connections.resume(event.id)
            {
                self.hold(now, peer, false);
            }
            if event.readable {
                self.read_connection(now, event.id);
            }
        }
        self.ready = ready;
        count
    }

    fn read_connection(&mut self, now: Instant, id: u64) {
        let mut scratch = self.scratch.take().unwrap_or_else(Connections::scratch);
        match self.connections.read(now, id, &mut scratch) {
            ReadOutcome::Nothing => {}
            ReadOutcome::Ended => self.connections.close(id),
            ReadOutcome::Bytes(count) => {
                if let Some((from, mut deframer)) = self.connections.take_deframer(id) {
                    let mut frames = 0;
                    let whole = deframer.push(&mut scratch[..count], |datagram| {
                        frames += 1;
                        self.handle_datagram(now, from, datagram);
                    });
                    self.connections.stats.frames_in += frames;
                    match whole {
                        Ok(()) => self.connections.put_deframer(id, deframer),
                        Err(_) => self.connections.close(id),
                    }
                }
            }
        }
        self.scratch = Some(scratch);
    }

    /// A connection from the gate. One for a session that is not ours is closed by being dropped.
    pub(super) fn take_connection(&mut self, now: Instant, admitted: Admitted) {
        let session = match self.by_ufrag.get(&admitted.ufrag) {
            Some(Place::Subscriber(slot)) => self.takers[*slot].as_ref().map(|taker| Arc::clone(&taker.session)),
            Some(Place::Source(slot)) => self.sources[*slot].as_ref().map(|source| Arc::clone(&source.session)),
            None => None,
        };
        if let Some(session) = session {
            self.connections.add(now, admitted, session);
        }
    }

    /// Holds or releases the subscriber behind a connection.
    pub(super) fn hold(&mut self, now: Instant, peer: Peer, held: bool) {
        if let Some(Place::Subscriber(slot)) = self.by_peer.get(&peer).copied() {
            self.with_taker(now, slot, |taker, cache, outbox| {
                // what is released may have found another way by now
                if !held || taker.subscriber.remote() == Some(peer) {
                    taker.subscriber.hold(now, held, cache, outbox);
                }
            });
        }
    }

    /// A connection is gone, and with it an address of its session.
    pub(super) fn lose(&mut self, now: Instant, peer: Peer) {
        match self.by_peer.remove(&peer) {
            Some(Place::Subscriber(slot)) => {
                self.with_taker(now, slot, |taker, _, outbox| {
                    taker.remotes.retain(|other| *other != peer);
                    taker.subscriber.lose(now, peer, outbox);
                });
            }
            Some(Place::Source(slot)) => {
                if let Some(source) = self.sources[slot].as_mut() {
                    source.remotes.retain(|other| *other != peer);
                }
            }
            None => {}
        }
    }

    /// A datagram for one of our own sessions, from our socket or handed over.
    fn handle_datagram(&mut self, now: Instant, from: Peer, datagram: &mut [u8]) {
        let kind = DatagramKind::of(datagram);
        let by_ufrag = match kind {
            DatagramKind::Stun => stun_ufrag(datagram).map(|ufrag| self.by_ufrag.get(ufrag).copied()),
            _ => None,
        };
        let place = match by_ufrag {
            // A check for a session that is gone is nobody's, whatever its address was before.
            Some(place) => place,
            None => self.by_peer.get(&from).copied(),
        };
        match place {
            Some(Place::Subscriber(slot)) => {
                self.with_taker(now, slot, |taker, cache, outbox| {
                    taker.subscriber.handle_datagram(now, from, datagram, cache, outbox);
                });
            }
            Some(Place::Source(slot)) => {
                self.with_source(now, slot, |ingest| ingest.handle_datagram(now, from, datagram));
            }
            None => self.stats.unknown += 1,
        }
    }
}
