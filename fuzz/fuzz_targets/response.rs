#![no_main]
//! A stream of responses in arbitrary pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http::response_parser::properties::response(data));
