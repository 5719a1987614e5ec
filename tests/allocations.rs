//! Counts the allocations of a warm server for requests, and of the client for responses that
//! arrive in one piece: there are none. The server runs in a thread of this program, on each
//! engine of the kernel, and only that thread is counted.

#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use uringstatic::engine::epoll::{Epoll, EpollPreparation};
use uringstatic::engine::kernel::{Capabilities, KernelEngine, Parts, ReceiveBuffers, Role};
use uringstatic::engine::uring::probe::{Features, Obstacles, TaskRun};
use uringstatic::engine::uring::{Setup, Uring};
use uringstatic::http::response_parser::{RequestKind, ResponseParser, ResponseProgress};
use uringstatic::os::net::{Endpoint, listen};
use uringstatic::os::pages::Pages;
use uringstatic::os::signal;
use uringstatic::server::{ProxiedListeners, Server, ServerConfig, Turn};
use uringstatic::site::build::{self, Effort, RootOptions};
use uringstatic::site::{Page, Site};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the counted threads.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, with a counter.
struct Counting;

fn count() {
    if COUNTED.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// Formatting would move the reasons at the ends of lines to lines of their own.
#[rustfmt::skip]
// SAFETY: every call is passed on to the system's allocator as it came, and counting doesn't
// allocate: the flag is constant at first and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, to: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`, which is the same.
        unsafe { System.realloc(place, layout, to) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(place, layout) }
    }
}

// One test, because the counter is global.
#[test]
fn requests_and_responses_allocate_nothing() {
    whole_responses_allocate_nothing();
    let bare = Features {
        task_run: TaskRun::Interrupting,
        direct_descriptors: false,
        recv_many: false,
        silent_send: false,
        send_close: false,
        send_vector: false,
    };
    let all = TestedEngine::IoUring(Features::ALL);
    for (engine, served) in [
        (all, Served::Page),
        (TestedEngine::IoUring(bare), Served::Page),
        (TestedEngine::Epoll, Served::Page),
        (all, Served::Folder),
        (TestedEngine::Epoll, Served::Folder),
    ] {
        let address = start(engine, served);
        for (name, load) in LOADS {
            // The first round warms up: the memory of a connection is allocated at its first use.
            load(address);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for _ in 0..20 {
                load(address);
            }
            let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(made, 0, "allocations in {name} with {engine:?} and a {served:?}");
        }
    }
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the start allocates, and that was counted");
}

fn whole_responses_allocate_nothing() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    let mut responses = ResponseParser::new();
    let mut allocations_for = |bytes: &str| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        COUNTED.set(true);
        let (used, progress) = responses.read(RequestKind::Other, bytes.as_bytes(), &mut |_| {});
        COUNTED.set(false);
        assert_eq!(used, bytes.len());
        assert!(!matches!(progress, ResponseProgress::Malformed(_)), "{bytes:?}");
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    for bytes in [length, chunked, &length[..length.len() - 2], "bc"] {
        assert_eq!(allocations_for(bytes), 0, "{bytes:?}");
    }
    assert!(allocations_for(&length[..20]) > 0, "an incomplete head is kept");
}

#[derive(Clone, Copy, Debug)]
enum TestedEngine {
    IoUring(Features),
    Epoll,
}

#[derive(Clone, Copy, Debug)]
enum Served {
    Page,
    Folder,
}

/// A folder with the page as its index, rules of both files, and a protected subfolder.
fn folder() -> (Site, Pages) {
    let root = std::env::temp_dir().join(format!("uringstatic-allocations-{}", std::process::id()));
    for folder in ["docs", "secret"] {
        std::fs::create_dir_all(root.join(folder)).expect("the temporary directory is writable");
    }
    for (name, content) in [
        ("index.html", Page::BUILT_IN),
        ("docs/index.html", Page::BUILT_IN),
        ("secret/index.html", Page::BUILT_IN),
        ("404.html", Page::BUILT_IN),
        ("_redirects", b"/moved/* /docs/:splat\n/as/* /index.html 200\n".as_slice()),
        (
            "_headers",
            b"/*\n  X-A: 1\n  Access-Control-Allow-Origin: *\n/as/*\n  X-B: :splat\n  X-A: 2\n\
              /moved/*\n  ! X-A\n  Vary: X\nhttps://b/*\n  X-Host: b\n\
              /secret/*\n  Basic-Auth: anna:se:cret\n",
        ),
    ] {
        std::fs::write(root.join(name), content).expect("the folder is writable");
    }
    let options = RootOptions {
        compress: Effort::Off,
        spa: Some("index.html".to_owned()),
        ..RootOptions::default()
    };
    let read = build::read(&build::BuildRequest::new(&root, &options, &[], SPAWN));
    std::fs::remove_dir_all(&root).expect("it was made above");
    let read = read.expect("it can be read");
    (Site::of_tree(read.tree), read.fixed)
}

fn page() -> (Site, Pages) {
    Site::build(Page::built_in(), Page::BUILT_IN.len() as u64, SPAWN, Pages::zeroed, |place| {
        place.copy_from_slice(Page::BUILT_IN);
        Ok(())
    })
    .expect("copying does not fail")
}

/// Runs a server until the program ends; returns its address.
fn start(engine: TestedEngine, what: Served) -> SocketAddr {
    let (sender, address) = channel();
    std::thread::spawn(move || {
        COUNTED.set(true);
        let endpoint = Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let listener = listen(&endpoint, 128, false).expect("a port is free");
        let Endpoint::Tcp(bound) = listener.endpoint else { unreachable!("it was TCP") };
        let (site, fixed) = match what {
            Served::Page => page(),
            Served::Folder => folder(),
        };
        let signals = signal::signals_to_end().expect("a descriptor is free");
        let listeners = vec![listener];
        let is_ready = move || sender.send(bound).expect("the test waits for it");
        match engine {
            TestedEngine::IoUring(features) => {
                let setup = Setup {
                    spawn: SPAWN,
                    listeners,
                    dial: None,
                    signals: Some(signals),
                    fixed,
                    features,
                    buffers: BUFFERS.count,
                    buffer_bytes: BUFFERS.bytes,
                    held: None,
                    restricted: false,
                    wants_peers: true,
                    obstacles: Obstacles::read(),
                };
                serve(Uring::new(setup).expect("the kernel has io_uring"), site, is_ready);
            }
            TestedEngine::Epoll => {
                let role = Role::Server { listeners, signals };
                let (slots, buffers) = (SPAWN, BUFFERS);
                let parts = Parts {
                    slots,
                    role,
                    fixed,
                    buffers,
                    held: None,
                    restricted: false,
                    wants_peers: true,
                };
                let preparation = EpollPreparation;
                let engine = Epoll::create(preparation, parts).expect("the kernel has epoll");
                serve(engine, site, is_ready);
            }
        }
    });
    address.recv_timeout(PATIENCE).expect("the server starts")
}

fn serve<E: KernelEngine>(engine: E, site: Site, is_ready: impl FnOnce()) {
    let minute = Duration::from_secs(60);
    let Capabilities { recv_many, send_close, accepts_max } = engine.capabilities();
    let config = ServerConfig {
        spawn: SPAWN,
        listeners: 1,
        accepts: accepts_max,
        accepts_at_rest: accepts_max,
        head_timeout: minute,
        idle_timeout: minute,
        body_timeout: minute,
        send_timeout: minute,
        min_rate: 240,
        health_listener: false,
        proxied: ProxiedListeners::default(),
        drain_delay: Duration::ZERO,
        reload_grace: minute,
        drain_grace: Duration::ZERO,
        drain_timeout: minute,
        head_bytes_max: 16 * 1024,
        recv_many,
        send_close,
        trim_memory: uringstatic::os::process::release_freed_memory,
    };
    let mut server = Server::new(engine, site, config);
    is_ready();
    while server.turn().expect("the engine works") == Turn::Goes {}
}

const BUFFERS: ReceiveBuffers = ReceiveBuffers { count: 64, bytes: 4096 };

type Load = fn(SocketAddr);

const LOADS: [(&str, Load); 9] = [
    ("keep-alive", |address| {
        let mut client = connect(address);
        for _ in 0..50 {
            ask(&mut client, GET, 1);
        }
    }),
    ("pipelines", |address| {
        let mut client = connect(address);
        for _ in 0..10 {
            ask(&mut client, &GET.repeat(16), 16);
        }
    }),
    ("a connection for each request", |address| {
        for _ in 0..20 {
            let mut client = connect(address);
            ask(&mut client, "GET / HTTP/1.0\r\n\r\n", 1);
            assert_eq!(client.read(&mut [0]).expect("an end comes in time"), 0);
        }
    }),
    ("many connections at once", |address| {
        let mut clients: Vec<_> = (0..SPAWN).map(|_| connect(address)).collect();
        for _ in 0..3 {
            for client in &mut clients {
                ask(client, GET, 1);
            }
        }
    }),
    ("split heads and bodies", |address| {
        let mut client = connect(address);
        let (begin, end) = GET.split_at(10);
        for _ in 0..20 {
            client.write_all(begin.as_bytes()).expect("the server takes it");
            ask(&mut client, end, 1);
            let body = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
            ask(&mut client, body, 1);
        }
    }),
    ("paths without a file", |address| {
        let mut client = connect(address);
        for target in ["/route", "/v1.2?a[]={b|c}"] {
            let accept = "Accept: a/b;c=\"d,e\", text/html;q=0.5";
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{accept}\r\n\r\n");
            ask(&mut client, &request, 1);
        }
    }),
    ("rules for fields, and protection", |address| {
        let mut client = connect(address);
        for head in [
            "GET /as/a/b HTTP/1.1\r\nHost: a",
            "GET / HTTP/1.1\r\nHost: b:80",
            "GET /secret/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uYTpzZTpjcmV0",
        ] {
            ask(&mut client, &format!("{head}\r\n\r\n"), 1);
        }
        for head in [
            "GET /secret/x HTTP/1.1\r\nHost: a",
            "GET /secret/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic wrong",
            "GET /moved/x HTTP/1.1\r\nHost: a",
            "GET /none.js HTTP/1.1\r\nHost: a\r\nAccept: */*",
            "POST /as/x HTTP/1.1\r\nHost: a",
            "OPTIONS /as/x HTTP/1.1\r\nHost: a\r\nOrigin: https://c",
            "GET / HTTP/1.1\r\nHost: b\r\nRange: bytes=99999-",
            "GET / HTTP/1.1\r\nHost: b\r\nIf-None-Match: *",
        ] {
            let mut client = connect(address);
            let request = format!("{head}\r\nConnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).expect("the server takes it");
            let mut response = Vec::new();
            client.read_to_end(&mut response).expect("an end comes in time");
            assert!(response.starts_with(b"HTTP/1.1 "));
        }
    }),
    ("pipelines of responses of all kinds", |address| {
        let mut client = connect(address);
        let missing = "GET /v1.2?a HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n";
        let docs = "GET /docs/ HTTP/1.1\r\nHost: a\r\n\r\n";
        ask(&mut client, &[GET, docs, missing, docs].concat().repeat(10), 40);
    }),
    ("refusals and ranges", |address| {
        for request in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /docs?a[]={b|c} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /b.js HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            "FROB / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n",
        ] {
            let mut client = connect(address);
            client.write_all(request.as_bytes()).expect("the server takes it");
            let mut response = Vec::new();
            client.read_to_end(&mut response).expect("an end comes in time");
            assert!(response.starts_with(b"HTTP/1.1 "));
        }
    }),
];

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
    client.set_nodelay(true).expect("TCP has the option");
    client
}

/// Sends requests and reads the page `responses` times.
fn ask(client: &mut TcpStream, requests: &str, responses: usize) {
    client.write_all(requests.as_bytes()).expect("the server takes it");
    let mut left = responses;
    let mut received = Vec::new();
    let mut place = [0; 4096];
    while left > 0 {
        let count = client.read(&mut place).expect("a response comes in time");
        assert!(count > 0, "the response is whole");
        received.extend_from_slice(&place[..count]);
        while let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let end = head + 4 + Page::BUILT_IN.len();
            if received.len() < end {
                break;
            }
            assert!(&received[head + 4..end] == Page::BUILT_IN, "the page is exact");
            received.drain(..end);
            left -= 1;
        }
    }
    assert!(received.is_empty(), "nothing more comes");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const SPAWN: u32 = 32;
const PATIENCE: Duration = Duration::from_secs(20);
