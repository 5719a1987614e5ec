//! The options of one load: the command line, checked as a whole. Reads no file and resolves no
//! name.

mod requests;
mod search;
#[cfg(test)]
mod tests;
mod url;
mod values;

use super::files;
use super::limit::Objective;
use super::proxy_header::ProxyHeader;
use super::request::RequestTemplate;
use super::targets::order::SEED_DEFAULT;
use super::tls::{TlsPlan, Trust};
use crate::engine::chosen::EngineChoice;
use crate::http::added_field;
use crate::value_parsers;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};
pub use url::{Origin, Scheme, Url};
pub use values::Sources;
pub(in crate::load) use values::method;

/// The arguments of a worker process. Only the load client itself starts workers, so neither
/// `--help` nor the completions mention them.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "uringload worker")]
pub struct WorkerArgs {
    /// Descriptor of the shared memory
    pub fd: i32,
    /// Index of this worker, from 0
    pub index: u32,
    /// Number of workers
    pub workers: u32,
}

/// Parses the options of one load, without the subcommands of `uringload`; the first word is the
/// name of the program.
///
/// # Errors
/// If an option is wrong, or the text of `--help`.
pub fn parse<I, T>(words: I) -> Result<LoadOptions, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    #[derive(Parser)]
    #[command(name = "uringload")]
    struct Alone {
        #[command(flatten)]
        options: LoadOptions,
    }
    let Alone { options } = Alone::try_parse_from(words)?;
    options.checked().map_err(|why| Alone::command().error(ErrorKind::ArgumentConflict, why))
}

/// The options of a load: target, amount and checks.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub struct LoadOptions {
    /// URL to request: http://HOST:PORT/PATH, with https for TLS, or unix:SOCKET:/PATH
    #[arg(value_name = "URL", required_unless_present = "urls")]
    pub url: Vec<Url>,

    /// File with the URLs to request, or - for standard input: one per line, as in
    /// `HEAD /a.css weight=3`
    #[arg(long, value_name = "FILE")]
    pub urls: Option<PathBuf>,

    /// Access log to replay, or - for standard input: combined or common format, or lines of JSON
    ///
    /// The load ends with the log, unless -n or -d is given.
    #[arg(long, value_name = "FILE", conflicts_with = "urls")]
    pub replay: Option<PathBuf>,

    /// Replay a log at the times of its requests, X times as fast (open loop)
    #[arg(long, value_name = "X", value_parser = values::speed, requires = "replay")]
    #[arg(conflicts_with_all = ["shuffle", "rates", "warmup"])]
    pub speed: Option<f64>,

    /// Make the requests of --urls or --replay in a random order, which --seed fixes
    #[arg(long)]
    pub shuffle: bool,

    /// Number that the order of --shuffle follows from
    #[arg(long, value_name = "N", default_value_t = SEED_DEFAULT, requires = "shuffle")]
    pub seed: u64,

    /// Simultaneous connections; a list such as 10,100,1000 makes one run for each number
    #[arg(short, long, value_name = "N", default_value = "64", value_delimiter = ',')]
    #[arg(value_parser = values::connections)]
    pub connections: Vec<NonZeroU32>,

    /// Total number of requests [default: as many as the duration allows]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,

    /// Duration, as in 10s [default: 10s, or until all of --requests are made]
    #[arg(short, long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub duration: Option<Duration>,

    /// Use a new connection for each request
    #[arg(long)]
    pub close: bool,

    /// Send HTTP/1.0 requests
    #[arg(long = "http1.0")]
    pub http_1_0: bool,

    /// Behave as ab by default: HTTP/1.0, a connection for each request; print its categories
    #[arg(long)]
    pub ab: bool,

    /// Number of requests sent together on a connection
    #[arg(long, value_name = "K", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pipeline: u32,

    /// Method of the request
    #[arg(short, long, value_name = "METHOD", default_value = "GET")]
    #[arg(value_parser = values::method, conflicts_with_all = ["urls", "replay"])]
    pub method: String,

    /// Field of the request, as 'Name: value'; repeatable. Any field is permitted, as tests need
    /// invalid ones, too
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = added_field::field)]
    pub headers: Vec<(String, String)>,

    /// Content of the request: text, @FILE, or @- for standard input. With --urls, requests that
    /// are POST, PUT or PATCH have it
    #[arg(long, value_name = "TEXT|@FILE", conflicts_with = "replay")]
    pub body: Option<String>,

    /// Close each connection after N responses
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(conflicts_with = "close")]
    pub requests_per_connection: Option<u32>,

    /// Pause between a response and the next request of a connection
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    #[arg(conflicts_with_all = ["rates", "speed"])]
    pub think_time: Option<Duration>,

    /// Begin each connection with a header of the PROXY protocol, version 2, also in front of TLS
    /// [default kind: tcp]
    #[arg(long, value_name = "KIND", value_enum, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "tcp")]
    pub proxy_protocol: Option<ProxyHeader>,

    /// Requests per second, independent of the server (open loop)
    ///
    /// Latency counts from the time at which a request was due, so a stalled server can't hide its
    /// stalls. A list such as 100,1000 makes one run for each rate.
    #[arg(long = "rate", value_name = "R", value_parser = values::rate, value_delimiter = ',')]
    pub rates: Vec<f64>,

    /// Exit with 0 even if the rate was not held
    #[arg(long, requires = "rates")]
    pub allow_missed_rate: bool,

    /// Find the highest rate that holds --slo: rates double, from --rate on, then are bisected
    ///
    /// A run of -d (5s by default) passes if its rate was held, all responses were correct, and the
    /// percentile is within the limit. All runs are in the report.
    #[arg(long, requires = "slo")]
    pub find_limit: bool,

    /// Service level objective of --find-limit: a percentile of the response times, and the most
    /// that it may be, as in 10ms@p99
    #[arg(long, value_name = "DURATION@pN", requires = "find_limit")]
    pub slo: Option<Objective>,

    /// Time of the clock at which the first run begins, as in 2030-01-01T12:00:00Z
    ///
    /// Clients on several machines begin together, and `uringload merge` adds their reports.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub start_at: Option<SystemTime>,

    /// Most connections to open per second
    #[arg(long, value_name = "R", value_parser = values::rate)]
    pub connect_rate: Option<f64>,

    /// Time over which to spread the first connections
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub ramp: Option<Duration>,

    /// Time to make requests before they count
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub warmup: Option<Duration>,

    /// Local addresses to connect from: one, or a range such as 127.0.0.2-127.0.0.20
    #[arg(long, value_name = "A-B", value_parser = values::sources)]
    pub source: Option<Sources>,

    /// File with certificates, in PEM form, of the authorities to trust for https, or of the server
    /// itself [default: the authorities that the system trusts]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,

    /// Accept any certificate for https
    #[arg(long)]
    pub insecure: bool,

    /// File with the expected content of every response
    #[arg(long, value_name = "FILE", conflicts_with_all = ["urls", "replay"])]
    pub expect: Option<PathBuf>,

    /// Permitted status of a response; repeatable [default: 200 to 399]
    #[arg(long = "status", value_name = "CODE", value_parser = values::status)]
    pub statuses: Vec<u16>,

    /// Timeout for a complete response
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    #[arg(value_parser = value_parsers::duration)]
    pub timeout: Duration,

    /// Longest wait for responses after the last request
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    #[arg(value_parser = value_parsers::delay)]
    pub grace: Duration,

    /// Timeout for establishing a connection, with its TLS handshake
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = value_parsers::duration)]
    pub connect_timeout: Duration,

    /// Kernel interface to make requests by; `auto` is epoll where `io_uring` isn't available
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto")]
    pub engine: EngineChoice,

    /// Worker processes, one per core [default: one less than there are cores]
    #[arg(short = 't', long, visible_alias = "threads", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub processes: Option<u32>,

    /// Number of times that each run is made
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,

    /// Name of the load in its results
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub label: String,

    /// Write the results as JSON; - is standard output, which then has no figures for people
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the results as CSV, one line per run; - is standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write the response times for the plotter of `HdrHistogram`, one file per run
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,

    /// Write the results as an SVG chart
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

impl LoadOptions {
    /// Applies the options that imply others, and checks options against each other.
    ///
    /// # Errors
    /// If two options contradict each other.
    pub fn checked(mut self) -> Result<Self, String> {
        if self.ab {
            self.close = true;
            self.http_1_0 = true;
        }
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<(), String> {
        self.check_targets()?;
        if !self.rates.is_empty() && self.pipeline > 1 {
            return Err("--rate sends one request at a time: it can't be combined with \
                        --pipeline, where a batch waits for the previous one"
                .to_owned());
        }
        if self.close && self.pipeline > 1 {
            return Err(
                "--close sends one request per connection: it can't be combined with --pipeline"
                    .to_owned(),
            );
        }
        self.check_histograms()?;
        self.check_search()?;
        // Compared without `.` components: ./a is a.
        let outputs: Vec<PathBuf> = self.outputs().iter().map(|path| plain(path)).collect();
        match (0..outputs.len()).find(|&place| outputs[..place].contains(&outputs[place])) {
            None => Ok(()),
            Some(place) => Err(format!(
                "{} is named for two outputs, which would overwrite each other",
                outputs[place].display()
            )),
        }
    }

    /// Refuses runs whose histograms would be written to the same file.
    fn check_histograms(&self) -> Result<(), String> {
        let Some(path) = &self.hgrm else { return Ok(()) };
        if files::is_stdout(path) && self.connections.len() > 1 {
            let why = "--hgrm - writes one histogram: it can't be combined with a list of -c";
            return Err(why.to_owned());
        }
        if self.hgrm.as_deref().is_some_and(files::is_stdout) && self.connections.len() > 1 {
            return Err("--hgrm - has room for one run: use a file for several -c".to_owned());
        }
        if self.rates.len() > 1 || self.repeat > 1 {
            let why = "--hgrm writes one file for each number of connections: it can't be combined \
                       with several --rate or with --repeat; --json has the histogram of each run";
            return Err(why.to_owned());
        }
        let is_repeated = |place| self.connections[..place].contains(&self.connections[place]);
        match (0..self.connections.len()).find(|&place| is_repeated(place)) {
            None => Ok(()),
            Some(place) => Err(format!(
                "-c has {} twice, but --hgrm writes one file for each number: remove one of them",
                self.connections[place]
            )),
        }
    }

    /// The settings of each run, in order: all numbers of connections for each rate, each repeated
    /// in turn.
    #[must_use]
    pub fn runs(&self) -> Vec<RunSettings> {
        let rates = match &self.rates[..] {
            [] => vec![None],
            rates => rates.iter().copied().map(Some).collect(),
        };
        let connections = || self.connections.iter().map(|connections| connections.get());
        rates
            .into_iter()
            .flat_map(|rate| {
                connections().map(move |connections| RunSettings { connections, rate })
            })
            .flat_map(|run| (0..self.repeat).map(move |_| run))
            .collect()
    }

    /// All output files, including one histogram per number of connections.
    #[must_use]
    pub fn outputs(&self) -> Vec<PathBuf> {
        let single = [&self.json, &self.csv, &self.svg].into_iter().flatten().cloned();
        let numbers = self.connections.iter().map(|connections| connections.get());
        let histograms = self
            .hgrm
            .iter()
            .flat_map(|path| numbers.clone().map(|number| self.histogram(path, number)));
        single.chain(histograms).collect()
    }

    /// Whether the figures are printed for people: not with --quiet, nor among an output that is
    /// standard output.
    #[must_use]
    pub fn prints_figures(&self) -> bool {
        !self.quiet && !self.outputs().iter().any(|path| files::is_stdout(path))
    }

    /// The file for the histogram of one run: `path` itself unless there are several runs.
    #[must_use]
    pub fn histogram(&self, path: &Path, connections: u32) -> PathBuf {
        match self.connections.len() {
            1 => path.to_owned(),
            _ => files::numbered(path, connections),
        }
    }

    /// The duration of a run: 10 s without both `-d` and `-n`, 5 s in a search, unlimited with `-n`
    /// alone. A replay without both ends with its log.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        match (self.duration, self.requests) {
            (None, None) if self.find_limit => Some(search::SEARCH_DURATION),
            (None, None) if self.replay.is_none() => Some(DURATION_DEFAULT),
            (duration, _) => duration,
        }
    }

    /// The TLS of a load of this URL, if that has https.
    #[must_use]
    pub fn tls(&self, url: &Url) -> Option<TlsPlan> {
        let trust = match &self.cacert {
            _ if self.insecure => Trust::Anything,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        };
        match &url.origin {
            Origin::Tcp { host, .. } if url.scheme == Scheme::Https => {
                Some(TlsPlan { host: host.clone(), trust })
            }
            Origin::Tcp { .. } | Origin::Unix(_) => None,
        }
    }

    /// A request of the load to a server, with this content.
    #[must_use]
    pub fn request(
        &self,
        method: &str,
        target: &str,
        authority: &str,
        body: Option<Vec<u8>>,
    ) -> RequestTemplate {
        RequestTemplate {
            method: method.to_owned(),
            target: target.to_owned(),
            authority: authority.to_owned(),
            http_1_0: self.http_1_0,
            persist: !self.close,
            headers: self.headers.clone(),
            body,
        }
    }

    /// A short description for the report, as in `GET HTTP/1.1, 64 pipelined, 10s`.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = match (&self.urls, &self.replay) {
            (Some(path), _) => format!("URLs of {} over", path.display()),
            (_, Some(path)) => format!("replay of {} over", path.display()),
            (None, None) => self.method.clone(),
        };
        let mut words = vec![format!("{what} HTTP/1.{}", u8::from(!self.http_1_0))];
        if self.shuffle {
            words.push(format!("shuffled with seed {}", self.seed));
        }
        if let Some(speed) = self.speed {
            words.push(format!("at {speed} times its speed"));
        }
        if self.close {
            words.push("one connection per request".to_owned());
        }
        if self.pipeline > 1 {
            words.push(format!("{} pipelined", self.pipeline));
        }
        if let Some(number) = self.requests_per_connection {
            words.push(format!("{number} requests per connection"));
        }
        if let Some(time) = self.think_time {
            words.push(format!("{} of think time", humantime::format_duration(time)));
        }
        if let Some((objective, _)) = self.search() {
            words.push(format!("rates in search of {objective}"));
        } else if !self.rates.is_empty() {
            let rates: Vec<_> = self.rates.iter().map(f64::to_string).collect();
            words.push(format!("{} requests/s", rates.join(", ")));
        }
        if let Some(requests) = self.requests {
            words.push(format!("{requests} requests"));
        }
        if let Some(duration) = self.duration() {
            words.push(humantime::format_duration(duration).to_string());
        }
        words.join(", ")
    }
}

/// The settings in which the runs of one load differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunSettings {
    /// Number of simultaneous connections.
    pub connections: u32,
    /// Requests per second of an open loop; `None` for a closed loop.
    pub rate: Option<f64>,
}

/// The path without its `.` components.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// Exit status after an interruption: 128 + SIGINT, as a shell reports it.
pub const EXIT_INTERRUPTED: u8 = 130;
/// The first argument of a worker process.
pub const WORKER: &str = "worker";
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
