//! Trials in child processes, which a process with a single thread makes: this program, started
//! again for each.

use crate::process::ensure;
use std::process::Command;
use std::time::Duration;
use uringstatic::os::process;
use uringstatic::os::trial::in_child;

/// The variable with the name of a trial.
pub(crate) const TRIAL: &str = "URINGSTATIC_TRIAL";

/// Each trial with its end, whether or not SIGCHLD is ignored.
pub(crate) fn ends() -> Result<String, String> {
    let panics = if cfg!(panic = "abort") { "Killed(6)" } else { "Exited(101)" };
    let cases = [
        ("reports", "Ok(Reported([119, 111, 114, 100]))"),
        ("exits", "Ok(Ended(Exited(3)))"),
        ("aborts", "Ok(Ended(Killed(6)))"),
        ("panics", &format!("Ok(Ended({panics}))")),
        ("hangs", "Ok(TimedOut)"),
        ("has threads", "Err(Threads(Several(2)))"),
    ];
    for (name, expected) in cases {
        for signals in ["--default-signal=CHLD", "--ignore-signal=CHLD"] {
            let program = std::env::current_exe().expect("it has a path");
            let mut command = Command::new("env");
            let output = command.arg(signals).arg(program).env(TRIAL, name).output();
            let output = output.expect("there is env(1)");
            let text = String::from_utf8(output.stdout).expect("it is text");
            let is_right = text == format!("{expected}\n") && output.status.success();
            ensure(is_right, || format!("{name}, {signals}: {text}{}", output.status))?;
        }
    }
    Ok(format!("{} ends, none of them that of the parent", cases.len()))
}

/// Makes a trial, and prints its end.
pub(crate) fn make(name: &str) -> ! {
    let limit = Duration::from_millis(if name == "hangs" { 100 } else { 20_000 });
    if name == "has threads" {
        std::thread::spawn(std::thread::park);
    }
    let end = in_child(limit, || match name {
        "exits" => process::end(3),
        "aborts" => std::process::abort(),
        "panics" => panic!("as it was asked to"),
        "hangs" => loop {
            std::thread::park();
        },
        _ => b"word".to_vec(),
    });
    println!("{end:?}");
    let id = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{id}/children"));
    let is_left = children.expect("the kernel lists them").split_whitespace().count();
    assert_eq!(is_left, 0, "the child is reaped");
    std::process::exit(0)
}
