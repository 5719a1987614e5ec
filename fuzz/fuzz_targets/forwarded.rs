#![no_main]
//! Lines of `X-Forwarded-For` and `Forwarded`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::http::forwarded::properties::forwarded(data));
