//! The plan of a simulated peer, drawn from the random source: its requests, how it sends them,
//! how it receives, and the responses it expects.

use super::requests::{
    PlannedRequest, Setting, draw_proxy_header, draw_request, draw_upload, get_page,
};
use super::responses::ExpectedResponse;
use crate::engine::sim::Random;

/// The plan of a peer.
#[derive(Clone, Debug)]
pub(super) struct PeerPlan {
    /// The index of the listener that it connects to.
    pub(super) listener: u32,
    /// When it connects, in virtual nanoseconds.
    pub(super) start_ns: u64,
    /// The length of the PROXY header before its requests; 0 if there is none.
    pub(super) header_bytes: usize,
    /// The PROXY header, and the bytes of all its requests.
    pub(super) bytes: Vec<u8>,
    /// The expected responses, in order.
    pub(super) expected: Vec<ExpectedResponse>,
    /// Its steps, in order; after the last one it closes.
    pub(super) steps: Vec<PeerStep>,
    pub(super) pace: ReadPace,
    /// The capacity of its receive queue, in bytes.
    pub(super) window: usize,
    /// Gives a server no reason to close the connection before all responses are received.
    pub(super) well_behaved: bool,
}

/// A step of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStep {
    /// Waits for this many nanoseconds.
    Pause(u64),
    /// Sends its bytes up to this index.
    Send(usize),
    /// Waits until it has received this many responses, or one with `Connection: close`.
    AwaitResponses(usize),
    /// Shuts down its sending side.
    Finish,
    /// Resets the connection.
    Reset,
    /// Waits for the server to close the connection.
    AwaitEnd,
    /// Closes the connection.
    Close,
}

/// How fast a peer receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPace {
    /// All bytes, soon after their arrival.
    Eager,
    /// Up to `bytes` bytes every `every_ns` nanoseconds.
    Slow { bytes: usize, every_ns: u64 },
    /// All bytes, but none before the current [`PeerStep::Send`] is complete, nor in a pause, as a
    /// browser reads the response to a form only after it has sent all of it.
    BetweenSends,
    /// No bytes.
    Never,
}

impl PeerPlan {
    pub(super) fn draw(random: &mut Random, setting: Setting) -> Self {
        let start_ns = match random.below(3) {
            0 => random.below(1_000_000),
            1 => random.below(300_000_000),
            _ => random.below(4_000_000_000),
        };
        let mut plan = Self {
            listener: u32::try_from(random.below(u64::from(setting.listeners))).expect("few"),
            window: match setting.page_bytes {
                0..=60_000 => random.pick(&[65_536, 200_000, 4096, 1000]),
                _ => random.pick(&[65_536, 200_000, 30_000]),
            },
            ..Self::empty(start_ns)
        };
        if setting.proxied.contains(plan.listener as usize) {
            plan.bytes = draw_proxy_header(random);
            plan.header_bytes = plan.bytes.len();
        }
        if random.chance(60) {
            plan.draw_upload(random, setting);
            return plan;
        }
        plan.draw_requests(random, setting);
        plan.draw_end(random);
        plan.draw_behaviour(random, setting);
        if plan.header_bytes > 0 && random.chance(200) {
            plan.spoil_header(random);
        }
        plan
    }

    /// A well-behaved peer at the first listener, without requests.
    pub(super) fn empty(start_ns: u64) -> Self {
        Self {
            listener: 0,
            start_ns,
            header_bytes: 0,
            bytes: Vec::new(),
            expected: Vec::new(),
            steps: Vec::new(),
            pace: ReadPace::Eager,
            window: 65_536,
            well_behaved: true,
        }
    }

    /// Makes the beginning of its bytes no PROXY header, so that it gets no response.
    fn spoil_header(&mut self, random: &mut Random) {
        self.well_behaved = false;
        self.expected.clear();
        if random.chance(500) {
            self.bytes.drain(..self.header_bytes);
            self.header_bytes = 0;
        } else {
            let place = random.count(0, self.header_bytes.min(12) - 1);
            self.bytes[place] ^= 0x80;
        }
        let half = random.count(0, self.bytes.len());
        let pause = PeerStep::Pause(random.below(50_000_000));
        let all = PeerStep::Send(self.bytes.len());
        self.steps = vec![PeerStep::Send(half), pause, all, PeerStep::AwaitEnd];
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
                    get_page("GET / HTTP/1.1\r\nHost: a\r\n\r\n", setting.page_bytes)
                } else {
                    draw_request(random, setting)
                };
                self.add_request(request);
            }
            self.draw_pieces(random);
            if random.chance(800) {
                self.steps.push(PeerStep::AwaitResponses(self.expected.len()));
            }
            if random.chance(300) {
                self.steps.push(PeerStep::Pause(random.below(1_500_000_000)));
            }
            if self.closes() {
                return;
            }
        }
    }

    /// Makes it a peer that reads the last response only after it has sent everything, more than
    /// the server keeps of any body.
    fn draw_upload(&mut self, random: &mut Random, setting: Setting) {
        self.pace = ReadPace::BetweenSends;
        self.window = self.window.max(65_536);
        self.add_request(draw_upload(random, setting));
        self.draw_pieces(random);
        let end = random.pick(&[PeerStep::Close, PeerStep::AwaitEnd]);
        self.steps.extend([PeerStep::AwaitResponses(1), end]);
    }

    /// Appends a request and the response that it expects.
    fn add_request(&mut self, request: PlannedRequest) {
        self.bytes.extend(request.bytes);
        self.expected.push(ExpectedResponse { end: self.bytes.len(), ..request.expected });
    }

    /// Whether the server closes the connection after the latest request.
    fn closes(&self) -> bool {
        self.expected.last().is_some_and(|expected| expected.closes)
    }

    /// Adds steps that send the latest requests, in one piece or in several.
    fn draw_pieces(&mut self, random: &mut Random) {
        let mut sent = self.steps.iter().rev().find_map(|step| match step {
            PeerStep::Send(end) => Some(*end),
            _ => None,
        });
        let pieces = random.pick(&[0, 0, 1, 3, 9]);
        for _ in 0..pieces {
            let from = sent.unwrap_or(0);
            let end = random.count(from, self.bytes.len());
            self.steps.push(PeerStep::Send(end));
            self.steps.push(PeerStep::Pause(random.below(100_000_000)));
            sent = Some(end);
        }
        self.steps.push(PeerStep::Send(self.bytes.len()));
    }

    fn draw_end(&mut self, random: &mut Random) {
        let all = self.expected.len();
        match random.below(8) {
            0..=2 => self.steps.extend([PeerStep::AwaitResponses(all), PeerStep::Close]),
            3..=4 => self.steps.extend([PeerStep::AwaitResponses(all), PeerStep::AwaitEnd]),
            5 => self.steps.extend([PeerStep::Finish, PeerStep::AwaitEnd]),
            6 if self.closes() => {
                // A request after the last one that is answered. If it arrives at a closed socket,
                // the reset destroys the response (RFC 9112, section 9.6): the peer's own fault.
                self.well_behaved = false;
                self.bytes.extend(b"GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
                let send = PeerStep::Send(self.bytes.len());
                self.steps.extend([send, PeerStep::AwaitResponses(all), PeerStep::AwaitEnd]);
            }
            6 => self.steps.extend([
                PeerStep::Finish,
                PeerStep::AwaitResponses(all),
                PeerStep::Close,
            ]),
            _ => {
                let pause = PeerStep::Pause(random.below(700_000_000));
                self.steps.extend([
                    PeerStep::AwaitResponses(all),
                    pause,
                    PeerStep::Finish,
                    PeerStep::AwaitEnd,
                ]);
            }
        }
    }

    /// Makes half of the peers slow or hostile.
    fn draw_behaviour(&mut self, random: &mut Random, setting: Setting) {
        match random.below(20) {
            0..=9 => {}
            10..=11 => {
                let every_ns = random.between(1_000_000, 20_000_000);
                self.pace = ReadPace::Slow { bytes: random.count(2000, 20_000), every_ns };
            }
            12 => self.replace_steps(&[PeerStep::AwaitEnd]),
            13 => {
                let half = random.count(0, self.bytes.len());
                self.replace_steps(&[PeerStep::Send(half), PeerStep::AwaitEnd]);
            }
            14 => {
                let half = random.count(0, self.bytes.len());
                self.replace_steps(&[PeerStep::Send(half), PeerStep::Finish, PeerStep::AwaitEnd]);
            }
            15 => {
                let half = random.count(0, self.bytes.len());
                let pause = PeerStep::Pause(random.below(50_000_000));
                self.replace_steps(&[PeerStep::Send(half), pause, PeerStep::Reset]);
            }
            16 => {
                self.pace = ReadPace::Never;
                self.well_behaved = false;
                self.window = random.pick(&[1000, 4096]);
                for step in &mut self.steps {
                    if matches!(step, PeerStep::AwaitResponses(_)) {
                        *step = PeerStep::Pause(1_000_000);
                    }
                }
            }
            17 => {
                let half = random.count(0, self.bytes.len());
                self.replace_steps(&[
                    PeerStep::Send(half),
                    PeerStep::Pause(random.below(9_000_000)),
                    PeerStep::Close,
                ]);
            }
            18 => self.send_slowly(random, setting),
            _ => {
                let response = random.count(0, self.expected.len());
                self.replace_steps(&[
                    PeerStep::Send(self.bytes.len()),
                    PeerStep::AwaitResponses(response),
                    PeerStep::Reset,
                ]);
            }
        }
    }

    fn replace_steps(&mut self, steps: &[PeerStep]) {
        self.well_behaved = false;
        self.steps = steps.to_vec();
    }

    /// Sends a head a byte at a time, too slowly.
    fn send_slowly(&mut self, random: &mut Random, setting: Setting) {
        self.well_behaved = false;
        self.steps.clear();
        let pieces = random.count(2, 12).min(self.bytes.len());
        for piece in 1..pieces {
            self.steps.push(PeerStep::Send(piece));
            self.steps.push(PeerStep::Pause(random.below(setting.head_ns / 2)));
        }
        self.steps.push(PeerStep::AwaitEnd);
    }
}
