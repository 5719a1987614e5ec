#![no_main]
//! A stream of replies, in any pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http::reply::properties::reply(data));
