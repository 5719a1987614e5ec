//! The messages between the supervisor and a loader, each one in a packet of their channel.

use crate::engine::kernel::EngineKind;
use crate::os::channel::Channel;
use crate::os::privileges::Account;
use std::io;

/// The version of the messages and of the scoreboard. A supervisor may start a loader of another
/// program, because a reload takes the program that is at its path by then.
pub const VERSION: u32 = 4;

/// The longest packet, in bytes.
pub const BYTES_MAX: usize = 8 * 1024;

/// Supervisor to loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoaderRequest {
    /// Fork a worker. The descriptor for the worker to hold comes with it.
    Fork(ForkRequest),
    /// Write the codings of files into the pipe that comes with it, for the next generation.
    HandOverCodings,
}

impl LoaderRequest {
    /// The packet.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Fork(request) => request.to_bytes().to_vec(),
            Self::HandOverCodings => vec![HAND_OVER_CODINGS],
        }
    }

    /// The request in a packet, if it is one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [HAND_OVER_CODINGS] => Some(Self::HandOverCodings),
            bytes => ForkRequest::from_bytes(bytes).map(Self::Fork),
        }
    }
}

const HAND_OVER_CODINGS: u8 = 1;

/// A worker to be forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkRequest {
    /// The worker's place in the scoreboard.
    pub place: u32,
    /// Its number among the workers, from 0.
    pub number: u32,
    /// Whether it reports missing layers of its sandbox to the operator.
    pub reports: bool,
}

impl ForkRequest {
    fn to_bytes(self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes[..4].copy_from_slice(&self.place.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8] = self.reports.into();
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let [reports] = rest else { return None };
        let (place, number) = (u32::from_le_bytes(*place), u32::from_le_bytes(*number));
        Some(Self { place, number, reports: *reports != 0 })
    }
}

/// Loader to supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoaderReport {
    /// The content was read; the text describes it.
    Loaded(String),
    /// The content can't be served; the text is for the operator.
    Failed(String),
    /// The worker of a place was forked.
    Forked {
        /// The place.
        place: u32,
        /// Its process.
        process: u32,
    },
    /// The worker of a place can't be forked.
    NotForked {
        /// The place.
        place: u32,
        /// The reason.
        why: String,
    },
}

impl LoaderReport {
    /// The packet, with a text cut at a bound.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let with_text = |kind: u8, text: &str| {
            let mut bytes = vec![kind];
            bytes.extend(text.bytes().take(TEXT_BYTES_MAX));
            bytes
        };
        match self {
            Self::Loaded(text) => with_text(LOADED, text),
            Self::Failed(text) => with_text(FAILED, text),
            Self::Forked { place, process } => {
                [&[FORKED][..], &place.to_le_bytes(), &process.to_le_bytes()].concat()
            }
            Self::NotForked { place, why } => {
                let mut bytes = [&[NOT_FORKED][..], &place.to_le_bytes()].concat();
                bytes.extend(why.bytes().take(TEXT_BYTES_MAX));
                bytes
            }
        }
    }

    /// The report in a packet, if it is one. Control characters of a text are left out.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| -> String {
            let text = String::from_utf8_lossy(bytes);
            text.chars().filter(|&c| c == '\n' || !c.is_control()).collect()
        };
        let (&kind, rest) = bytes.split_first()?;
        match kind {
            LOADED => Some(Self::Loaded(text(rest))),
            FAILED => Some(Self::Failed(text(rest))),
            FORKED => {
                let (place, process) = rest.split_first_chunk()?;
                let process = u32::from_le_bytes(process.try_into().ok()?);
                Some(Self::Forked { place: u32::from_le_bytes(*place), process })
            }
            NOT_FORKED => {
                let (place, why) = rest.split_first_chunk()?;
                Some(Self::NotForked { place: u32::from_le_bytes(*place), why: text(why) })
            }
            _ => None,
        }
    }
}

/// Takes the next report that has arrived. A process that sends anything else, or has closed its
/// end, loses its channel.
pub(super) fn next_report(channel: &mut Option<Channel>) -> Option<LoaderReport> {
    let mut place = [0; BYTES_MAX];
    let report = match channel.as_ref()?.try_receive(&mut place) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
        Ok(Some(message)) => LoaderReport::from_bytes(&place[..message.len]),
        Ok(None) | Err(_) => None,
    };
    if report.is_none() {
        *channel = None;
    }
    report
}

const LOADED: u8 = 1;
const FAILED: u8 = 2;
const FORKED: u8 = 3;
const NOT_FORKED: u8 = 4;

const TEXT_BYTES_MAX: usize = BYTES_MAX - 16;

/// What a loader is started with: the numbers of its descriptors, and of its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderSpec {
    /// The process ID of the supervisor.
    pub supervisor: u32,
    /// The loader's end of the channel.
    pub channel: i32,
    /// The scoreboard.
    pub scoreboard: i32,
    /// The places of the scoreboard.
    pub places: u32,
    /// The number of workers, which `auto` may make another one by now; and a loader in its sandbox
    /// can't read the quota of its control group.
    pub workers: u32,
    /// The kind of the workers' engines, which the supervisor has decided for.
    pub engine: EngineKind,
    /// The account to become, which was looked up by the supervisor; `None` to stay what it is.
    pub account: Option<Account>,
    /// The name of the user that serves, for messages: no database is asked by a loader.
    pub user_name: Option<String>,
    /// The listeners, in the order of the addresses.
    pub listeners: Vec<i32>,
    /// Those of the listeners that a service manager keeps, which have a letter in the text.
    pub passed: Vec<i32>,
    /// The pipe from which the codings of the previous generation are read.
    pub previous: Option<i32>,
}

/// The number of a descriptor, which isn't negative.
fn parse_fd(text: &str) -> Option<i32> {
    text.parse::<u32>().ok().and_then(|number| number.try_into().ok())
}

impl LoaderSpec {
    /// The value of the hidden option that makes a process a loader.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { supervisor, channel, scoreboard, places, workers, account, previous, .. } = self;
        let engine = ENGINES.iter().position(|&kind| kind == self.engine).expect("it lists all");
        // As in chown(2), the highest number is that of no account.
        let Account { uid, gid } = account.clone().unwrap_or(NO_ACCOUNT);
        let previous = previous.map_or(NO_DESCRIPTOR, i32::cast_unsigned);
        let mut text = format!(
            "{VERSION}:{supervisor}:{channel}:{scoreboard}:{places}:{workers}:{engine}:{uid}:{gid}:\
             {previous}"
        );
        let letter = |listener| if self.passed.contains(listener) { PASSED } else { "" };
        text.extend(self.listeners.iter().map(|it| format!(":{it}{}", letter(it))));
        if let Some(name) = &self.user_name {
            text.push('@');
            text.push_str(name);
        }
        text
    }

    /// Parses [`LoaderSpec::to_text`].
    ///
    /// # Errors
    /// If the text is none, or that of another version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (text, name) = match text.split_once('@') {
            Some((text, name)) => (text, Some(name.to_owned())),
            None => (text, None),
        };
        let mut words = text.split(':');
        let numbers: Vec<u32> =
            words.by_ref().take(NUMBERS).map_while(|word| word.parse().ok()).collect();
        let fd = |number: u32| i32::try_from(number).map_err(|_| FORM.to_owned());
        let descriptors: Vec<&str> = words.collect();
        let all = |words: &mut dyn Iterator<Item = &&str>| {
            let numbers: Option<_> =
                words.map(|word| parse_fd(word.trim_end_matches(PASSED))).collect();
            numbers.ok_or(FORM)
        };
        match numbers[..] {
            [
                VERSION,
                supervisor,
                channel,
                scoreboard,
                places,
                workers,
                engine,
                uid,
                gid,
                previous,
            ] if workers > 0 => Ok(Self {
                supervisor,
                channel: fd(channel)?,
                scoreboard: fd(scoreboard)?,
                places,
                workers,
                engine: *ENGINES.get(engine as usize).ok_or(FORM)?,
                account: Some(Account { uid, gid }).filter(|it| *it != NO_ACCOUNT),
                user_name: name,
                listeners: all(&mut descriptors.iter())?,
                passed: all(&mut descriptors.iter().filter(|word| word.ends_with(PASSED)))?,
                previous: match previous {
                    NO_DESCRIPTOR => None,
                    number => Some(fd(number)?),
                },
            }),
            [version, ..] if version != VERSION => Err(format!(
                "the supervisor is of version {version}, this program of version {VERSION}: end \
                 the old one and start this one in its place"
            )),
            _ => Err(FORM.to_owned()),
        }
    }
}

/// The numbers before those of the listeners.
const NUMBERS: usize = 10;
const PASSED: &str = "p";

/// The kinds of engines in the order of their numbers.
const ENGINES: [EngineKind; 2] = [EngineKind::IoUring, EngineKind::Epoll];

const NO_DESCRIPTOR: u32 = u32::MAX;
const NO_ACCOUNT: Account = Account { uid: u32::MAX, gid: u32::MAX };

const FORM: &str = "only a supervisor starts a loader";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_their_packets() {
        let request = ForkRequest { place: 259, number: 7, reports: true };
        for request in [LoaderRequest::Fork(request), LoaderRequest::HandOverCodings] {
            assert_eq!(LoaderRequest::from_bytes(&request.to_bytes()), Some(request));
        }
        for packet in [&[][..], &[0], &[0; 8], &[1; 2]] {
            assert_eq!(LoaderRequest::from_bytes(packet), None, "{packet:?}");
        }
        for report in [
            LoaderReport::Loaded("/srv/www".to_owned()),
            LoaderReport::Failed("reading it:\nno".to_owned()),
            LoaderReport::Forked { place: 1, process: 70_000 },
            LoaderReport::NotForked { place: 2, why: "no memory".to_owned() },
        ] {
            assert_eq!(LoaderReport::from_bytes(&report.to_bytes()), Some(report));
        }
        for packet in [&[][..], &[9], &[FORKED, 1], &[NOT_FORKED, 1]] {
            assert_eq!(LoaderReport::from_bytes(packet), None, "{packet:?}");
        }
        let long = LoaderReport::Failed("x".repeat(2 * BYTES_MAX)).to_bytes();
        assert!(long.len() <= BYTES_MAX);
        let forged = LoaderReport::Loaded("a\x1b[2J\rb".to_owned()).to_bytes();
        assert_eq!(LoaderReport::from_bytes(&forged), Some(LoaderReport::Loaded("a[2Jb".into())));
    }

    #[test]
    fn a_loader_of_another_version_is_refused() {
        let spec = LoaderSpec {
            supervisor: 12,
            channel: 3,
            scoreboard: 4,
            places: 20,
            workers: 2,
            engine: EngineKind::Epoll,
            account: Some(Account { uid: 33, gid: 34 }),
            user_name: Some("www@data".to_owned()),
            listeners: vec![5, 6, 7],
            passed: vec![6, 7],
            previous: Some(8),
        };
        assert_eq!(spec.to_text(), "4:12:3:4:20:2:1:33:34:8:5:6p:7p@www@data");
        assert_eq!(LoaderSpec::parse(&spec.to_text()), Ok(spec.clone()));
        let stays = LoaderSpec { account: None, user_name: None, previous: None, ..spec };
        assert_eq!(LoaderSpec::parse(&stays.to_text()), Ok(stays));
        assert!(LoaderSpec::parse("1:12:3:4:20:5").unwrap_err().contains("version 1"));
        let wrong = [
            "",
            "4",
            "4:2:3:4",
            "4:2:x:4:5",
            "4:2:4000000000:4:5:1:0:0:0:8",
            "4:2:3:4:5:0:0:0:0:8",
            "4:2:3:4:5:1:2:0:0:8",
            "4:2:3:4:5:1:0:0:0:4000000000",
            "4:2:3:4:5:1:0:0:0:8:-6",
            "4:2:3:4:5:1:0:0:0:8:6x",
            "4:2:3:4:5:1:0:0:0:8:p",
        ];
        for text in wrong {
            assert_eq!(LoaderSpec::parse(text), Err(FORM.to_owned()), "{text}");
        }
    }
}
