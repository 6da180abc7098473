//! Statistics as Python sees them: plain dicts, one struct here for each `TypedDict` of `common/_native.pyi`.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use node::stats::{Histogram, SourceStats, WorkerStats};
use node::{ConnectionStats, Node};
use pyo3::prelude::*;
use sfu::{DataStats, Kind, Protocol};

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
    }
}

#[derive(IntoPyObject)]
pub(crate) struct Durations {
    count: u64,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: f64,
}

impl From<&Histogram> for Durations {
    fn from(histogram: &Histogram) -> Durations {
        let quantile = |share| histogram.quantile(share).map(ms);
        Durations {
            count: histogram.count,
            mean_ms: (histogram.count > 0).then(|| ms(histogram.sum) / histogram.count as f64),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: ms(histogram.most),
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct LayerFigures {
    kind: &'static str,
    layer: u8,
    packets: u64,
    bytes: u64,
    bitrate_bps: u64,
    key_frames: u64,
    gop_packets: usize,
    /// Its name in the publisher's offer (`rid`); the number where it has none.
    name: String,
    alive: bool,
    width: Option<u16>,
    height: Option<u16>,
}

#[derive(IntoPyObject)]
pub(crate) struct SourceFigures {
    session: String,
    pull: bool,
    connected: bool,
    packets: u64,
    bytes: u64,
    loss: f64,
    nacks_sent: u64,
    plis_sent: u64,
    recovered: u64,
    rtt_ms: Option<f64>,
}

impl From<&SourceStats> for SourceFigures {
    fn from(source: &SourceStats) -> SourceFigures {
        SourceFigures {
            session: source.session.to_string(),
            pull: source.pull,
            connected: source.connected,
            packets: source.ingest.packets,
            bytes: source.ingest.bytes,
            loss: source.ingest.loss,
            nacks_sent: source.ingest.nacks_sent,
            plis_sent: source.ingest.plis_sent,
            recovered: source.ingest.recovered,
            rtt_ms: source.ingest.rtt_ms,
        }
    }
}

#[derive(IntoPyObject, Default)]
pub(crate) struct StreamFigures {
    injected: bool,
    live: bool,
    video: bool,
    audio: bool,
    silent_ms: Option<f64>,
    subscribers: usize,
    taps: usize,
    key_frame_requests: u64,
    layers: Vec<LayerFigures>,
    sources: Vec<SourceFigures>,
    /// Over its subscribers: bits per second out, median round trip, mean loss (0..1) of the newest reports.
    egress_bps: u64,
    rtt_ms_p50: Option<f64>,
    loss: f64,
    retransmitted: u64,
    nacks: u64,
    nacks_missed: u64,
    plis: u64,
    replays: u64,
}

#[derive(IntoPyObject)]
pub(crate) struct WorkerFigures {
    index: u16,
    send: &'static str,
    subscribers: usize,
    cpu_ms: f64,
    turn: Durations,
    datagrams_in: u64,
    bytes_in: u64,
    receive_calls: u64,
    truncated: u64,
    receive_errors: u64,
    unknown: u64,
    handed_over: u64,
    unused: usize,
    datagrams_out: u64,
    bytes_out: u64,
    send_calls: u64,
    trains: Vec<u64>,
    dropped: u64,
    send_errors: u64,
    tcp: ConnectionFigures,
    overflows: u64,
    faults: u64,
}

#[derive(IntoPyObject)]
pub(crate) struct ConnectionFigures {
    open: usize,
    frames_in: u64,
    frames_out: u64,
    bytes_out: u64,
    dropped: u64,
    full: u64,
}

impl From<&ConnectionStats> for ConnectionFigures {
    fn from(stats: &ConnectionStats) -> ConnectionFigures {
        let ConnectionStats { open, frames_in, frames_out, bytes_out, dropped, full } = *stats;
        ConnectionFigures { open, frames_in, frames_out, bytes_out, dropped, full }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct GateFigures {
    accepted: u64,
    refused: u64,
    dismissed: u64,
    waiting: u64,
    open: usize,
}

impl From<node::stats::GateFigures> for GateFigures {
    fn from(figures: node::stats::GateFigures) -> GateFigures {
        let node::stats::GateFigures { accepted, refused, dismissed, waiting, open } = figures;
        GateFigures { accepted, refused, dismissed, waiting, open }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct SessionFigures {
    session: String,
    stream: String,
    age_ms: f64,
    connected: bool,
    remote: Option<String>,
    protocol: Option<&'static str>,
    packets: u64,
    bytes: u64,
    bitrate_bps: u64,
    remb_bps: Option<u64>,
    layer: Option<u8>,
    rtt_ms: Option<f64>,
    loss: f64,
    packets_lost: i64,
    jitter_ms: f64,
    retransmitted: u64,
    nacks: u64,
    nacks_missed: u64,
    plis: u64,
    replays: u64,
    rejected: u64,
    connect_ms: Option<f64>,
    first_frame_ms: Option<f64>,
    data: DataFigures,
}

#[derive(IntoPyObject)]
pub(crate) struct DataFigures {
    channels: usize,
    opened: u64,
    received: u64,
    received_bytes: u64,
    sent: u64,
    sent_bytes: u64,
    dropped_fast: u64,
    dropped_full: u64,
    dropped_datagrams: u64,
    closed_many: u64,
    closed_long: u64,
    closed_fast: u64,
    closed_full: u64,
    closed_protocol: u64,
}

impl From<&DataStats> for DataFigures {
    fn from(data: &DataStats) -> DataFigures {
        DataFigures {
            channels: data.channels,
            opened: data.opened,
            received: data.received,
            received_bytes: data.received_bytes,
            sent: data.sent,
            sent_bytes: data.sent_bytes,
            dropped_fast: data.dropped_fast,
            dropped_full: data.dropped_full,
            dropped_datagrams: data.dropped_datagrams,
            closed_many: data.closed_many,
            closed_long: data.closed_long,
            closed_fast: data.closed_fast,
            closed_full: data.closed_full,
            closed_protocol: data.closed_protocol,
        }
    }
}

#[derive(IntoPyObject)]
pub(crate) struct Figures {
    subscribers: usize,
    max_subscribers: usize,
    joins: u64,
    /// Messages on data channels that found the queue of events full.
    messages_dropped: u64,
    forward: Durations,
    sound: Durations,
    first_frame: Durations,
    connect: Durations,
    tcp: GateFigures,
    workers: Vec<WorkerFigures>,
    streams: BTreeMap<String, StreamFigures>,
    /// Publishers and pulls whose stream has not begun.
    pending: BTreeMap<String, Vec<SourceFigures>>,
    sessions: Vec<SessionFigures>,
}

/// One snapshot of the node; `sessions` asks for each subscriber by itself too.
pub(crate) fn snapshot(node: &Node, sessions: bool) -> Figures {
    let now = Instant::now();
    let workers = node.stats();
    let merged = |of: fn(&WorkerStats) -> &Histogram| {
        let mut all = Histogram::default();
        workers.iter().for_each(|worker| all.merge(of(worker)));
        Durations::from(&all)
    };
    let mut streams: BTreeMap<String, StreamFigures> = BTreeMap::new();
    let mut pending: BTreeMap<String, Vec<SourceFigures>> = BTreeMap::new();
    for worker in &workers {
        add_streams(worker, now, &mut streams);
    }
    for source in workers.iter().flat_map(|worker| &worker.sources) {
        match streams.get_mut(&*source.stream) {
            Some(stream) => stream.sources.push(source.into()),
            None => pending.entry(source.stream.to_string()).or_default().push(source.into()),
        }
    }
    Figures {
        subscribers: node.subscribers(),
        max_subscribers: node.max_subscribers(),
        joins: workers.iter().map(|worker| worker.joins).sum(),
        messages_dropped: node.events().messages_dropped(),
        forward: merged(|worker| &worker.forward),
        sound: merged(|worker| &worker.sound),
        first_frame: merged(|worker| &worker.first_frame),
        connect: merged(|worker| &worker.connect),
        tcp: node.gate().into(),
        sessions: if sessions { workers.iter().flat_map(|worker| one_by_one(worker)).collect() } else { Vec::new() },
        workers: workers.iter().map(|worker| worker_figures(worker)).collect(),
        streams,
        pending,
    }
}

fn add_streams(worker: &WorkerStats, now: Instant, streams: &mut BTreeMap<String, StreamFigures>) {
    for seen in &worker.streams {
        let stream = streams.entry(seen.name.to_string()).or_default();
        stream.subscribers += seen.subscribers;
        stream.taps += seen.taps;
        if !seen.owner {
            continue;
        }
        stream.injected = seen.injected;
        stream.live = seen.fed;
        stream.key_frame_requests = seen.key_frame_requests;
        stream.silent_ms = seen.cache.newest_arrival.map(|arrival| ms(now.saturating_duration_since(arrival)));
        for layer in &seen.cache.layers {
            stream.video |= layer.kind == Kind::Video;
            stream.audio |= layer.kind == Kind::Audio;
            stream.layers.push(LayerFigures {
                kind: kind_name(layer.kind),
                layer: layer.layer.0,
                packets: layer.packets,
                bytes: layer.bytes,
                bitrate_bps: layer.bitrate_bps,
                key_frames: layer.key_frames,
                gop_packets: layer.gop_packets,
                name: seen
                    .layer_names
                    .get(usize::from(layer.layer.0))
                    .filter(|name| !name.is_empty() && layer.kind == Kind::Video)
                    .cloned()
                    .unwrap_or_else(|| layer.layer.0.to_string()),
                alive: layer.alive,
                width: layer.resolution.map(|size| size.width),
                height: layer.resolution.map(|size| size.height),
            });
        }
    }
    let mut rtts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut losses: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for session in worker.sessions.iter() {
        let Some(stream) = streams.get_mut(&*session.stream) else { continue };
        let figures = &session.subscriber;
        stream.egress_bps += figures.bitrate_bps;
        for track in [&figures.video, &figures.audio] {
            stream.retransmitted += track.retransmitted;
            stream.nacks += track.nacks;
            stream.nacks_missed += track.nacks_missed;
            stream.plis += track.plis;
        }
        stream.replays += figures.replays;
        if let Some(rtt) = figures.rtt_ms {
            rtts.entry(&session.stream).or_default().push(rtt);
        }
        let loss = losses.entry(&session.stream).or_default();
        loss.0 += figures.video.loss.max(figures.audio.loss);
        loss.1 += 1;
    }
    for (name, mut values) in rtts {
        values.sort_by(f64::total_cmp);
        if let Some(stream) = streams.get_mut(name) {
            let median = values[values.len() / 2];
            // Of several workers the slower half counts: it is a figure to be warned by.
            stream.rtt_ms_p50 = Some(stream.rtt_ms_p50.map_or(median, |other| other.max(median)));
        }
    }
    for (name, (sum, count)) in losses {
        if let Some(stream) = streams.get_mut(name) {
            stream.loss = stream.loss.max(sum / count as f64);
        }
    }
}

fn worker_figures(worker: &WorkerStats) -> WorkerFigures {
    WorkerFigures {
        index: worker.index,
        send: worker.rung.map_or("", node::train::Rung::name),
        subscribers: worker.subscribers,
        cpu_ms: ms(worker.cpu),
        turn: (&worker.turn).into(),
        datagrams_in: worker.receive.datagrams,
        bytes_in: worker.receive.bytes,
        receive_calls: worker.receive.calls,
        truncated: worker.receive.truncated,
        receive_errors: worker.receive.errors,
        unknown: worker.unknown,
        handed_over: worker.handed_over,
        unused: worker.unused,
        datagrams_out: worker.send.datagrams,
        bytes_out: worker.send.bytes,
        send_calls: worker.send.calls,
        trains: worker.send.trains.to_vec(),
        dropped: worker.send.dropped,
        send_errors: worker.send.errors,
        tcp: (&worker.connections).into(),
        overflows: worker.overflows,
        faults: worker.faults,
    }
}

fn one_by_one(worker: &WorkerStats) -> impl Iterator<Item = SessionFigures> {
    worker.sessions.iter().map(|session| {
        let figures = &session.subscriber;
        let both = [&figures.video, &figures.audio];
        SessionFigures {
            session: session.session.to_string(),
            stream: session.stream.to_string(),
            age_ms: ms(session.age),
            connected: figures.connected,
            remote: figures.remote.map(|peer| peer.address.to_string()),
            protocol: figures.remote.map(|peer| protocol_name(peer.protocol)),
            packets: both.iter().map(|track| track.packets).sum(),
            bytes: both.iter().map(|track| track.bytes).sum(),
            bitrate_bps: figures.bitrate_bps,
            remb_bps: figures.remb_bps,
            layer: figures.layer.map(|layer| layer.0),
            rtt_ms: figures.rtt_ms,
            loss: figures.video.loss.max(figures.audio.loss),
            packets_lost: both.iter().map(|track| track.packets_lost).sum(),
            jitter_ms: figures.video.jitter_ms.max(figures.audio.jitter_ms),
            retransmitted: both.iter().map(|track| track.retransmitted).sum(),
            nacks: both.iter().map(|track| track.nacks).sum(),
            nacks_missed: both.iter().map(|track| track.nacks_missed).sum(),
            plis: both.iter().map(|track| track.plis).sum(),
            replays: figures.replays,
            rejected: figures.rejected,
            connect_ms: figures.connect_ms,
            first_frame_ms: figures.first_frame_ms,
            data: (&figures.data).into(),
        }
    })
}
