#![no_main]
//! One connection, with any bytes in any pieces.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http1::properties::connection(data));
