//! What a join costs in the core, and how much of that is its handshake's cryptography, which each of them must do: an ephemeral
//! key and the agreement with the peer's (X25519), our signature, and the peer's (ECDSA P-256). `cargo bench -p sfu --bench join`.
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use sfu::{
    Credentials, Entropy, Identity, Outbox, StreamCache, StreamDescription, Subscriber, SubscriberConfig,
    SubscriberSetup, WallClock,
};
use swarm::Peer;

const OFFER: &str = include_str!("../../wire/tests/data/chromium_whep.sdp");
const JOINS: usize = 400;

/// The median: others use the machine too.
fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1e3
}

/// Microseconds of `work`, on the median.
fn each(mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    median_us((0..JOINS).map(time).collect())
}

/// Answer, then ICE and DTLS, each on the median, µs.
fn join(identity: &Identity) -> (f64, f64) {
    let (server, client): (SocketAddr, SocketAddr) =
        ("192.0.2.1:7900".parse().unwrap(), "10.0.0.1:4000".parse().unwrap());
    let mut now = Instant::now();
    let clock = WallClock::new(now, Duration::from_secs(1_800_000_000));
    let mut cache = StreamCache::new(StreamDescription::h264_opus(true, true));
    cache.push(&[]);
    let (mut answers, mut connects) = (Vec::new(), Vec::new());
    for number in 0..JOINS {
        let mut entropy = Entropy::new([number as u8; 32]);
        let (mut peer, offer) = Peer::new(now, OFFER, client, server);
        let setup = SubscriberSetup {
            identity: identity.clone(),
            credentials: Credentials::new(0, &mut entropy),
            entropy,
            clock,
            addresses: vec![server],
            layers_all: false,
            config: SubscriberConfig::default(),
        };
        let began = Instant::now();
        let (mut subscriber, answer) = Subscriber::answer(now, setup, &offer, &cache).expect("an answer");
        answers.push(began.elapsed());
        peer.accept(now, &answer.sdp);
        let (mut outbox, mut spent) = (Outbox::default(), Duration::ZERO);
        while !peer.transport.connected() {
            now += Duration::from_millis(5);
            let sent = peer.drain(now);
            let began = Instant::now();
            for mut datagram in sent {
                subscriber.handle_datagram(now, sfu::Peer::udp(client), &mut datagram, &cache, &mut outbox);
            }
            subscriber.handle_timeout(now, &cache, &mut outbox);
            spent += began.elapsed();
            outbox.iter().for_each(|(_, datagram)| peer.receive(now, datagram));
            outbox.clear();
        }
        connects.push(spent);
    }
    (median_us(answers), median_us(connects))
}

fn main() {
    let identity = Identity::generate().expect("a certificate");
    let (answer, connect) = join(&identity);
    let random = SystemRandom::new();
    let key = || EphemeralPrivateKey::generate(&X25519, &random).expect("a key");
    let theirs = key().compute_public_key().expect("its public half");
    let agreement = each(|| {
        let ours = key();
        black_box(ours.compute_public_key().expect("a public key"));
        let secret = agree_ephemeral(ours, UnparsedPublicKey::new(&X25519, theirs.as_ref()), (), |secret| {
            black_box(secret.len());
            Ok(())
        });
        assert!(secret.is_ok());
    });
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key pair");
    let message = [7; 128];
    let sign = each(|| {
        black_box(pair.sign(&random, &message).expect("a signature"));
    });
    let signed = pair.sign(&random, &message).expect("a signature");
    let public = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    let verify = each(|| assert!(public.verify(&message, signed.as_ref()).is_ok()));
    let crypto = agreement + sign + verify;
    println!(
        "sfu.join: {:.0} us of a core (answer {answer:.0}, ICE and DTLS {connect:.0}); elliptic curves alone {crypto:.0} us \
         (X25519 {agreement:.0}, sign {sign:.0}, verify {verify:.0}; vs the join: {:.2}, vs the goal of 1,500 us: {:.2})",
        answer + connect,
        crypto / (answer + connect),
        crypto / 1500.0
    );
}
