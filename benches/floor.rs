//! The floor under the server's cost: a responder on either engine that parses nothing. Its options
//! tell it the length of each request, so its cost is the cost of the engine.
//!
//! `benches/http/run.py` runs it. Without a port it prints its usage and exits with 0, so that
//! `cargo bench` can run it with all others.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use uringstatic::bytes::Spans;
use uringstatic::engine::epoll::Epoll;
use uringstatic::engine::kernel::{
    EngineKind, KernelEngine, Parts, ReceiveBuffers, Requirements, Role,
};
use uringstatic::engine::uring::Uring;
use uringstatic::engine::{Completion, Errno, Kind, Op, Received, Slot, Token};
use uringstatic::error::Failure;
use uringstatic::http::request::Persistence;
use uringstatic::os::net::{Endpoint, listen};
use uringstatic::os::pages::Pages;
use uringstatic::os::process;
use uringstatic::os::signal::signals_to_end;
use uringstatic::site::{Answer, Page, PendingResponse, Prebuilt, ScratchPlace, Site};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = Options::read(&words) else {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    let outcome = match options.kind {
        EngineKind::IoUring => run::<Uring>(options),
        EngineKind::Epoll => run::<Epoll>(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("floor: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Answers until SIGTERM.
fn run<E: KernelEngine>(options: Options) -> Result<(), Failure> {
    let mut floor = Floor::<E>::new(options)?;
    while !floor.has_ended {
        floor.turn().map_err(|errno| Failure::new("waiting for completions", errno, ""))?;
    }
    Ok(())
}

/// The load, as `benches/http/run.py` describes it.
struct Options {
    kind: EngineKind,
    port: u16,
    /// The number of slots.
    spawn: u32,
    /// The length of each request.
    request_bytes: u32,
    /// Whether every connection ends with its first response.
    close: bool,
}

impl Options {
    /// `None` without a port: then nothing is run.
    fn read(words: &[String]) -> Option<Self> {
        let value = |name: &str| {
            let place = words.iter().position(|word| word == name)?;
            words.get(place + 1)
        };
        let number = |name: &str| value(name)?.parse().ok();
        let kinds = [EngineKind::IoUring, EngineKind::Epoll];
        let kind = match value("--engine") {
            Some(name) => kinds.into_iter().find(|kind| kind.name() == name)?,
            None => EngineKind::IoUring,
        };
        let port = u16::try_from(number("--port")?).ok()?;
        let request_bytes: u32 = number("--request-bytes").unwrap_or(1).max(1);
        let spawn = number("--spawn").unwrap_or(5000);
        let close = words.iter().any(|word| word == "--close");
        Some(Self { kind, port, spawn, request_bytes, close })
    }
}

/// The state of one slot.
#[derive(Clone, Copy, Default)]
struct FloorConnection {
    sending: bool,
    /// Bytes of requests without a response.
    unanswered_bytes: u32,
    ended: bool,
    receiving: bool,
    responses: u32,
}

struct Floor<E> {
    engine: E,
    site: Site,
    options: Options,
    connections: Vec<FloorConnection>,
    free: Vec<Slot>,
    poll_now: bool,
    has_ended: bool,
}

impl<E: KernelEngine> Floor<E> {
    fn new(options: Options) -> Result<Self, Failure> {
        let slots = options.spawn;
        let bytes = Page::BUILT_IN.len() as u64;
        let (mut site, mut fixed) =
            Site::build(Page::built_in(), bytes, slots, Pages::zeroed, |place| {
                place.copy_from_slice(Page::BUILT_IN);
                Ok(())
            })
            .expect("copying does not fail");
        site.tick(1, &mut fixed);
        process::raise_open_files(u64::from(slots) + 128, "--spawn")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listeners = vec![listen(&Endpoint::Tcp(address), 4096, true)?];
        let (kind, buffers) = (options.kind, ReceiveBuffers::SERVER);
        let preparation = E::prepare(&Requirements { kind, slots, buffers, without: &[] })?;
        let role = Role::Server { listeners, signals: signals_to_end()? };
        let (held, restricted, wants_peers) = (None, false, false);
        let parts = Parts { slots, role, fixed, buffers, held, restricted, wants_peers };
        let engine = E::create(preparation, parts)?;
        let accepts = engine.capabilities().accepts_max;
        let mut floor = Self {
            engine,
            site,
            connections: vec![FloorConnection::default(); slots as usize],
            free: (accepts..slots).rev().map(Slot).collect(),
            options,
            poll_now: false,
            has_ended: false,
        };
        floor.push(Token::new(Kind::Signal, 0, 0), Op::Signal);
        for slot in 0..accepts {
            floor.accept(Slot(slot));
        }
        Ok(floor)
    }

    fn turn(&mut self) -> Result<(), Errno> {
        // A lazy send causes no wake-up, so requests behind it need the next wait not to block.
        let deadline = self.poll_now.then(|| self.engine.now());
        self.poll_now = false;
        self.engine.submit_and_wait(deadline)?;
        while let Some(completion) = self.engine.pop() {
            self.complete(completion);
        }
        Ok(())
    }

    fn complete(&mut self, completion: Completion) {
        let slot = Slot(completion.token.index());
        match completion.token.kind() {
            Kind::Accept => self.accepted(completion),
            Kind::Recv => self.received(slot, completion),
            Kind::Send => {
                assert!(completion.result.is_ok(), "{completion:?}: clients read everything");
                self.connections[slot.0 as usize].sending = false;
                self.answer(slot);
            }
            Kind::Close => {
                self.connections[slot.0 as usize] = FloorConnection::default();
                self.free.push(slot);
            }
            Kind::Signal => self.has_ended = true,
            other => unreachable!("{other:?} is never submitted"),
        }
    }

    fn accept(&mut self, slot: Slot) {
        self.push(Token::new(Kind::Accept, 0, slot.0), Op::Accept { listener: 0, slot });
    }

    fn accepted(&mut self, completion: Completion) {
        let slot = Slot(completion.token.index());
        if completion.result.is_err() {
            return self.accept(slot);
        }
        self.receive(slot, Op::Recv { slot });
        let next = self.free.pop().expect("loads have fewer connections than there are slots");
        self.accept(next);
    }

    fn receive(&mut self, slot: Slot, op: Op) {
        self.connections[slot.0 as usize].receiving = true;
        self.push(Token::new(Kind::Recv, 0, slot.0), op);
    }

    fn received(&mut self, slot: Slot, completion: Completion) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.receiving = completion.more;
        match completion.result {
            Ok(len) if len > 0 => connection.unanswered_bytes += len,
            Ok(_) | Err(_) => connection.ended = true,
        }
        if let Some(buffer) = completion.buffer {
            // The server reads received bytes, so the memory is touched here, too.
            let len = completion.result.unwrap_or(0);
            std::hint::black_box(self.engine.memory(Some(Received { buffer, len })).received.len());
            self.engine.give_back(buffer);
        }
        self.answer(slot);
    }

    /// Answers received requests, once the previous send has completed.
    fn answer(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if connection.sending {
            self.poll_now = true;
            return;
        }
        let count = connection.unanswered_bytes / self.options.request_bytes;
        if connection.ended {
            if !connection.receiving {
                connection.ended = false;
                self.push(Token::new(Kind::Close, 0, slot.0), Op::Close { slot });
            }
            return;
        }
        if count > 0 && self.options.close {
            let pending = page(Persistence::Close);
            let fixed = self.engine.memory(None).fixed;
            let spans = self.site.output(pending, ScratchPlace::Slot(slot.0), fixed);
            connection.unanswered_bytes = 0;
            connection.sending = true;
            let op = Op::SendClose { slot, spans };
            return self.push(Token::new(Kind::Send, 0, slot.0), op);
        }
        if count > 0 {
            let pending = page(Persistence::Keep);
            let count = count.min(self.site.copies_in_a_row(&pending));
            connection.unanswered_bytes -= count * self.options.request_bytes;
            connection.sending = true;
            let fixed = self.engine.memory(None).fixed;
            let spans =
                self.site.output(pending, ScratchPlace::Slot(slot.0), fixed).repeated(count);
            self.send(slot, spans);
        }
        let connection = &self.connections[slot.0 as usize];
        if !connection.receiving {
            // Like the server: once for the first request, then multishot.
            let op =
                if connection.responses > 0 { Op::RecvMany { slot } } else { Op::Recv { slot } };
            self.receive(slot, op);
        }
    }

    fn send(&mut self, slot: Slot, spans: Spans) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.responses += 1;
        let lazy = connection.unanswered_bytes < self.options.request_bytes;
        let op = Op::Send { slot, payload: spans.into(), more: false, lazy };
        self.push(Token::new(Kind::Send, 0, slot.0), op);
    }

    fn push(&mut self, token: Token, op: Op) {
        while self.engine.push(token, op).is_err() {
            let now = self.engine.now();
            self.engine.submit_and_wait(Some(now)).expect("the engine works");
        }
    }
}

fn page(persistence: Persistence) -> PendingResponse {
    PendingResponse { answer: Answer::Whole(Prebuilt::Page), persistence, head_only: false }
}

const USAGE: &str = "\
usage: floor --port N [--engine io_uring|epoll] [--spawn N] [--request-bytes N] [--close]
Answers every N bytes with the page, without looking at them; see benches/http/run.py.";
