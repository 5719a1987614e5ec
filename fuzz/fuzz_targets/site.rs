#![no_main]
//! A folder, its rules, and a request for something in it.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::site::build::properties::site(data));
