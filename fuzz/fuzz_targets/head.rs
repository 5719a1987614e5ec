#![no_main]
//! Heads and bodies of requests, in any pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http::properties::head(data));
