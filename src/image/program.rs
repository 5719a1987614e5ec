//! The program of an image: an executable that needs nothing but a kernel.

use crate::error::Failure;
use crate::site::build::escape::escaped_path;
use std::fs;
use std::path::Path;

/// An executable without shared libraries, and the machine that it is for.
#[derive(Debug)]
pub(super) struct PackedProgram {
    pub(super) octets: Vec<u8>,
    pub(super) architecture: Architecture,
}

/// The architectures that the server runs on, by the names of Go (`GOARCH`), which images use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl PackedProgram {
    /// Reads an executable; without a path, the one that runs.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let path = path.unwrap_or(Path::new("/proc/self/exe"));
        let what = || format!("reading the program {}", escaped_path(path));
        let octets = fs::read(path).map_err(|error| {
            Failure::new(what(), error, "--program names an executable of the server")
        })?;
        match examine(&octets) {
            Ok(architecture) => Ok(Self { octets, architecture }),
            Err(why) => Err(Failure::new(what(), why, STATIC)),
        }
    }
}

/// The machine of an executable (elf(5)), or the reason why it isn't fit for an image of its own.
fn examine(octets: &[u8]) -> Result<Architecture, String> {
    if !octets.starts_with(b"\x7fELF\x02\x01\x01") {
        return Err("it is no executable for a little-endian machine with 64 bits".to_owned());
    }
    let (Some(machine), Some(kind)) = (number::<2>(octets, 18), number::<2>(octets, 16)) else {
        return Err(CUT.to_owned());
    };
    if kind != EXECUTABLE && kind != POSITION_INDEPENDENT {
        return Err("it is an object file or a core dump, not an executable".to_owned());
    }
    let architecture = match machine {
        62 => Architecture::Amd64,
        183 => Architecture::Arm64,
        other => return Err(format!("its machine is unknown (e_machine {other})")),
    };
    if let Some(loader) = loader(octets)? {
        return Err(format!(
            "it needs shared libraries, which the image won't have ({loader} is to load them)"
        ));
    }
    Ok(architecture)
}

/// The program that is to load shared libraries: the only sign by which the kernel tells that an
/// executable needs some. One that is position-independent has a table of dynamic symbols, too.
fn loader(octets: &[u8]) -> Result<Option<String>, String> {
    let table = number::<8>(octets, 32).ok_or(CUT)?;
    let (size, count) = (number::<2>(octets, 54).ok_or(CUT)?, number::<2>(octets, 56).ok_or(CUT)?);
    for entry in 0..count {
        let at = entry.checked_mul(size).and_then(|offset| table.checked_add(offset)).ok_or(CUT)?;
        let field = |offset: u64| at.checked_add(offset).and_then(|at| usize::try_from(at).ok());
        let kind = field(0).and_then(|at| number::<4>(octets, at)).ok_or(CUT)?;
        if kind != INTERPRETER {
            continue;
        }
        let from = field(8).and_then(|at| number::<8>(octets, at)).ok_or(CUT)?;
        let rest = usize::try_from(from).ok().and_then(|from| octets.get(from..)).ok_or(CUT)?;
        let path = rest.split(|&octet| octet == 0).next().unwrap_or_default();
        let path = &path[..path.len().min(LOADER_BYTES_MAX)];
        return Ok(Some(String::from_utf8_lossy(path).escape_debug().to_string()));
    }
    Ok(None)
}

/// A little-endian number of so many octets.
fn number<const N: usize>(octets: &[u8], at: usize) -> Option<u64> {
    let octets = octets.get(at..)?.get(..N)?;
    Some(octets.iter().rev().fold(0, |number, &octet| number << 8 | u64::from(octet)))
}

/// `ET_EXEC` and `ET_DYN`.
const EXECUTABLE: u64 = 2;
const POSITION_INDEPENDENT: u64 = 3;
/// `PT_INTERP`.
const INTERPRETER: u64 = 3;
const LOADER_BYTES_MAX: usize = 255;
const CUT: &str = "it ends within its headers";
const STATIC: &str = "`RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target \
                      x86_64-unknown-linux-gnu` builds one without shared libraries; --program \
                      names it";

#[cfg(test)]
mod tests {
    use super::*;

    /// An executable of headers alone, whose only segment is of this kind.
    fn executable(machine: u8, segment: u8) -> Vec<u8> {
        let mut octets = b"\x7fELF\x02\x01\x01".to_vec();
        octets.resize(64 + 56, 0);
        (octets[16], octets[18], octets[32]) = (3, machine, 64);
        (octets[54], octets[56]) = (56, 1);
        (octets[64], octets[72]) = (segment, 120);
        octets.extend(b"/lib64/ld.so\0");
        octets
    }

    #[test]
    fn an_executable_without_shared_libraries_has_an_architecture() {
        assert_eq!(examine(&executable(62, 1)), Ok(Architecture::Amd64));
        assert_eq!(examine(&executable(183, 2)), Ok(Architecture::Arm64));
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let why = |octets: &[u8]| examine(octets).expect_err("it is refused");
        assert!(why(&executable(62, 3)).contains("(/lib64/ld.so is to load them)"));
        assert!(why(&executable(243, 1)).contains("e_machine 243"));
        assert!(why(b"#!/bin/sh\n").contains("no executable"));
        let mut object = executable(62, 1);
        object[16] = 1;
        assert!(why(&object).contains("object file"));
        let mut far = executable(62, 1);
        far[32..40].fill(0xff);
        assert_eq!(why(&far), CUT);
    }

    #[test]
    fn an_executable_that_is_cut_anywhere_is_refused() {
        let whole = executable(62, 3);
        for bytes in 0..whole.len() {
            assert!(examine(&whole[..bytes]).is_err(), "{bytes}");
        }
    }

    #[test]
    fn the_program_that_runs_is_examined() {
        let outcome = PackedProgram::read(None).map(|program| program.architecture.name());
        let is_static = cfg!(target_feature = "crt-static");
        assert_eq!(outcome.is_ok(), is_static, "{outcome:?}");
    }
}
