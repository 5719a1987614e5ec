//! The server's settings, each within its bounds. The comments on fields are help texts.

use super::endpoint::{self, AdminOptions, ListenAddress, SocketOptions};
use super::feature::Feature;
use super::values;
use super::workers::{CpuList, WorkerCount};
use crate::engine::chosen::EngineChoice;
use crate::engine::kernel::EngineKind;
use crate::http::forwarded::ForwardingOptions;
use crate::http::host::{ALLOWED_HOSTS_MAX, AllowedHost};
use crate::http::{added_field, media_type};
use crate::sandbox::options::LockdownOptions;
use crate::server;
use crate::site::build::RootOptions;
use crate::telemetry::options::AccessLogOptions;
use crate::value_parsers::{self, BACKLOG_MAX};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, FromArgMatches};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be set about a server. [`StartSettings::default`] has the defaults of the
/// command line.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct StartSettings {
    /// Most connections open at once
    ///
    /// Memory for all of them is reserved at start. Further connections wait in the backlog until a
    /// slot is free; none is accepted and then dropped.
    #[arg(long, value_name = "N", default_value = "5000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub spawn: u32,

    /// Address to listen on; may be repeated
    ///
    /// An IPv4 address (`127.0.0.1:80`), an IPv6 address in brackets (`[::1]:80`) or a socket file
    /// (`unix:/run/web.sock`). Host names are not resolved. Port 0 lets the kernel choose a port.
    ///
    /// With `,proxy` behind it (`10.0.0.5:80,proxy`), each connection must begin with a header of
    /// the PROXY protocol, version 1 or 2, and is closed otherwise. The access log then has the
    /// address of the client. Only proxies should be able to reach such an address.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:10001")]
    #[arg(value_parser = OsStringValueParser::new().try_map(endpoint::parse))]
    pub listen: Vec<ListenAddress>,

    /// Address for health checks, with 8 connection slots of its own in each worker
    ///
    /// It serves only the path of --health, or /healthz by default: 200, or 503 once SIGTERM or
    /// SIGINT has arrived, even while --spawn connections hold all other slots.
    #[arg(long, value_name = "ADDR:PORT")]
    #[arg(value_parser = OsStringValueParser::new().try_map(endpoint::parse))]
    pub health_listen: Option<ListenAddress>,

    /// The listener for questions about the service.
    #[command(flatten)]
    pub admin: AdminOptions,

    /// The access log.
    #[command(flatten)]
    pub log: AccessLogOptions,

    /// The proxies that are trusted.
    #[command(flatten)]
    pub forwarding: ForwardingOptions,

    /// Permissions of socket files.
    #[command(flatten)]
    pub socket: SocketOptions,

    /// Serve this file instead of the built-in page; the file is kept in memory
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub page: Option<PathBuf>,

    /// Serve this folder instead of one page
    ///
    /// The whole folder is read at start and at each reload (SIGHUP), and no file is opened in
    /// between. If DIR is a link, a reload follows it anew. `uringstatic check DIR` lists the
    /// responses. The options from --compress to --site-files require --root; --health also works
    /// with --health-listen.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    #[arg(conflicts_with_all = ["page", "content_type", "status"])]
    pub root: Option<PathBuf>,

    /// How the folder is served.
    #[command(flatten)]
    pub root_options: RootOptions,

    /// Media type of the page, such as 'text/html; charset=utf-8' [default: by file extension]
    #[arg(long, value_name = "TYPE", value_parser = media_type::parse)]
    pub content_type: Option<String>,

    /// Status code of the page, 200 to 599
    ///
    /// Codes whose responses have no content (204, 205, 304) and codes that answer range requests
    /// (206, 416) are refused.
    #[arg(long, value_name = "CODE", default_value = "200", value_parser = values::status)]
    pub status: u16,

    /// Header field of every response for the page or the folder, as 'Name: value'; may be
    /// repeated, up to 8 KiB in all
    ///
    /// Built-in errors have it, too, unless it describes the content or the request isn't valid
    /// HTTP. Fields that the server sets itself, such as Content-Length and Date, are refused.
    #[arg(long = "header", value_name = "HEADER", value_parser = added_field::parse)]
    pub headers: Vec<(String, String)>,

    /// Origin whose scripts may read the responses, such as `https://app.example`, or * for any
    ///
    /// It sets Access-Control-Allow-Origin, and `Vary: Origin` unless it is *. The preflight of a
    /// request by GET or HEAD is answered. `_headers` can set other values for a path of a folder.
    #[arg(long, value_name = "ORIGIN", value_parser = values::origin)]
    pub cors: Option<String>,

    /// Host to answer for; may be repeated, or given as a list with commas [default: any]
    ///
    /// A request for another host gets 421 (Misdirected Request), which prevents DNS rebinding. A
    /// host is a name, *.NAME for all names below it, an IPv4 address, or an IPv6 address in
    /// brackets. A port is compared only if one is given. The path of --health is answered for any
    /// host.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<AllowedHost>,

    /// Most connections queued per address until they are accepted; net.core.somaxconn may lower
    /// it
    #[arg(long, value_name = "N", default_value = "4096")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=BACKLOG_MAX))]
    pub backlog: u32,

    /// Longest time for a complete request head
    ///
    /// Durations have a unit, as in 500ms, 10s or 1m30s, and end at one day.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value_parsers::duration)]
    pub head_timeout: Duration,

    /// Longest time between two requests on a connection
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    #[arg(value_parser = value_parsers::duration)]
    pub idle_timeout: Duration,

    /// Longest time for the whole body of a request
    ///
    /// A request is answered when its head is complete. The body is discarded, so that the
    /// connection can persist.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    #[arg(value_parser = value_parsers::duration)]
    pub body_timeout: Duration,

    /// Longest time for a response without progress
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    #[arg(value_parser = value_parsers::duration)]
    pub send_timeout: Duration,

    /// Lowest rate at which a client must take a response, in bytes per second; 0 for any
    ///
    /// The rate is averaged over the time that the socket is full, after a grace of 5 seconds.
    /// Bytes taken faster earn time in advance, up to --send-timeout.
    #[arg(long, value_name = "BYTES", default_value = "240", value_parser = values::rate)]
    pub min_rate: u32,

    /// Time between SIGTERM or SIGINT and the drain
    ///
    /// Health checks get 503 during the delay, and everything else is served as before: a load
    /// balancer goes on sending connections until it has noticed. A second signal ends the service
    /// at once.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    #[arg(value_parser = value_parsers::delay)]
    pub drain_delay: Duration,

    /// Time for which idle connections are kept after a reload
    ///
    /// The next response on each of them has `Connection: close`, and comes from the site before
    /// the reload. Responses in progress at the end of this time have --drain-timeout to finish.
    /// The same precedes the drain of a server whose sockets a service manager keeps open.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    #[arg(value_parser = value_parsers::delay)]
    pub reload_grace: Duration,

    /// Longest time for responses in progress to finish, from the beginning of the drain
    ///
    /// The old workers drain after a reload, too, when --reload-grace has passed.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value_parsers::duration)]
    pub drain_timeout: Duration,

    /// Longest request head, from 1k to 64k; a longer head gets 431
    ///
    /// A plain number counts bytes; k and m (or KiB and MiB) stand for 1024 and 1024 * 1024 bytes.
    #[arg(long = "max-head", value_name = "SIZE", default_value = "16k")]
    #[arg(value_parser = values::head_bytes)]
    pub head_bytes_max: u32,

    /// Processes that serve, or `auto` for one per CPU that this process may use
    ///
    /// All of them accept connections from the same sockets, and --spawn is the limit of all of
    /// them together. `auto` takes the CPU affinity and the control group's quota into account.
    #[arg(long, value_name = "N", default_value = "1", value_parser = WorkerCount::parse)]
    pub workers: WorkerCount,

    /// CPUs to run on, counted from 0: a list such as 0-3,6 [default: any]
    ///
    /// Each worker is pinned to one of them, in this order; more workers than CPUs begin again at
    /// the first.
    #[arg(long, value_name = "LIST", value_parser = CpuList::parse)]
    pub cpu: Option<CpuList>,

    /// Kernel interface to serve by
    ///
    /// `auto` tries `io_uring` in a child process, as the user and in the sandbox that workers
    /// have. It falls back to epoll, with a message, if the kernel is too old, or if the kernel or
    /// a seccomp filter refuses it, as in most containers. By epoll a request takes more system
    /// calls.
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto")]
    pub engine: EngineChoice,

    /// Longest time for a worker to take no turn of its loop before it is replaced; 0s for ever
    ///
    /// An idle worker takes no turns by itself, so the supervisor asks for one after half of that
    /// time. A worker that doesn't obey hangs: it is killed, and its connections are lost.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value_parsers::delay)]
    pub worker_timeout: Duration,

    /// Serve from the process that is started, without supervisor, loader and workers
    ///
    /// For debuggers: no reload is possible (SIGHUP has no effect but a message), and a crash ends
    /// the service.
    #[arg(long, conflicts_with_all = ["workers", "worker_timeout", "reload_grace"])]
    pub single_process: bool,

    /// The sandbox and the serving user.
    #[command(flatten)]
    pub lockdown: LockdownOptions,

    /// Print errors only
    #[arg(long)]
    pub quiet: bool,

    /// Disable a feature, as on a kernel that lacks it; may be repeated
    #[arg(long, value_name = "FEATURE", value_enum, hide = true)]
    pub without: Vec<Feature>,
}

impl Default for StartSettings {
    fn default() -> Self {
        let command = Self::augment_args(clap::Command::new("uringstatic"));
        let matches = command.no_binary_name(true).get_matches_from::<_, &str>([]);
        Self::from_arg_matches(&matches).expect("every option has a default or is optional")
    }
}

impl StartSettings {
    /// These settings with each disabled feature listed once.
    ///
    /// # Errors
    /// If settings that are valid by themselves exclude each other; names the options.
    pub fn checked(mut self) -> Result<Self, String> {
        let listeners = self.addresses().map(|address| &address.endpoint);
        let addresses: Vec<_> = listeners.chain(&self.admin.admin).cloned().collect();
        endpoint::check_all(&addresses)?;
        self.socket.check(&addresses)?;
        added_field::check_all(&self.added_fields())?;
        let names_origin =
            |(name, _): &(String, String)| name.eq_ignore_ascii_case(values::ALLOW_ORIGIN);
        if self.cors.is_some() && self.headers.iter().any(names_origin) {
            return Err(format!("--cors and --header both set {}", values::ALLOW_ORIGIN));
        }
        if self.allowed_hosts.len() > ALLOWED_HOSTS_MAX {
            return Err(format!("--allowed-hosts may name {ALLOWED_HOSTS_MAX} hosts at most"));
        }
        let mut folder_options = self.root_options.clone();
        if self.health_listen.is_some() {
            folder_options.health = None;
        }
        if self.root.is_none() && folder_options != RootOptions::default() {
            return Err(NEEDS_ROOT.to_owned());
        }
        if let WorkerCount::Count(count @ 2..) = self.workers
            && count > self.spawn
        {
            return Err(format!(
                "--workers {count} needs a connection for each: --spawn {count} or more"
            ));
        }
        self.without = Feature::once_each(&self.without);
        let of_io_uring = Feature::unknown_to(EngineKind::Epoll, &self.without);
        if let (EngineChoice::Epoll, [feature, ..]) = (self.engine, &of_io_uring[..]) {
            let name = feature.name();
            return Err(format!("--without {name} has no effect with --engine epoll"));
        }
        Ok(self)
    }

    /// The fields that options add to responses: those of `--cors`, then those of `--header`.
    #[must_use]
    pub fn added_fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Some(origin) = &self.cors {
            fields.push((values::ALLOW_ORIGIN.to_owned(), origin.clone()));
            if origin != "*" {
                // A cache must not answer another origin with this response (Fetch standard,
                // "CORS protocol and HTTP caches").
                fields.push(("Vary".to_owned(), "Origin".to_owned()));
            }
        }
        fields.extend(self.headers.iter().cloned());
        fields
    }

    /// Whether the server takes note of the addresses of its peers.
    #[must_use]
    pub fn wants_peers(&self) -> bool {
        self.log.access_log.is_some()
    }

    /// All addresses to listen on; that for health checks is the last.
    pub fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.listen.iter().chain(&self.health_listen)
    }

    /// The path that the health address answers.
    #[must_use]
    pub fn health_path(&self) -> &str {
        self.root_options.health.as_deref().unwrap_or(HEALTH_PATH)
    }

    /// The number of processes that serve.
    #[must_use]
    pub fn worker_count(&self) -> u32 {
        if self.single_process { 1 } else { self.workers.count(self.spawn) }
    }

    /// The most connections of one worker: its part of `spawn`.
    #[must_use]
    pub fn worker_spawn(&self) -> u32 {
        self.spawn.div_ceil(self.worker_count())
    }

    /// The number of connection slots of a worker: its part of `spawn`, and those of the health
    /// address.
    #[must_use]
    pub fn slots(&self) -> u32 {
        let health = if self.health_listen.is_some() { server::HEALTH_SLOTS } else { 0 };
        self.worker_spawn().saturating_add(health)
    }
}

/// The path of health checks without `--health`.
const HEALTH_PATH: &str = "/healthz";

const NEEDS_ROOT: &str = "--compress, --clean-urls, --spa, --health, --strict, --site-bytes and \
                          --site-files apply to a folder: name it with --root DIR";
