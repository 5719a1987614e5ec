//! One simulated run from start to end: what the simulator can do in a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use uringstatic::sim::{Options, Random, run};

fn simulated(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulated");
    for (name, peers_max) in [("few peers", 4), ("many peers", 40)] {
        let options = Options { peers_max, ..Options::default() };
        let responses = run(Random::from_seed(1), options).expect("the seed holds").responses;
        assert!(responses > 0, "somebody is served");
        group.throughput(Throughput::Elements(responses));
        group.bench_function(name, |b| {
            b.iter(|| {
                let report = run(Random::from_seed(black_box(1)), options);
                assert_eq!(report.expect("the seed holds").responses, responses);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, simulated);
criterion_main!(benches);
