//! Complete runs of the simulator: how many responses it simulates in a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use uringstatic::simulation::{Random, SimulationOptions, run_mixed};

fn simulated(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulated");
    for (name, peers_max) in [("few peers", 4), ("many peers", 40)] {
        let options = SimulationOptions { peers_max, ..SimulationOptions::default() };
        let run = |seed| run_mixed(Random::from_seed(seed), options).expect("the seed succeeds");
        let responses = run(1).responses;
        assert!(responses > 0, "peers are served");
        group.throughput(Throughput::Elements(responses));
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(run(black_box(1)).responses, responses));
        });
    }
    group.finish();
}

criterion_group!(benches, simulated);
criterion_main!(benches);
