//! Batches from the rings of several workers, and what becomes of them when a logger ends.

use super::super::ring::RingWriter;
use super::super::ring::tests::{begin, end};
use super::*;
use std::os::fd::{AsFd, AsRawFd};

/// The memory of two workers with two slots each, and another mapping of it.
fn memory() -> (LogMemory, LogMemory) {
    let memory = LogMemory::new(2, 2).expect("there is memory");
    let other = LogMemory::inherited(memory.as_fd().as_raw_fd(), 2, 2).expect("it is open");
    (memory, other)
}

fn again(memory: &LogMemory) -> Logger {
    let memory = LogMemory::inherited(memory.as_fd().as_raw_fd(), 2, 2).expect("it is open");
    Logger::new(memory, LogFormat::Combined)
}

fn request(memory: &LogMemory, place: usize, line: &str) {
    let part = memory.part(place);
    let mut writer = RingWriter::new(part);
    begin(part, &mut writer, 0, line);
    end(part, &mut writer, 0);
}

fn count(memory: &LogMemory, which: LoggerCounter) -> u64 {
    memory.counter(which).load(Ordering::Relaxed)
}

/// The request lines in a part of the log.
fn requests(log: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(log);
    let request = |line: &str| line.split('"').nth(1).map(str::to_owned);
    text.lines().filter(|line| !line.is_empty()).filter_map(request).collect()
}

fn write_all(logger: &mut Logger, log: &mut Vec<u8>) {
    loop {
        let more = logger.collect(0, 0);
        logger.begin_write();
        let bytes = logger.unwritten().to_vec();
        log.extend_from_slice(&bytes);
        logger.wrote(bytes.len());
        if !more {
            return;
        }
    }
}

#[test]
fn lines_of_all_workers_are_written_and_their_rings_are_empty_then() {
    let (memory, other) = memory();
    let mut logger = Logger::new(other, LogFormat::Combined);
    let mut log = Vec::new();
    for number in 0..5000 {
        request(&memory, number % 2, &format!("{number}"));
    }
    write_all(&mut logger, &mut log);
    let mut found: Vec<usize> = requests(&log).iter().map(|it| it.parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..5000).collect::<Vec<_>>());
    assert_eq!(count(&memory, LoggerCounter::Lines), 5000);
    log.clear();
    write_all(&mut logger, &mut log);
    assert_eq!(log, b"", "nothing is written twice");
}

#[test]
fn logger_that_ends_before_its_batch_is_written_loses_nothing() {
    let (memory, other) = memory();
    let mut log = Vec::new();
    for number in 0..10 {
        request(&memory, 0, &format!("{number}"));
    }
    let mut first = Logger::new(other, LogFormat::Combined);
    assert!(!first.collect(0, 0));
    drop(first);
    let mut second = again(&memory);
    second.collect(0, 0);
    second.begin_write();
    // Two lines and a half.
    let cut = second.unwritten().len() / 4;
    log.extend_from_slice(&second.unwritten()[..cut]);
    second.wrote(cut);
    drop(second);
    write_all(&mut again(&memory), &mut log);
    let found = requests(&log);
    let all: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(found[found.len() - 10..], all, "all lines are there, whole");
    assert!(log.windows(2).filter(|pair| pair == b"\n\n").count() <= 1);
    let whole_lines = log.split(|&octet| octet == b'\n').filter(|line| line.ends_with(b"\"-\""));
    assert!(whole_lines.count() >= 10, "the cut line is ended before");
    log.clear();
    write_all(&mut again(&memory), &mut log);
    assert_eq!(log, b"");
}

#[test]
fn line_that_one_file_has_in_part_is_whole_in_the_next() {
    let (memory, other) = memory();
    for number in 0..4 {
        request(&memory, 1, &format!("{number}"));
    }
    let mut logger = Logger::new(other, LogFormat::Combined);
    logger.collect(0, 0);
    logger.begin_write();
    let line = logger.unwritten().len() / 4;
    let old = logger.unwritten()[..line + 5].to_vec();
    logger.wrote(line + 5);
    logger.changed_output();
    let mut new = Vec::new();
    write_all(&mut logger, &mut new);
    assert_eq!(requests(&old)[..1], ["0"]);
    assert_eq!(requests(&new), ["1", "2", "3"]);
    assert_eq!(count(&memory, LoggerCounter::Lines), 4);
}

#[test]
fn ring_with_words_of_no_ring_is_skipped_and_of_use_again() {
    let (memory, other) = memory();
    let mut logger = Logger::new(other, LogFormat::Combined);
    memory.part(0)[0].store(u64::MAX / 2, Ordering::Relaxed);
    let mut log = Vec::new();
    write_all(&mut logger, &mut log);
    request(&memory, 0, "next");
    request(&memory, 1, "other");
    write_all(&mut logger, &mut log);
    assert_eq!(requests(&log), ["next", "other"]);
    assert_eq!(memory.dropped(), 0);
}

#[test]
fn pause_is_short_only_while_rings_fill_fast() {
    let (_, other) = memory();
    let mut logger = Logger::new(other, LogFormat::Combined);
    let mut pause_at = |used: usize| {
        logger.used_max = used;
        logger.pause()
    };
    assert_eq!(pause_at(0), PAUSE_MAX);
    assert_eq!(pause_at(RING_WORDS / 16), PAUSE_MAX, "a batch is large enough");
    assert_eq!(pause_at(RING_WORDS / 4), PAUSE_MAX / 2);
    assert_eq!(pause_at(RING_WORDS / 16), PAUSE_MAX / 2);
    for _ in 0..20 {
        pause_at(RING_WORDS);
    }
    assert_eq!(pause_at(RING_WORDS), PAUSE_MIN);
    for _ in 0..20 {
        pause_at(100);
    }
    assert_eq!(pause_at(100), PAUSE_MAX);
}
