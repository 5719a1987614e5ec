//! Several engines that accept from one listening socket, as the workers of one server do. Kernel
//! behaviour that the design of workers depends on, and that no manual page promises: single-shot
//! accepts of several rings rotate, so do registrations in several epoll instances that are renewed
//! now and then, and a wake-up can be lost with a cancelled accept.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;
use uringstatic::engine::epoll::Epoll;
use uringstatic::engine::kernel::{
    EngineKind, KernelEngine, Parts, ReceiveBuffers, Requirements, Role,
};
use uringstatic::engine::uring::Uring;
use uringstatic::engine::{Engine, Errno, Kind, Op, Slot, Token};
use uringstatic::os::net::{Endpoint, Listener, listen};
use uringstatic::os::signal::receive;

const SLOTS: u32 = 2048;

fn listener() -> (Listener, SocketAddr) {
    let any = Endpoint::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
    let listener = listen(&any, 4096, false).expect("a free port");
    let Endpoint::Tcp(address) = listener.endpoint else { unreachable!("it is TCP") };
    (listener, address)
}

fn engine<E: KernelEngine>(listeners: &[&Listener]) -> E {
    // A concrete engine has its kind already.
    let kind = EngineKind::IoUring;
    let buffers = ReceiveBuffers { count: 16, bytes: 1024 };
    let requirements = Requirements { kind, slots: SLOTS, buffers, without: &[] };
    let preparation = E::prepare(&requirements).expect("there are few slots");
    let share = |listener: &&Listener| listener.share().expect("a descriptor is free");
    let listeners = listeners.iter().map(share).collect();
    // No test sends this signal.
    let signals = receive(&[libc::SIGXFSZ]).expect("a descriptor is free");
    let role = Role::Server { listeners, signals };
    let fixed = vec![0; 64].into();
    let parts = Parts {
        slots: SLOTS,
        role,
        fixed,
        buffers,
        held: None,
        restricted: true,
        wants_peers: false,
    };
    E::create(preparation, parts).expect("the kernel has the engine")
}

/// An engine with one accept in flight at a time, until it is told to end.
struct Worker<'a, E> {
    engine: E,
    accepted: &'a AtomicU32,
    /// Slots without a connection.
    free: Vec<Slot>,
    keeps: bool,
}

impl<'a, E: KernelEngine> Worker<'a, E> {
    fn new(listener: &Listener, accepted: &'a AtomicU32, keeps: bool) -> Self {
        let free = (0..SLOTS).map(Slot).collect();
        Self { engine: engine(&[listener]), accepted, free, keeps }
    }

    fn arm(&mut self) {
        let slot = self.free.pop().expect("slots are left");
        self.push(Kind::Accept, slot, Op::Accept { listener: 0, slot });
    }

    fn push(&mut self, kind: Kind, slot: Slot, op: Op) {
        self.engine.push(Token::new(kind, 0, slot.0), op).expect("the queue has room");
    }

    /// Waits for completions for a moment, and handles them: each accept is followed by the next.
    fn turn(&mut self) {
        let deadline = self.engine.now().plus(Duration::from_millis(20));
        self.engine.submit_and_wait(Some(deadline)).expect("the engine works");
        while let Some(completion) = self.engine.pop() {
            let slot = Slot(completion.token.index());
            match completion.token.kind() {
                Kind::Accept => {
                    completion.result.expect("a connection is accepted");
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    if !self.keeps {
                        self.push(Kind::Close, slot, Op::Close { slot });
                    }
                    self.arm();
                }
                Kind::Close => self.free.push(slot),
                other => unreachable!("{other:?} was not submitted"),
            }
        }
    }

    fn run(&mut self, ends: &AtomicBool) {
        self.arm();
        while !ends.load(Ordering::Acquire) {
            self.turn();
        }
    }
}

/// Makes connections, each when the one before has been accepted: while connections wait in the
/// queue, an engine that arms an accept takes one at once, and nothing rotates. The server closes
/// each, or the connections are kept.
fn connect(
    address: SocketAddr,
    connections: u32,
    keeps: bool,
    total: impl Fn() -> u32,
) -> Vec<TcpStream> {
    let mut kept = Vec::new();
    for number in 1..=connections {
        let mut stream = TcpStream::connect(address).expect("it listens");
        if keeps {
            kept.push(stream);
            while total() < number {
                thread::yield_now();
            }
        } else {
            let end = std::io::Read::read(&mut stream, &mut [0]).expect("the server closes");
            assert_eq!(end, 0);
        }
    }
    kept
}

/// The accepts of each engine after a number of connections.
fn accepts_of<E: KernelEngine>(engines: usize, connections: u32, keeps: bool) -> Vec<u32> {
    let (listener, address) = listener();
    let accepted: Vec<AtomicU32> = (0..engines).map(|_| AtomicU32::new(0)).collect();
    let ends = AtomicBool::new(false);
    let total = || accepted.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u32>();
    thread::scope(|scope| {
        for count in &accepted {
            scope.spawn(|| Worker::<E>::new(&listener, count, keeps).run(&ends));
        }
        let kept = connect(address, connections, keeps, total);
        ends.store(true, Ordering::Release);
        drop(kept);
    });
    accepted.into_iter().map(AtomicU32::into_inner).collect()
}

/// Each engine got at least half of its share. In turn, every engine gets all of it on an idle
/// machine, while without turns one engine gets nearly everything.
fn assert_even(counts: &[u32]) {
    let share = counts.iter().sum::<u32>() / u32::try_from(counts.len()).expect("few engines");
    let least = counts.iter().min().expect("there are engines");
    assert!(*least >= share / 2, "accepts rotate among the engines: {counts:?}");
}

fn assert_rotation<E: KernelEngine>() {
    for engines in [2, 4] {
        assert_even(&accepts_of::<E>(engines, 10_000, false));
        assert_even(&accepts_of::<E>(engines, 1_000, true));
    }
}

#[test]
fn single_shot_accepts_of_several_engines_rotate() {
    assert_rotation::<Uring>();
}

#[test]
fn accepts_of_several_engines_on_epoll_rotate() {
    assert_rotation::<Epoll>();
}

#[test]
fn engine_that_takes_no_turn_holds_up_one_connection_at_most() {
    assert_no_hold_up::<Uring>();
}

#[test]
fn engine_on_epoll_that_takes_no_turn_holds_up_one_connection_at_most() {
    assert_no_hold_up::<Epoll>();
}

fn assert_no_hold_up<E: KernelEngine>() {
    let (listener, address) = listener();
    let (accepted, stopped) = (AtomicU32::new(0), AtomicU32::new(0));
    let ends = AtomicBool::new(false);
    let (armed, is_armed): (Sender<()>, Receiver<()>) = mpsc::channel();
    let (resume, is_resumed): (Sender<()>, Receiver<()>) = mpsc::channel();
    thread::scope(|scope| {
        let (listener, ends, stopped) = (&listener, &ends, &stopped);
        scope.spawn(move || {
            let mut worker = Worker::<E>::new(listener, stopped, true);
            worker.arm();
            worker.turn();
            armed.send(()).expect("the test waits");
            is_resumed.recv().expect("the test resumes it");
            while !ends.load(Ordering::Acquire) {
                worker.turn();
            }
        });
        is_armed.recv().expect("it is armed");
        scope.spawn(|| Worker::<E>::new(listener, &accepted, true).run(ends));
        // The engine that is stopped may have been woken for one connection.
        let total = || accepted.load(Ordering::Relaxed) + stopped.load(Ordering::Relaxed);
        let kept = connect(address, 500, true, || total() + 1);
        resume.send(()).expect("the engine waits");
        while total() < 500 {
            thread::yield_now();
        }
        ends.store(true, Ordering::Release);
        drop(kept);
    });
    assert!(stopped.into_inner() <= 1);
}

/// A connection that wakes an accept which is then cancelled stays in the queue, and no other
/// engine is woken for it. The engines that stay have to try one more accept after a cancel.
#[test]
fn cancelled_accept_loses_no_connection_to_an_engine_that_accepts_once_more() {
    let (listener, address) = listener();
    let (mut leaving, mut staying): (Uring, Uring) = (engine(&[&listener]), engine(&[&listener]));
    for round in 0..500u32 {
        let slot = Slot(round % SLOTS);
        let accept = Token::new(Kind::Accept, 0, slot.0);
        leaving.push(accept, Op::Accept { listener: 0, slot }).expect("the queue has room");
        leaving.submit_and_wait(Some(leaving.now())).expect("the engine works");
        let client = thread::spawn(move || TcpStream::connect(address).expect("it listens"));
        let cancel = accept.with_kind(Kind::CancelAccept);
        leaving.push(cancel, Op::Cancel { target: accept }).expect("the queue has room");
        let (mut outcome, mut is_cancelled) = (None, false);
        while outcome.is_none() || !is_cancelled {
            leaving.submit_and_wait(None).expect("the engine works");
            while let Some(completion) = leaving.pop() {
                match completion.token.kind() {
                    Kind::Accept => outcome = Some(completion.result),
                    _ => is_cancelled = true,
                }
            }
        }
        let stream = client.join().expect("it connects");
        let accepting = match outcome.expect("the accept has completed") {
            Ok(_) => &mut leaving,
            Err(errno) => {
                assert_eq!(errno, Errno(libc::ECANCELED));
                staying.push(accept, Op::Accept { listener: 0, slot }).expect("room");
                staying.submit_and_wait(None).expect("the engine works");
                let completion = staying.pop().expect("the connection is in the queue");
                completion.result.expect("it is accepted");
                &mut staying
            }
        };
        let close = Token::new(Kind::Close, 0, slot.0);
        accepting.push(close, Op::Close { slot }).expect("the queue has room");
        accepting.submit_and_wait(None).expect("the engine works");
        accepting.pop().expect("it is closed").result.expect("it is closed");
        drop(stream);
    }
}

/// The same, where the other engine already waits: nothing wakes it for that connection, so the
/// engine that cancelled its accept tries once more itself, by an accept that is submitted with its
/// cancel. This accept takes no wake-up from the engine that waits.
#[test]
fn accept_that_tries_once_after_a_cancel_leaves_no_connection_to_an_engine_that_waits() {
    let (listener, address) = listener();
    let (mut leaving, mut staying): (Uring, Uring) = (engine(&[&listener]), engine(&[&listener]));
    let slot = Slot(0);
    let accept = Token::new(Kind::Accept, 0, slot.0);
    let op = Op::Accept { listener: 0, slot };
    let cancel = (accept.with_kind(Kind::CancelAccept), Op::Cancel { target: accept });
    for _ in 0..100 {
        for engine in [&mut leaving, &mut staying] {
            submit(engine, &[(accept, op)]);
        }
        let first = TcpStream::connect(address).expect("it listens");
        let lost = outcome_of_accept(&mut leaving, &[cancel]);
        assert_eq!(lost, Err(Errno(libc::ECANCELED)), "the accept was woken, and did not run");
        staying.submit_and_wait(Some(staying.now())).expect("the engine works");
        assert_eq!(staying.pop(), None, "no other accept is woken for the connection");
        let tries = [(accept, op), cancel];
        outcome_of_accept(&mut leaving, &tries).expect("the connection is in the queue");
        close(&mut leaving, slot);
        let nothing = outcome_of_accept(&mut leaving, &tries);
        assert_eq!(nothing, Err(Errno(libc::ECANCELED)));
        let second = TcpStream::connect(address).expect("it listens");
        outcome_of_accept(&mut staying, &[]).expect("its accept has waited for longest");
        close(&mut staying, slot);
        drop((first, second));
    }
}

/// A signal that arrives before a connection, and is reported with it, has its completion first. It
/// may have a worker cancel its accepts: the connection is for the workers that have taken over.
#[test]
fn accept_on_epoll_that_an_earlier_completion_cancels_leaves_its_connection() {
    let ((first, first_address), (second, second_address)) = (listener(), listener());
    let mut engine: Epoll = engine(&[&first, &second]);
    let accept = |number: u32| {
        let slot = Slot(number);
        (Token::new(Kind::Accept, 0, number), Op::Accept { listener: number, slot })
    };
    submit(&mut engine, &[accept(0), accept(1)]);
    let _clients =
        [first_address, second_address].map(|to| TcpStream::connect(to).expect("it listens"));
    engine.submit_and_wait(None).expect("the engine works");
    let completion = engine.pop().expect("the first listener was reported first");
    assert_eq!((completion.token, completion.result), (accept(0).0, Ok(0)));
    let target = accept(1).0;
    let cancel = (target.with_kind(Kind::CancelAccept), Op::Cancel { target });
    assert_eq!(outcome_of_accept(&mut engine, &[cancel]), Err(Errno(libc::ECANCELED)));
    outcome_of_accept(&mut engine, &[accept(1)]).expect("the connection is in the queue");
}

fn submit(engine: &mut impl Engine, entries: &[(Token, Op)]) {
    for &(token, op) in entries {
        engine.push(token, op).expect("the queue has room");
    }
    engine.submit_and_wait(Some(engine.now())).expect("the engine works");
}

/// Submits entries, and waits for the completions of an accept and of as many cancels as there are.
fn outcome_of_accept(engine: &mut impl Engine, entries: &[(Token, Op)]) -> Result<u32, Errno> {
    for &(token, op) in entries {
        engine.push(token, op).expect("the queue has room");
    }
    let mut cancels = entries.iter().filter(|(token, _)| token.kind() != Kind::Accept).count();
    let mut outcome = None;
    loop {
        match outcome {
            Some(outcome) if cancels == 0 => return outcome,
            _ => {}
        }
        engine.submit_and_wait(None).expect("the engine works");
        while let Some(completion) = engine.pop() {
            match completion.token.kind() {
                Kind::Accept => outcome = Some(completion.result),
                _ => cancels -= 1,
            }
        }
    }
}

fn close(engine: &mut Uring, slot: Slot) {
    engine.push(Token::new(Kind::Close, 0, slot.0), Op::Close { slot }).expect("room");
    engine.submit_and_wait(None).expect("the engine works");
    engine.pop().expect("it is closed").result.expect("it is closed");
}
