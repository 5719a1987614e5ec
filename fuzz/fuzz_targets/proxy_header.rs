#![no_main]
//! A connection on a listener for proxies, in arbitrary pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http1::properties::proxied_connection(data));
