#![no_main]
//! The whole loop on the simulated ring, with the choices of the fuzzer.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uringstatic::simulation::server(data));
