//! What an edge process is told when it starts. All else comes in snapshots from control.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use updraft_authz::TrustedProxies;
use url::Url;

/// Configuration of one edge process.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Control's internal listener: `http://127.0.0.1:7702`, or the https balancer before it.
    pub control_url: Url,
    /// An authority to believe for it beside the machine's own, PEM.
    pub control_ca_file: Option<PathBuf>,
    /// Holds the edge token, read at start.
    pub token_file: PathBuf,
    /// The last snapshot is kept here, readable by this user alone.
    pub state_dir: PathBuf,
    /// The port for health on loopback, and for hosts that are names.
    pub listen_port: u16,
    /// Where hosts that are names are served; hosts that are addresses are bound as they are.
    pub listen_address: IpAddr,
    /// Where agents dial their tunnels to; none: web nodes are reached directly.
    pub tunnel_listen: Option<SocketAddr>,
    /// Holds one directory per runtime, as [`crate::assets::build`] makes them.
    pub asset_dir: PathBuf,
    /// How browsers reach this edge: decides origins and cookies. Never taken from a request.
    pub scheme: Scheme,
    /// Who is believed about a client's address.
    pub trusted_proxies: TrustedProxies,
    /// Threads that serve; 0 for one per core.
    pub workers: usize,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Times and sizes that bound what one client or upstream can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From accepting a connection, or from the first byte of a further request, to its complete head.
    pub head: Duration,
    /// From a response to the next request's first byte. Longer than balancers keep a connection that they do not use (AWS's: 60 s,
    /// 120 s in `terraform/`): who closes first must not be us.
    pub idle: Duration,
    pub connect: Duration,
    /// From the complete request to the response's head.
    pub answer: Duration,
    /// After the stop signal, for how long all goes on as before while balancers, whom the health check tells, take this
    /// edge out.
    pub leave: Duration,
    /// How long open requests may go on after that.
    pub drain: Duration,
    pub connections: usize,
    /// How often the right to a stream that says nothing is looked at again.
    pub recheck: Duration,
    /// How often control is told which API tokens were used.
    pub token_uses: Duration,
    /// How often control is told what was refused.
    pub refusals: Duration,
}

// === impl EdgeConfig ===

impl EdgeConfig {
    /// A configuration with the usual limits, for plain HTTP.
    #[must_use]
    pub fn new(control_url: Url, token_file: PathBuf, state_dir: PathBuf, asset_dir: PathBuf) -> Self {
        Self {
            control_url,
            control_ca_file: None,
            token_file,
            state_dir,
            listen_port: 7701,
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tunnel_listen: None,
            asset_dir,
            scheme: Scheme::Http,
            trusted_proxies: TrustedProxies::default(),
            workers: 0,
            limits: Limits::default(),
        }
    }
}

// === impl Scheme ===

impl Scheme {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            idle: Duration::from_secs(150),
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(120),
            leave: Duration::ZERO,
            drain: Duration::from_secs(10),
            connections: 8192,
            recheck: Duration::from_secs(5),
            token_uses: Duration::from_secs(30),
            refusals: Duration::from_secs(10),
        }
    }
}
