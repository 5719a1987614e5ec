#![no_main]
//! One server connection that receives arbitrary bytes in arbitrary pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http1::properties::connection(data));
