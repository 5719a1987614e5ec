#![no_main]
//! The event loop of the server on the simulated ring, with every choice taken from the input.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::simulation::server(data));
