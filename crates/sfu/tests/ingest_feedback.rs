//! Transport-wide feedback (transport-cc) to a publisher: what came and when, by what the network knows of it; and numbers that would
//! lead astray. The publisher sends packets of its own making, so that probes and padding are among them.
mod harness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use harness::publishing::{Publish, World, ingest_setup, near, publisher_address};
use harness::{ms, server};
use netem::Conditions;
use sfu::{Ingest, StreamPosition};
use swarm::Peer;

const OFFER: &str = include_str!("../../wire/tests/data/chromium_whip.sdp");
/// Of the offer: transport-cc, and SSRCs of sound and of what repairs the picture.
const ELEMENT: u8 = 3;
const SOUND: u32 = 836_041_024;
const REPAIR: u32 = 1_923_509_476;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sound,
    /// Padding under SSRC 0, as libwebrtc probes a path before there is media.
    Probe,
    /// Padding on the repair stream, as it probes later.
    Padding,
    /// Sound, whose header says the number twice: 65,530 the second time.
    Twice,
}

/// The packet, and the length of its header.
fn packet(kind: Kind, element: u8, number: u16, sequence: u16) -> (Vec<u8>, usize) {
    let (first, payload_type, ssrc) = match kind {
        Kind::Sound | Kind::Twice => (0x90, 111, SOUND),
        Kind::Probe => (0xb0, 111, 0),
        Kind::Padding => (0xb0, 103, REPAIR),
    };
    let mut packet = vec![first, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 960).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    let numbers = if kind == Kind::Twice { vec![number, 65_530] } else { vec![number] };
    packet.extend([0xbe, 0xde, 0, numbers.len() as u8]);
    for number in numbers {
        packet.push(element << 4 | 1);
        packet.extend(number.to_be_bytes());
        packet.push(0);
    }
    let header = packet.len();
    packet.resize(packet.len() + 79, 0x33);
    packet.push(if first == 0x90 { 0x33 } else { 80 });
    (packet, header)
}

/// Transport-wide number of a datagram of the publisher's; it is not encrypted.
fn number(datagram: &[u8]) -> Option<u16> {
    let media = (128..192).contains(&datagram[0]) && !(192..=223).contains(&datagram[1]);
    media.then(|| u16::from_be_bytes([datagram[17], datagram[18]]))
}

/// A publisher that sends what it is given, a packet each 5 ms.
struct Script {
    peer: Peer,
    next_tick: Instant,
    /// Id of the extension that its numbers stand in.
    element: u8,
    packets: VecDeque<(Kind, u16)>,
    sequences: [u16; 3],
    sealed: Vec<Vec<u8>>,
    /// RTCP that came, opened.
    feedback: Vec<(Instant, Vec<u8>)>,
}

impl Script {
    fn world(packets: Vec<(Kind, u16)>, conditions: Conditions) -> World<Script> {
        Script::offering(OFFER, ELEMENT, packets, conditions)
    }

    fn offering(offer: &str, element: u8, packets: Vec<(Kind, u16)>, conditions: Conditions) -> World<Script> {
        let now = Instant::now();
        let (mut peer, offer) = Peer::new(now, offer, publisher_address(), server());
        let (ingest, answer) = Ingest::publish(now, ingest_setup(1, now, StreamPosition::default()), &offer).unwrap();
        peer.accept(now, &answer.sdp);
        let packets = packets.into();
        let (sealed, feedback) = (Vec::new(), Vec::new());
        let script = Script { peer, next_tick: now, element, packets, sequences: [0; 3], sealed, feedback };
        let mut world = World::between(now, script, ingest, near());
        for _ in 0..1000 {
            if world.publisher.peer.transport.connected() {
                break;
            }
            world.run(ms(5));
        }
        world.to_ingest.change(conditions);
        world.run(ms(5 * world.publisher.packets.len() as u64 + 1000));
        assert!(world.publisher.packets.is_empty(), "all was sent");
        world
    }
}

impl Publish for Script {
    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let Some((_, opener)) = self.peer.transport.keys().filter(|_| datagram[0] >= 128) else {
            return self.peer.receive(now, datagram);
        };
        let mut datagram = datagram.to_vec();
        let length = opener.open_rtcp(&mut datagram).expect("only RTCP comes to a publisher");
        self.feedback.push((now, datagram[..length].to_vec()));
    }

    fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut datagrams = self.peer.drain(now);
        datagrams.append(&mut self.sealed);
        datagrams
    }

    fn poll_timeout(&self) -> Instant {
        self.next_tick
    }

    fn produce(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + ms(5);
        let Some((sealer, _)) = self.peer.transport.keys() else { return };
        let Some((kind, number)) = self.packets.pop_front() else { return };
        let stream = if kind == Kind::Twice { Kind::Sound } else { kind };
        let sequence = &mut self.sequences[stream as usize];
        let (mut packet, header) = packet(kind, self.element, number, *sequence);
        assert!(sealer.seal_rtp(&mut packet, 0, header, (*sequence).into()));
        *sequence += 1;
        self.sealed.push(packet);
    }
}

/// What feedback says: of each number when it came, on a clock of the teller's in µs, and when that was told first; and what is missing,
/// within a report or between two. Numbers are extended.
#[derive(Debug, Default)]
struct Told {
    came: BTreeMap<u64, (i64, Instant)>,
    missing: BTreeSet<u64>,
    end: Option<u64>,
}

impl Told {
    fn of(world: &World<Script>) -> Told {
        let mut told = Told::default();
        for (at, compound) in &world.publisher.feedback {
            let mut rest = &compound[..];
            while !rest.is_empty() {
                let (packet, others) = rest.split_at(4 * (1 + usize::from(u16::from_be_bytes([rest[2], rest[3]]))));
                if (packet[0] & 0x1f, packet[1]) == (15, 205) {
                    told.report(*at, &packet[12..]);
                }
                rest = others;
            }
        }
        told
    }

    /// draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1, behind the SSRCs.
    fn report(&mut self, at: Instant, report: &[u8]) {
        let word = |at: usize| u16::from_be_bytes([report[at], report[at + 1]]);
        let (base, count) = (word(0), usize::from(word(2)));
        let mut time = i64::from(u32::from_be_bytes([0, report[4], report[5], report[6]])) * 64_000;
        let mut next = 8;
        let mut statuses = Vec::new();
        while statuses.len() < count {
            let chunk = word(next);
            next += 2;
            match chunk >> 14 {
                0 | 1 => statuses.extend(vec![chunk >> 13 & 3; usize::from(chunk & 0x1fff)]),
                2 => statuses.extend((0..14).map(|bit| chunk >> (13 - bit) & 1)),
                _ => statuses.extend((0..7).map(|pair| chunk >> (12 - 2 * pair) & 3)),
            }
        }
        let before = self.end.unwrap_or(base.into());
        let base = before.wrapping_add_signed(i64::from(base.wrapping_sub(before as u16) as i16));
        // a report begins with what came: what is lost just before that is told by its distance from the report before
        self.missing.extend(before..base);
        for (number, status) in (base..).zip(statuses.into_iter().take(count)) {
            let ticks = match status {
                0 => {
                    self.missing.insert(number);
                    continue;
                }
                1 => i64::from(report[next]),
                _ => i64::from(word(next) as i16),
            };
            next += usize::from(status);
            time += 250 * ticks;
            self.came.entry(number).or_insert((time, at));
        }
        self.end = self.end.max(Some(base + count as u64));
    }
}

#[test]
fn a_publisher_is_told_what_came_and_when() {
    const FIRST: u64 = 65_000; // they wrap on the way
    const COUNT: u64 = 3000;
    let kind = |index: u64| match index % 10 {
        3 => Kind::Padding,
        7 => Kind::Probe,
        _ => Kind::Sound,
    };
    let packets = (0..COUNT).map(|index| (kind(index), (FIRST + index) as u16)).collect();
    let conditions = Conditions {
        loss: 0.05,
        duplicate: 0.02,
        reorder: 0.05,
        reorder_by: ms(15),
        delay: ms(20),
        jitter: ms(10),
        ..Conditions::default()
    };
    let world = Script::world(packets, conditions);
    let told = Told::of(&world);
    let mut arrived: BTreeMap<u64, Instant> = BTreeMap::new();
    for (at, datagram) in &world.arrived {
        let Some(number) = number(datagram) else { continue };
        arrived.entry(FIRST + u64::from(number.wrapping_sub(FIRST as u16))).or_insert(*at);
    }
    let lost: Vec<u64> = (FIRST..FIRST + COUNT).filter(|number| !arrived.contains_key(number)).collect();
    println!("{COUNT} sent, {} lost, {} told of as come", lost.len(), told.came.len());
    assert!(lost.len() > 100);

    assert!(told.came.keys().eq(arrived.keys()), "what came is told, each number, and nothing else");
    for (number, (_, at)) in &told.came {
        let after = *at - arrived[number];
        assert!(after < ms(250), "{number} was told of {after:?} after it came");
    }
    let (first, newest) = (arrived.keys().next().unwrap(), arrived.keys().last().unwrap());
    for number in lost.iter().filter(|number| (first..newest).contains(number)) {
        assert!(told.missing.contains(number), "{number} is lost and nobody says so");
    }
    // times are in steps of 250 µs on a clock of the teller's own: one distance to ours holds for all
    let distance = |number: &u64| told.came[number].0 - (arrived[number] - world.start).as_micros() as i64;
    let (least, most) = (arrived.keys().map(distance).min().unwrap(), arrived.keys().map(distance).max().unwrap());
    println!("arrival times are within {} µs", most - least);
    assert!(most - least <= 600, "arrival times are wrong by {} µs", most - least);
    assert_eq!(world.incoming.ingest.stats().rejected, 0);
    let sound = arrived.keys().filter(|number| kind(**number - FIRST) == Kind::Sound).count();
    assert_eq!(world.incoming.packets.len(), sound);
}

#[test]
fn numbers_go_on_through_what_brings_no_media() {
    use Kind::{Padding, Probe, Sound};
    for silent in [Probe, Padding] {
        // more than half a lap between two packets of sound, in steps that one chunk of a report can hold
        let silence = (1..6).map(|step| (silent, 10 + 8_000 * step));
        let numbers: Vec<_> =
            [(Sound, 10)].into_iter().chain(silence).chain([(Sound, 40_011), (Sound, 40_012)]).collect();
        let expected: Vec<u64> = numbers.iter().map(|(_, number)| u64::from(*number)).collect();
        let world = Script::world(numbers, near());
        assert_eq!(world.incoming.ingest.stats().rejected, 0, "{silent:?}");
        assert_eq!(world.incoming.packets.len(), 3, "nothing of the sound is refused");
        assert_eq!(Told::of(&world).came.into_keys().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn numbers_below_the_first_are_refused_whatever_brings_them() {
    use Kind::{Padding, Probe, Sound};
    for first in [Sound, Probe, Padding] {
        for below in [Sound, Probe, Padding] {
            // taken, the second would be a number near 2^64, and the next report would list all that lie between
            let world = Script::world(vec![(first, 5), (below, 65_530), (Sound, 6), (Probe, 7)], near());
            assert_eq!(world.incoming.ingest.stats().rejected, 1, "{first:?}, then {below:?}");
            assert_eq!(Told::of(&world).came.into_keys().collect::<Vec<_>>(), [5, 6, 7], "{first:?}, then {below:?}");
        }
    }
}

#[test]
fn of_a_number_that_stands_twice_in_a_packet_both_must_be_sound() {
    use Kind::{Sound, Twice};
    let world = Script::world(vec![(Sound, 5), (Twice, 6), (Sound, 7)], near());
    assert_eq!(world.incoming.ingest.stats().rejected, 1);
    assert_eq!(Told::of(&world).came.into_keys().collect::<Vec<_>>(), [5, 7]);
}

#[test]
fn whichever_extension_is_read_as_a_number_none_leads_astray() {
    const NUMBERS: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    const TURNED: &str = "urn:3gpp:video-orientation";
    let line = |id: u8, uri: &str| format!("a=extmap:{id} {uri}\r\n");
    let plain = OFFER.replace("\r\n", "\n").replace('\n', "\r\n");
    let (numbered, turned) = (line(3, NUMBERS), line(13, TURNED));
    assert!(plain.matches(&numbered).count() == 2 && plain.contains(&turned));
    let offers = [
        // never offered: the library has it under a number of its own all the same
        plain.replace(&numbered, ""),
        // not offered, and something else has that number
        plain.replace(&numbered, "").replace(&turned, &line(3, TURNED)),
        // offered, and then something else under the same number: in another section, in the same one
        plain.replace(&turned, &line(3, TURNED)),
        plain.replacen(&numbered, &format!("{numbered}{}", line(3, TURNED)), 1),
        // offered under two numbers
        plain.replacen(&numbered, &line(5, NUMBERS), 1),
    ];
    for offer in &offers {
        for element in [3, 5, 13] {
            let numbers = vec![(Kind::Sound, 5), (Kind::Sound, 65_530), (Kind::Sound, 6)];
            let world = Script::offering(offer, element, numbers, near());
            let told: Vec<_> = Told::of(&world).came.into_keys().collect();
            assert!(told.iter().all(|number| [5, 6].contains(number)), "{element} of {offer}: {told:?}");
        }
    }
}
