//! Timers: the cost of a request with 10,000 idle connections.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use uringstatic::engine::{Nanos, Slot};
use uringstatic::http1::Timeout;
use uringstatic::server::timeouts::Timeouts;
use uringstatic::timers::Timers;

const SLOTS: u32 = 10_000;

fn timers(c: &mut Criterion) {
    let timeouts = Timeouts {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        body: Duration::from_secs(30),
        response: Duration::from_secs(1),
        linger: Duration::from_secs(2),
    };
    let mut timers = Timers::new(SLOTS, |timeout| timeouts.of(timeout));
    for slot in 0..SLOTS {
        timers.arm(Slot(slot), Timeout::Idle, Nanos(u64::from(slot)));
    }
    let mut group = c.benchmark_group("timers");
    group.throughput(Throughput::Elements(1));
    let mut now = u64::from(SLOTS);
    group.bench_function("arm again and find the next", |b| {
        b.iter(|| {
            now += 1;
            // A step that is coprime to the number of slots visits all of them, out of order.
            let slot = u32::try_from(now * 7_919 % u64::from(SLOTS)).expect("below SLOTS");
            timers.arm(Slot(slot), Timeout::Idle, Nanos(now));
            let next = black_box(timers.next());
            assert!(next.is_some());
        });
    });
    group.finish();
}

criterion_group!(benches, timers);
criterion_main!(benches);
