#![no_main]
//! A folder with rules, and a request for one of its paths.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::site::build::properties::site(data));
