//! What a peer will do, drawn from the random source: its requests, how it sends them, how it
//! reads, and what each request is expected.

use super::random::Random;
use super::responses::{Content, ExpectedResponse};

/// What a peer does.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Where it connects.
    pub listener: u32,
    /// When, in nanoseconds.
    pub start_ns: u64,
    /// All it would send.
    pub bytes: Vec<u8>,
    /// What it is expected for that.
    pub expected: Vec<ExpectedResponse>,
    /// What it does, one after another.
    pub steps: Vec<Step>,
    /// How it reads.
    pub reader: Reader,
    /// How many bytes it takes without reading them.
    pub window: usize,
    /// It does nothing for which a server could drop it before it has all its responses.
    pub well_behaved: bool,
}

/// One thing a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Waits so many nanoseconds.
    Pause(u64),
    /// Sends its bytes up to this one.
    Send(usize),
    /// Waits until so many responses came whole, or the end.
    Await(usize),
    /// Sends no more.
    Finish,
    /// Breaks the connection.
    Reset,
    /// Waits for the server to end the connection.
    AwaitEnd,
    /// Closes, and is done.
    Close,
}

/// How a peer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// At once.
    Eager,
    /// So many bytes each so many nanoseconds.
    Slow {
        /// Bytes.
        bytes: usize,
        /// Nanoseconds.
        every_ns: u64,
    },
    /// Not at all.
    Never,
}

/// What plans are made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// How many listeners there are.
    pub listeners: u32,
    /// The length of the page.
    pub page_bytes: usize,
    /// How long a head may take, in nanoseconds.
    pub head_ns: u64,
    /// The longest head.
    pub head_bytes_max: usize,
}

/// A request: its bytes, and what it is expected.
struct Request {
    bytes: Vec<u8>,
    statuses: &'static [u16],
    body: Content,
    head_only: bool,
    closes: bool,
    unannounced: bool,
}

impl Plan {
    /// Draws a plan.
    pub(super) fn draw(random: &mut Random, setting: Setting) -> Self {
        let start_ns = match random.below(3) {
            0 => random.below(1_000_000),
            1 => random.below(300_000_000),
            _ => random.below(4_000_000_000),
        };
        let mut plan = Self {
            listener: u32::try_from(random.below(u64::from(setting.listeners))).expect("few"),
            start_ns,
            bytes: Vec::new(),
            expected: Vec::new(),
            steps: Vec::new(),
            reader: Reader::Eager,
            window: match setting.page_bytes {
                0..=60_000 => random.pick(&[65_536, 200_000, 4096, 1000]),
                _ => random.pick(&[65_536, 200_000, 30_000]),
            },
            well_behaved: true,
        };
        plan.draw_requests(random, setting);
        plan.draw_end(random);
        plan.draw_behaviour(random, setting);
        plan
    }

    fn draw_requests(&mut self, random: &mut Random, setting: Setting) {
        for _ in 0..random.pick(&[1, 1, 2, 3, 6]) {
            let pipelined = match random.below(6) {
                0..=3 => 1,
                4 => random.count(2, 8),
                _ if setting.page_bytes > 60_000 => random.count(2, 6),
                _ => random.count(2, 60),
            };
            let plain = random.chance(500);
            for _ in 0..pipelined {
                if self.closes() {
                    break;
                }
                let request = if plain {
                    whole("GET / HTTP/1.1\r\nHost: a\r\n\r\n", setting)
                } else {
                    draw_request(random, setting)
                };
                self.bytes.extend(request.bytes);
                self.expected.push(ExpectedResponse {
                    end: self.bytes.len(),
                    statuses: request.statuses,
                    body: request.body,
                    head_only: request.head_only,
                    closes: request.closes,
                    unannounced: request.unannounced,
                });
            }
            self.draw_pieces(random);
            if random.chance(800) {
                self.steps.push(Step::Await(self.expected.len()));
            }
            if random.chance(300) {
                self.steps.push(Step::Pause(random.below(1_500_000_000)));
            }
            if self.closes() {
                return;
            }
        }
    }

    fn closes(&self) -> bool {
        self.expected.last().is_some_and(|expected| expected.closes)
    }

    /// Sends what was added, in one piece or in several.
    fn draw_pieces(&mut self, random: &mut Random) {
        let mut sent = self.steps.iter().rev().find_map(|step| match step {
            Step::Send(upto) => Some(*upto),
            _ => None,
        });
        let pieces = random.pick(&[0, 0, 1, 3, 9]);
        for _ in 0..pieces {
            let from = sent.unwrap_or(0);
            let upto = random.count(from, self.bytes.len());
            self.steps.push(Step::Send(upto));
            self.steps.push(Step::Pause(random.below(100_000_000)));
            sent = Some(upto);
        }
        self.steps.push(Step::Send(self.bytes.len()));
    }

    fn draw_end(&mut self, random: &mut Random) {
        let all = self.expected.len();
        match random.below(8) {
            0..=2 => self.steps.extend([Step::Await(all), Step::Close]),
            3..=4 => self.steps.extend([Step::Await(all), Step::AwaitEnd]),
            5 => self.steps.extend([Step::Finish, Step::AwaitEnd]),
            6 if self.closes() => {
                // More follows than will be answered. If it comes when the response was handed over
                // and the connection closed, it destroys the response: the peer's own fault.
                self.well_behaved = false;
                self.bytes.extend(b"GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
                let send = Step::Send(self.bytes.len());
                self.steps.extend([send, Step::Await(all), Step::AwaitEnd]);
            }
            6 => self.steps.extend([Step::Finish, Step::Await(all), Step::Close]),
            _ => {
                let pause = Step::Pause(random.below(700_000_000));
                self.steps.extend([Step::Await(all), pause, Step::Finish, Step::AwaitEnd]);
            }
        }
    }

    /// Some peers have none.
    fn draw_behaviour(&mut self, random: &mut Random, setting: Setting) {
        match random.below(20) {
            0..=9 => {}
            10..=11 => {
                let every_ns = random.between(1_000_000, 20_000_000);
                self.reader = Reader::Slow { bytes: random.count(2000, 20_000), every_ns };
            }
            12 => self.be_hostile(&[Step::AwaitEnd]),
            13 => {
                let half = random.count(0, self.bytes.len());
                self.be_hostile(&[Step::Send(half), Step::AwaitEnd]);
            }
            14 => {
                let half = random.count(0, self.bytes.len());
                self.be_hostile(&[Step::Send(half), Step::Finish, Step::AwaitEnd]);
            }
            15 => {
                let half = random.count(0, self.bytes.len());
                let pause = Step::Pause(random.below(50_000_000));
                self.be_hostile(&[Step::Send(half), pause, Step::Reset]);
            }
            16 => {
                self.reader = Reader::Never;
                self.well_behaved = false;
                self.window = random.pick(&[1000, 4096]);
                for step in &mut self.steps {
                    if matches!(step, Step::Await(_)) {
                        *step = Step::Pause(1_000_000);
                    }
                }
            }
            17 => {
                let half = random.count(0, self.bytes.len());
                self.be_hostile(&[
                    Step::Send(half),
                    Step::Pause(random.below(9_000_000)),
                    Step::Close,
                ]);
            }
            18 => self.drip(random, setting),
            _ => {
                let response = random.count(0, self.expected.len());
                self.be_hostile(&[
                    Step::Send(self.bytes.len()),
                    Step::Await(response),
                    Step::Reset,
                ]);
            }
        }
    }

    fn be_hostile(&mut self, steps: &[Step]) {
        self.well_behaved = false;
        self.steps = steps.to_vec();
    }

    /// A head that comes a byte at a time, too slowly.
    fn drip(&mut self, random: &mut Random, setting: Setting) {
        self.well_behaved = false;
        self.steps.clear();
        let pieces = random.count(2, 12).min(self.bytes.len());
        for piece in 1..pieces {
            self.steps.push(Step::Send(piece));
            self.steps.push(Step::Pause(random.below(setting.head_ns / 2)));
        }
        self.steps.push(Step::AwaitEnd);
    }
}

/// A request for the whole page.
fn whole(head: &str, setting: Setting) -> Request {
    Request {
        bytes: head.as_bytes().to_vec(),
        statuses: &[200],
        body: Content::Page { from: 0, to: setting.page_bytes },
        head_only: false,
        closes: false,
        unannounced: false,
    }
}

fn draw_request(random: &mut Random, setting: Setting) -> Request {
    let get = |extra: &str| whole(&format!("GET /p HTTP/1.1\r\nHost: a\r\n{extra}\r\n"), setting);
    match random.below(17) {
        0..=2 => get(""),
        3 => Request { head_only: true, ..whole("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", setting) },
        4 => Request { closes: true, ..get("Connection: close\r\n") },
        5 => Request { closes: true, ..whole("GET / HTTP/1.0\r\n\r\n", setting) },
        6 => whole("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", setting),
        7 => draw_range(random, setting),
        8 => Request { statuses: &[304], body: Content::Empty, ..get("If-None-Match: *\r\n") },
        9 => draw_body(random, get("")),
        10 => draw_body(random, post()),
        11 => Request { statuses: &[204], body: Content::Empty, ..method("OPTIONS") },
        12 => Request { statuses: &[501], ..method("BREW") },
        13 if random.chance(300) => garbage(random, setting),
        13 => Request { statuses: &[405], ..method("DELETE") },
        14 => Request {
            head_only: true,
            closes: true,
            ..whole("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", setting)
        },
        15 => {
            let mut request = post();
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                         Content-Length: 5\r\n\r\n";
            request.bytes = head.to_vec();
            Request { closes: true, ..request }
        }
        _ => get(&format!("X-Long: {}\r\n", "x".repeat(random.count(1, 600)))),
    }
}

fn method(name: &str) -> Request {
    Request {
        bytes: format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        statuses: &[],
        body: Content::Any,
        head_only: false,
        closes: false,
        unannounced: false,
    }
}

fn post() -> Request {
    Request { statuses: &[405], ..method("POST") }
}

fn draw_range(random: &mut Random, setting: Setting) -> Request {
    let bytes = setting.page_bytes;
    let first = random.count(0, bytes + 3);
    let last = random.count(first, bytes + 9);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-{last}\r\n\r\n");
    let request = whole(&head, setting);
    if first >= bytes {
        return Request { statuses: &[416], body: Content::Any, ..request };
    }
    let body = Content::Page { from: first, to: bytes.min(last + 1) };
    Request { statuses: &[206], body, ..request }
}

/// Gives a request a body, which must be the last thing of its head.
fn draw_body(random: &mut Random, request: Request) -> Request {
    let len = match random.below(5) {
        0..=2 => random.count(1, 200),
        3 => random.count(1000, 60_000),
        _ => random.count(65_537, 90_000),
    };
    let too_long = len > BODY_MAX;
    let mut bytes = request.bytes;
    bytes.truncate(bytes.len() - 2);
    let has_length = random.chance(500);
    if has_length {
        bytes.extend(format!("Content-Length: {len}\r\n\r\n").bytes());
        bytes.resize(bytes.len() + len, b'b');
    } else {
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        let mut left = len;
        while left > 0 {
            let chunk = random.count(1, left.min(30_000));
            bytes.extend(format!("{chunk:x}\r\n").bytes());
            bytes.resize(bytes.len() + chunk, b'c');
            bytes.extend(b"\r\n");
            left -= chunk;
        }
        bytes.extend(b"0\r\n\r\n");
    }
    let unannounced = !request.closes && too_long && !has_length;
    Request { bytes, closes: request.closes || too_long, unannounced, ..request }
}

/// What is refused.
fn garbage(random: &mut Random, setting: Setting) -> Request {
    let (bytes, statuses): (Vec<u8>, &'static [u16]) = match random.below(5) {
        0 => (b"GET\0/ HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        1 => (b"\x16\x03\x01\x02\x00 hello there\r\n\r\n".to_vec(), &[400]),
        2 => (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(), &[505, 400]),
        3 => (b"GET / HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n".to_vec(), &[400]),
        _ => {
            let fill = "y".repeat(setting.head_bytes_max + 10);
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {fill}\r\n\r\n");
            (head.into_bytes(), &[431])
        }
    };
    Request { bytes, statuses, closes: true, ..method("") }
}

/// The longest body that is dropped without an end to the connection.
const BODY_MAX: usize = 64 * 1024;
