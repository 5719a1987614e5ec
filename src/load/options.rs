//! What a load is to be: one checked value, made from options. Pure: nothing is read or looked up.

#[cfg(test)]
mod tests;
mod values;

use super::files;
use super::request::Request;
use crate::http::added_field;
use crate::value_parsers as value;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
pub use values::{Sources, Url};

/// Which worker of which load this process is. The load client starts these itself, so nobody is
/// told of them: neither `--help` nor a completion.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "uringload worker")]
pub struct Worker {
    /// Descriptor of the shared words
    pub fd: i32,
    /// Number of this worker
    pub index: u32,
    /// How many there are
    pub workers: u32,
}

/// Reads the options of one load, the first word being the program's own name.
///
/// # Errors
/// What is wrong and what to do about it.
pub fn parse<I, T>(words: I) -> Result<Options, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    #[derive(Parser)]
    #[command(name = "uringload")]
    struct Alone {
        #[command(flatten)]
        options: Options,
    }
    let Alone { options } = Alone::try_parse_from(words)?;
    options.checked().map_err(|why| Alone::command().error(ErrorKind::ArgumentConflict, why))
}

/// A load: on what, how much, and what to check.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a command line, each by itself")]
pub struct Options {
    /// What to request, as http://HOST:PORT/PATH
    #[arg(value_name = "URL")]
    pub url: Url,

    /// Connections to keep; a list as in 10,100,1000 is run in turn
    #[arg(short, long, value_name = "N", default_value = "64", value_delimiter = ',')]
    #[arg(value_parser = values::connections)]
    pub connections: Vec<NonZeroU32>,

    /// Requests in all [default: as many as the duration allows]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,

    /// How long to make requests, as in 10s [default: 10s, or until all of --requests are made]
    #[arg(short, long, value_name = "DURATION", value_parser = value::duration)]
    pub duration: Option<Duration>,

    /// A connection for each request
    #[arg(long)]
    pub close: bool,

    /// Speak HTTP/1.0
    #[arg(long = "http1.0")]
    pub http_1_0: bool,

    /// Do as ab does by default: HTTP/1.0, a connection for each request; print its categories
    #[arg(long)]
    pub ab: bool,

    /// Requests sent together on a connection
    #[arg(long, value_name = "K", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pipeline: u32,

    /// Method of the request
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = values::method)]
    pub method: String,

    /// Field of the request, as 'Name: value'; may be repeated. Any may be set, as tests need bad
    /// ones, too
    #[arg(long = "header", value_name = "HEADER", value_parser = added_field::field)]
    pub headers: Vec<(String, String)>,

    /// Content of the request: text, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,

    /// Requests per second, whatever the server does: an open loop
    ///
    /// Latency counts from when a request was due, so a server that stalls can't hide it.
    #[arg(long, value_name = "R", value_parser = values::rate)]
    pub rate: Option<f64>,

    /// Connections to begin per second, at most
    #[arg(long, value_name = "R", value_parser = values::rate)]
    pub connect_rate: Option<f64>,

    /// Over how long to open the first connections
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub ramp: Option<Duration>,

    /// How long to make requests before they count
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    pub warmup: Option<Duration>,

    /// Local addresses to connect from: one, or a range as in 127.0.0.2-127.0.0.20
    #[arg(long, value_name = "A-B", value_parser = values::sources)]
    pub source: Option<Sources>,

    /// The content that every response must have
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,

    /// Status that responses may have; may be repeated [default: 200 to 399]
    #[arg(long = "status", value_name = "CODE", value_parser = values::status)]
    pub statuses: Vec<u16>,

    /// Longest time for a whole response
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = value::duration)]
    pub timeout: Duration,

    /// Longest time for a connection to be made
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub connect_timeout: Duration,

    /// Processes that make the load, a core each [default: one less than there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub processes: Option<u32>,

    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the results as CSV, a line a run
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write the response times for the plotter of `HdrHistogram`; with several runs a file each
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,

    /// Draw the results as an SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,
}

impl Options {
    /// The options with what they imply for each other.
    ///
    /// # Errors
    /// What is wrong though each option is right by itself.
    pub fn checked(mut self) -> Result<Self, String> {
        if self.ab {
            self.close = true;
            self.http_1_0 = true;
        }
        self.check().map(|()| self)
    }

    fn check(&self) -> Result<(), String> {
        if self.rate.is_some() && self.pipeline > 1 {
            return Err("--rate makes one request at a time: it can't be had with --pipeline, \
                        where a batch waits for the one before"
                .to_owned());
        }
        if self.close && self.pipeline > 1 {
            return Err(
                "--close has one request a connection: it can't be had with --pipeline".to_owned()
            );
        }
        let is_again = |place| self.connections[..place].contains(&self.connections[place]);
        if self.hgrm.is_some()
            && let Some(place) = (0..self.connections.len()).find(|&place| is_again(place))
        {
            let number = self.connections[place];
            return Err(format!(
                "-c has {number} twice, and --hgrm has one file for each number: it can't have both"
            ));
        }
        // However it is written: ./a is a.
        let outputs: Vec<PathBuf> = self.outputs().iter().map(|path| plain(path)).collect();
        match (0..outputs.len()).find(|&place| outputs[..place].contains(&outputs[place])) {
            None => Ok(()),
            Some(place) => Err(format!(
                "{} is named for two outputs, of which one would be lost",
                outputs[place].display()
            )),
        }
    }

    /// The files that results are to be written to.
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

    /// Where the response times of a run go.
    #[must_use]
    pub fn histogram(&self, path: &Path, connections: u32) -> PathBuf {
        match self.connections.len() {
            1 => path.to_owned(),
            _ => files::numbered(path, connections),
        }
    }

    /// How long the load goes on, as far as time decides.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        match (self.duration, self.requests) {
            (None, None) => Some(DURATION_USUAL),
            (duration, _) => duration,
        }
    }

    /// The request; `body` is its content.
    #[must_use]
    pub fn request(&self, body: Option<Vec<u8>>) -> Request {
        Request {
            method: self.method.clone(),
            target: self.url.target.clone(),
            authority: self.url.authority.clone(),
            http_1_0: self.http_1_0,
            persist: !self.close,
            headers: self.headers.clone(),
            body,
        }
    }

    /// The load in few words.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words = vec![format!("{} HTTP/1.{}", self.method, u8::from(!self.http_1_0))];
        if self.close {
            words.push("a connection a request".to_owned());
        }
        if self.pipeline > 1 {
            words.push(format!("{} pipelined", self.pipeline));
        }
        if let Some(rate) = self.rate {
            words.push(format!("{rate} requests/s"));
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

/// A path without the parts that stand for the folder it is in already.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// The exit status of what was interrupted: as a shell reports a program that SIGINT ended.
pub const EXIT_INTERRUPTED: u8 = 130;
/// The first argument of a worker.
pub const WORKER: &str = "worker";
const DURATION_USUAL: Duration = Duration::from_secs(10);
