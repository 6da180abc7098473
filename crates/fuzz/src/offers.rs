//! Offers of strangers, and what sessions under search are made of.
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sfu::{
    Credentials, Entropy, Identity, Ingest, IngestSetup, StreamCache, StreamDescription, StreamPosition, Subscriber,
    SubscriberConfig, SubscriberSetup, WallClock,
};

pub(crate) fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7900))
}

pub(crate) fn client() -> sfu::Peer {
    sfu::Peer::udp(SocketAddr::from(([198, 51, 100, 7], 4000)))
}

pub(crate) fn stranger() -> sfu::Peer {
    sfu::Peer::udp(SocketAddr::from(([203, 0, 113, 66], 6666)))
}

fn identity() -> Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::generate().expect("a certificate can be made")).clone()
}

pub(crate) fn clock(now: Instant) -> WallClock {
    WallClock::new(now, Duration::from_secs(1_800_000_000))
}

pub(crate) fn subscriber_setup(now: Instant) -> SubscriberSetup {
    let mut entropy = Entropy::new([3; 32]);
    SubscriberSetup {
        identity: identity(),
        credentials: Credentials::new(0, &mut entropy),
        entropy,
        clock: clock(now),
        addresses: vec![server()],
        layers_all: false,
        config: SubscriberConfig::default(),
    }
}

pub(crate) fn ingest_setup(now: Instant) -> IngestSetup {
    let mut entropy = Entropy::new([4; 32]);
    IngestSetup {
        identity: identity(),
        credentials: Credentials::new(0, &mut entropy),
        entropy,
        clock: clock(now),
        addresses: vec![server()],
        resume: StreamPosition::default(),
    }
}

/// A WHEP offer. Refused or answered; an answer can be read.
pub(crate) fn whep_offer(data: &[u8]) {
    let (Ok(offer), now) = (std::str::from_utf8(data), Instant::now()) else { return };
    let cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    match Subscriber::answer(now, subscriber_setup(now), offer, &cache) {
        Ok((mut subscriber, answer)) => {
            assert!(wire::sdp::Description::parse(&answer.sdp).is_ok(), "an answer that nobody can read");
            let _ = subscriber.trickle(now, offer);
        }
        Err(error) => assert!((400..500).contains(&error.status()), "the stranger's fault is not ours: {error}"),
    }
}

/// A WHIP offer.
pub(crate) fn whip_offer(data: &[u8]) {
    let (Ok(offer), now) = (std::str::from_utf8(data), Instant::now()) else { return };
    match Ingest::publish(now, ingest_setup(now), offer) {
        Ok((mut ingest, answer)) => {
            assert!(wire::sdp::Description::parse(&answer.sdp).is_ok(), "an answer that nobody can read");
            let _ = ingest.trickle(now, offer);
        }
        Err(error) => assert!((400..500).contains(&error.status()), "the stranger's fault is not ours: {error}"),
    }
}
