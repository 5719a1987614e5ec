//! A server's command, given as a line for the shell. Pure.
//!
//! The shell gives way to the server where it can (`exec`), so that signals and the measured memory
//! are those of the server alone:
//!
//! ```text
//!   FOO=1 serve -p 80        FOO=1 exec serve -p 80
//!   cd x && serve 2>&1       cd x && exec serve 2>&1
//!   serve | tee log          a trap for SIGTERM, and then the line as it is
//! ```
//!
//! A shell that has to stay gets SIGTERM together with its process group. Without the trap it would
//! end at once and not wait for the server.

/// The words of a command that runs a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShellCommand {
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// Whether the shell stays as the parent of the server, so that signals are for all processes
    /// of its group.
    pub(super) stays: bool,
}

impl ShellCommand {
    pub(super) fn new(line: &str) -> Self {
        let (script, stays) = match place_of_exec(line) {
            Some(Exec::At(place)) => (format!("{}exec {}", &line[..place], &line[place..]), false),
            Some(Exec::Given) => (line.to_owned(), false),
            None => (format!("{AWAIT_CHILDREN}\n{line}"), true),
        };
        Self { words: vec!["sh".to_owned(), "-c".to_owned(), script], stays }
    }
}

/// On SIGTERM, waits for the command in the foreground, which the shell does by itself before it
/// runs a trap, and for those in the background, and passes the status on.
const AWAIT_CHILDREN: &str = "trap 'status=$?; wait; exit $status' TERM";

enum Exec {
    /// At this place of the line.
    At(usize),
    /// The line has it.
    Given,
}

/// Where `exec` replaces the shell by the last command of the line without changing its meaning;
/// `None` if nowhere, or if that isn't certain.
fn place_of_exec(line: &str) -> Option<Exec> {
    let start = start_of_last_command(line)?;
    let mut place = start + blanks(&line[start..]);
    loop {
        let word = &line[place..place + length_of_word(&line[place..])];
        if !is_assignment(word) {
            return match word {
                "exec" => Some(Exec::Given),
                "" => None,
                _ if OF_THE_SHELL.contains(&word) => None,
                _ => Some(Exec::At(place)),
            };
        }
        place += word.len();
        place += blanks(&line[place..]);
    }
}

/// The start of the last of several commands that are joined by `&&`, `;` or line breaks; `None` if
/// the line has another operator.
fn start_of_last_command(line: &str) -> Option<usize> {
    let text = line.trim_end();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("&&") {
            start = at + 2;
            at = start;
        } else if rest.starts_with([';', '\n']) {
            start = at + 1;
            at = start;
        } else if rest.starts_with(['|', '(', ')', '`']) || rest.starts_with("<<") {
            return None;
        } else if rest.starts_with('&') {
            // `2>&1` and `<&3` duplicate a descriptor.
            if !text[..at].ends_with(['>', '<']) {
                return None;
            }
            at += 1;
        } else {
            at += length_of_piece(rest)?;
        }
    }
    Some(start)
}

/// The length of a character, or of what quotes, a backslash or `$( )` keep together; `None` if a
/// quote doesn't end.
fn length_of_piece(text: &str) -> Option<usize> {
    let until = |end: char, from: usize| text[from..].find(end).map(|at| from + at + 1);
    match text.chars().next()? {
        '\\' => Some(1 + text[1..].chars().next().map_or(0, char::len_utf8)),
        '\'' => until('\'', 1),
        '"' => length_of_double_quotes(text),
        '$' if text.starts_with("${") => until('}', 2),
        '$' if text.starts_with("$(") => length_of_substitution(text),
        c => Some(c.len_utf8()),
    }
}

fn length_of_double_quotes(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += match text[at..].chars().next()? {
            '"' => return Some(at + 1),
            '\'' => 1,
            _ => length_of_piece(&text[at..])?,
        };
    }
}

fn length_of_substitution(text: &str) -> Option<usize> {
    let mut at = 2;
    loop {
        at += match text[at..].chars().next()? {
            ')' => return Some(at + 1),
            // A group within, or the pattern of a `case`: not worth to be understood.
            '(' => return None,
            _ => length_of_piece(&text[at..])?,
        };
    }
}

/// The length of the blanks at the start of a text, and of line breaks that a backslash hides.
fn blanks(text: &str) -> usize {
    let mut rest = text;
    while let Some(after) = rest.strip_prefix([' ', '\t']).or_else(|| rest.strip_prefix("\\\n")) {
        rest = after;
    }
    text.len() - rest.len()
}

fn length_of_word(text: &str) -> usize {
    let mut at = 0;
    while at < text.len() && !text[at..].starts_with([' ', '\t', '\n']) {
        at += length_of_piece(&text[at..]).unwrap_or(text.len() - at);
    }
    at
}

/// Whether a word sets a variable, as in `FOO=1`.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Reserved words, and commands of the shell itself (POSIX, Shell Command Language): there are no
/// programs of these names, or they do nothing for the shell.
const OF_THE_SHELL: [&str; 41] = [
    "!", ".", ":", "[[", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done",
    "elif", "else", "esac", "eval", "exit", "export", "fg", "fi", "for", "function", "if", "in",
    "jobs", "read", "readonly", "return", "select", "set", "source", "then", "time", "trap",
    "ulimit", "until", "wait", "while", "{", "}",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn script(line: &str) -> (String, bool) {
        let command = ShellCommand::new(line);
        assert_eq!(command.words[..2], ["sh", "-c"]);
        (command.words[2].clone(), command.stays)
    }

    #[test]
    fn the_server_replaces_the_shell_where_it_can() {
        for (line, expected) in [
            ("serve {port}", "exec serve {port}"),
            ("  serve", "  exec serve"),
            ("${SERVE:-a b} -p {port}", "exec ${SERVE:-a b} -p {port}"),
            ("FOO=1 serve", "FOO=1 exec serve"),
            ("FOO='a b' _B2=\"$(x \")\" ) \" serve", "FOO='a b' _B2=\"$(x \")\" ) \" exec serve"),
            ("cd x && serve", "cd x && exec serve"),
            ("cd x; FOO=1 serve", "cd x; FOO=1 exec serve"),
            ("cd x\nserve", "cd x\nexec serve"),
            ("serve \\\n  -p 80\n", "exec serve \\\n  -p 80\n"),
            ("cd x && \\\n  serve", "cd x && \\\n  exec serve"),
            ("serve > log 2>&1", "exec serve > log 2>&1"),
            ("serve -t $(nproc)", "exec serve -t $(nproc)"),
            ("serve $(a $(nproc))", "exec serve $(a $(nproc))"),
            ("sh -c 'a; b & wait'", "exec sh -c 'a; b & wait'"),
            ("sh -c \"a || b\" x\\;y", "exec sh -c \"a || b\" x\\;y"),
            ("if a; then b; fi; serve", "if a; then b; fi; exec serve"),
            ("serve a=b", "exec serve a=b"),
        ] {
            assert_eq!(script(line), (expected.to_owned(), false), "{line}");
        }
        for line in ["exec serve", "cd x && exec serve", "FOO=1 exec serve"] {
            assert_eq!(script(line), (line.to_owned(), false));
        }
    }

    #[test]
    fn a_shell_that_stays_waits_for_its_server() {
        for line in [
            "serve | tee log",
            "serve & wait",
            "a || serve",
            "(cd x; serve)",
            "{ serve; }",
            "if a; then serve; fi",
            "for i in 1; do serve; done",
            "f() { serve; }; f",
            "serve `nproc`",
            "serve $( (nproc) )",
            "serve << END\na\nEND",
            "ulimit -n 9",
            "FOO=1",
            "serve 'open",
            "cd x;",
        ] {
            let (script, stays) = script(line);
            assert!(stays && script.ends_with(&format!("\n{line}")), "{line}: {script}");
            assert!(script.starts_with("trap "), "{script}");
        }
    }
}
