#![no_main]
//! The head and body of a request in arbitrary pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http::properties::head(data));
