//! A soak: one server under a mixed load for minutes, with its memory, descriptors and latency
//! sampled, printed and drawn. A figure is flat if it ends as it was after the warm-up.

use crate::common::{PAGE, Server, TemporaryFolder, pattern};
use crate::good_client::GoodClient;
use crate::mix::{Mix, TURN, TURNS};
use crate::totals::Totals;
use crate::watch::{Watch, breathe};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uringstatic::experiment::chart::{DataPoint, Experiment, Panel, Scale, Series, over_time};

/// One sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    seconds: f64,
    memory_mib: f64,
    descriptors: f64,
    connections: f64,
    p50_ms: f64,
    p99_ms: f64,
    lost: usize,
}

/// Runs the soak and draws the result. True if memory and descriptors were flat and no request was
/// lost.
pub(crate) fn soak(minutes: f64, svg: &Path) -> bool {
    let large = pattern(LARGE_BYTES);
    let about = PAGE.repeat(3);
    let files = [("index.html", PAGE), ("about/index.html", &about), ("large.bin", &large)];
    let site = TemporaryFolder::with(&files);
    let options = ["--root", site.path(), "--compress", "off", "--spawn", "1000"];
    let times = ["--head-timeout", "2s", "--idle-timeout", "5s", "--send-timeout", "2s"];
    let server = Server::start(&[&options[..], &times].concat());
    let stop = AtomicBool::new(false);
    let end = Duration::from_secs_f64(minutes * 60.0);
    let (samples, (failed, hostile)) = std::thread::scope(|scope| {
        let address = server.addresses[0].parse().expect("it listens on TCP");
        let mix = Mix::start(scope, address, &large, &stop);
        let samples = sample(&server, end);
        stop.store(true, Ordering::Relaxed);
        (samples, mix.end())
    });
    let text = server.end();
    print!("{text}");
    println!("{hostile} hostile clients; totals: {} requests", Totals::parse(&text).requests);
    for messages in &failed {
        println!("the load client failed: {messages}");
    }
    let lost: usize = samples.iter().map(|sample| sample.lost).sum();
    println!("lost by the good client: {lost}");
    let (is_flat, notes) = assess(&samples);
    if let Some(folder) = svg.parent() {
        fs::create_dir_all(folder).expect("the folder of the picture can be created");
    }
    fs::write(svg, over_time(&picture(&samples, notes))).expect("the picture can be written");
    println!("drawn in {}", svg.display());
    is_flat && lost == 0 && failed.is_empty()
}

/// Samples until the end, each over [`EVERY`].
fn sample(server: &Server, end: Duration) -> Vec<Sample> {
    let address = server.addresses[0].parse().expect("it listens on TCP");
    let watch = Watch { pid: server.worker(0), port: std::net::SocketAddr::port(&address) };
    let start = Instant::now();
    let mut samples = Vec::new();
    println!(
        "{:>6} {:>10} {:>6} {:>11} {:>8} {:>8}",
        "s", "RssAnon", "files", "connections", "p50", "p99"
    );
    while start.elapsed() < end {
        let good = GoodClient::start(address, PAGE);
        breathe(EVERY);
        let good = good.stop();
        let (figures, connections) = (watch.figures(), watch.connections());
        let sample = Sample {
            seconds: start.elapsed().as_secs_f64().round(),
            memory_mib: number(figures.memory_kib) / 1024.0,
            descriptors: figures.descriptors.map_or(f64::NAN, |count| number(count as u64)),
            connections: number(connections.count() as u64),
            p50_ms: good.percentile_ms(50),
            p99_ms: good.percentile_ms(99),
            lost: good.lost.len(),
        };
        let Sample { seconds, memory_mib, descriptors, connections, p50_ms, p99_ms, .. } = sample;
        println!(
            "{seconds:>6} {memory_mib:>6.2} MiB {descriptors:>6} {connections:>11} \
             {p50_ms:>5.2} ms {p99_ms:>5.2} ms"
        );
        samples.push(sample);
    }
    samples
}

/// Compares the first quarter after the warm-up with the last: whether memory and descriptors are
/// flat, and the figures.
fn assess(samples: &[Sample]) -> (bool, Vec<String>) {
    let warm_up = f64::from(u32::try_from(TURNS.len()).expect("few")) * TURN.as_secs_f64();
    let warm = samples.iter().position(|sample| sample.seconds > warm_up);
    let warm = warm.unwrap_or(0).min(samples.len() / 4);
    let quarter = ((samples.len() - warm) / 4).max(1);
    let (first, last) = (&samples[warm..][..quarter], &samples[samples.len() - quarter..]);
    let compare = |name: &str, unit: &str, bound: fn(f64) -> f64, value: fn(&Sample) -> f64| {
        let (before, after) = (median(first, value), median(last, value));
        let is_flat = before.is_nan() || after <= bound(before);
        let is = if is_flat { "flat" } else { "NOT FLAT" };
        (is_flat, format!("{name}: {is}, {before:.2} {unit} before and {after:.2} after."))
    };
    let verdicts = [
        compare("Memory", "MiB", |before| before + MEMORY_TOLERANCE_MIB, |s| s.memory_mib),
        compare("Descriptors", "open files", |before| before, |s| s.descriptors),
        compare("p50", "ms", |before| before * 1.5 + 0.1, |s| s.p50_ms),
        compare("p99", "ms", |before| before * 1.5 + 1.0, |s| s.p99_ms),
    ];
    let is_flat = verdicts[0].0 && verdicts[1].0;
    let mut notes = vec![format!(
        "Before and after are medians of {quarter} samples each: the first quarter after a warm-up \
         of {:.0} s, and the last.",
        samples[warm].seconds - EVERY.as_secs_f64()
    )];
    notes.extend(verdicts.into_iter().map(|(_, text)| text));
    for note in &notes {
        println!("{note}");
    }
    (is_flat, notes)
}

fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn picture(samples: &[Sample], notes: Vec<String>) -> Experiment {
    let series = |name: &str, value: fn(&Sample) -> f64| {
        let points = samples.iter().map(|sample| DataPoint::at(sample.seconds, value(sample)));
        Series { name: name.into(), points: points.collect() }
    };
    let panel = |title: &str, y_title: &str, y_scale: Scale, series: Vec<Series>| {
        let x_title = "seconds under load".into();
        Panel { title: title.into(), x_title, y_title: y_title.into(), y_scale, series }
    };
    let memory = vec![series("RssAnon", |sample| sample.memory_mib)];
    let descriptors = vec![
        series("open files", |sample| sample.descriptors),
        series("connections", |sample| sample.connections),
    ];
    let latency = vec![series("p50", |s| s.p50_ms), series("p99", |s| s.p99_ms)];
    Experiment {
        title: "One server under a mixed load".into(),
        panels: vec![
            panel("Memory", "MiB", Scale::Linear, memory),
            panel("Descriptors", "at the moment of a sample", Scale::Linear, descriptors),
            panel("Latency of a good client", "ms, logarithmic", Scale::Log, latency),
        ],
        notes,
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("less than 4 Ti of KiB"))
}

const EVERY: Duration = Duration::from_secs(5);
const LARGE_BYTES: usize = 8_000_000;
const MEMORY_TOLERANCE_MIB: f64 = 0.5;
