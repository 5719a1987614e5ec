//! A connection from received bytes to the payload of its response, without I/O.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use uringstatic::http1::{Context, HeadBuffers, Input, Output, Runs, ServerConnection, Timeout};
use uringstatic::site::{Page, ScratchPlace, Site};
use uringstatic::stats::Stats;
use uringstatic::telemetry::record::Observation;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:10001\r\n\r\n";

fn responses(c: &mut Criterion) {
    let bytes = Page::BUILT_IN.len() as u64;
    let (site, mut fixed) = Site::build(
        Page::built_in(),
        bytes,
        1,
        |bytes| Ok(vec![0; bytes]),
        |place| {
            place.copy_from_slice(Page::BUILT_IN);
            Ok(())
        },
    )
    .expect("copying does not fail");
    let mut head_buffers = HeadBuffers::new(1, 16 * 1024);
    let mut runs = Runs::new(&site);
    let mut stats = Stats::default();
    let mut answer = |input: &[u8]| {
        let mut context = Context {
            site: &site,
            fixed: &mut fixed,
            head_buffers: &mut head_buffers,
            runs: &mut runs,
            stats: &mut stats,
            scratch: ScratchPlace::Slot(0),
            head_bytes_max: 16 * 1024,
            draining: false,
            is_last: false,
            health_only: false,
            observation: Observation::none(),
        };
        let (mut conn, _) = ServerConnection::accept();
        let Output::Send(response) = conn.handle(Input::Bytes(input), &mut context) else {
            panic!("a request has a response")
        };
        let len = u32::try_from(response.payload.len()).expect("a send is small");
        (len, conn.handle(Input::Taken(len), &mut context))
    };
    let mut group = c.benchmark_group("response");
    let conditional = b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n";
    for (name, input, requests) in [
        ("one page", GET.to_vec(), 1),
        ("16 pages pipelined", GET.repeat(16), 16),
        ("not modified", conditional.to_vec(), 1),
    ] {
        group.throughput(Throughput::Elements(requests));
        group.bench_function(name, |b| {
            b.iter(|| {
                let (len, next) = answer(black_box(&input));
                assert!(len > 0 && next == Output::Receive(Timeout::Idle));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, responses);
criterion_main!(benches);
