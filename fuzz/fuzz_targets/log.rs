#![no_main]
//! Texts of clients in lines of the access log, and any words in the memory of a record.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::telemetry::properties::log(data));
