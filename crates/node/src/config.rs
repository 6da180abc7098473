//! How a node is set up.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use sfu::SubscriberConfig;

use crate::train::Rung;

/// Workers that a ufrag can name.
pub const MAX_WORKERS: usize = 64;

/// See the fields; [`NodeConfig::default`] is one worker for every two cores on any port.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Address to bind; "::" is every one, IPv4 too (and only that where there is no IPv6).
    pub host: IpAddr,
    /// Port for UDP and TCP; 0 lets the kernel choose.
    pub port: u16,
    /// Worker threads; 0 is one for every two cores.
    pub workers: usize,
    /// Addresses told to peers instead of those of the interfaces (behind a NAT).
    pub public_addresses: Vec<IpAddr>,
    /// Highest rung of the send ladder.
    pub send: Rung,
    /// Subscribers of the whole node; one more is refused.
    pub max_subscribers: usize,
    /// Sessions of the whole node whose peer has sent no genuine check yet. Above it the oldest makes room, once it is older than
    /// `unused_grace`; else one more is refused.
    pub max_unused: usize,
    /// How long such a session keeps its place for sure.
    pub unused_grace: Duration,
    /// A TCP connection says within this time which session it is for, and once more so long that it is allowed to be.
    pub connection_patience: Duration,
    /// What each subscriber is set up with.
    pub subscriber: SubscriberConfig,
}

impl Default for NodeConfig {
    fn default() -> Self {
        NodeConfig {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            workers: 0,
            public_addresses: Vec::new(),
            send: Rung::Gso,
            max_subscribers: 10_000,
            max_unused: 2_000,
            unused_grace: Duration::from_secs(2),
            connection_patience: Duration::from_secs(5),
            subscriber: SubscriberConfig::default(),
        }
    }
}
