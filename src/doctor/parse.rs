//! The formats of files in `/proc` and `/sys`: text to values. Reads no file.

use super::facts::ProcessStatus;

/// One number, the format of most settings.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// Three numbers, the format of `net.ipv4.tcp_mem`.
pub(super) fn three_numbers(text: &str) -> Option<[u64; 3]> {
    let numbers: Option<Vec<_>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// `net.ipv4.ip_local_port_range`: two numbers with a tab between them.
pub(super) fn port_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last)), None) if first <= last => Some((first, last)),
        _ => None,
    }
}

/// `net.ipv4.ip_local_reserved_ports`: `8080,9000-9999`, or nothing.
pub(super) fn port_list(text: &str) -> Option<Vec<(u16, u16)>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    match text.trim() {
        "" => Some(Vec::new()),
        text => text.split(',').map(range).collect(),
    }
}

/// `/proc/self/status` (`proc_pid_status(5)`), which doesn't have the user namespace.
pub(super) fn process_status(
    status: &str,
    is_in_first_user_namespace: bool,
) -> Option<ProcessStatus> {
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    // Real, effective, saved, and file system group; the kernel checks membership by the last.
    let group = field("Gid")?.split_whitespace().nth(3)?;
    let others = field("Groups").unwrap_or_default().split_whitespace();
    let seccomp = match field("Seccomp") {
        Some(mode) => Some(mode.parse().ok()?),
        None => None,
    };
    let mut users = field("Uid")?.split_whitespace().take(3);
    Some(ProcessStatus {
        is_root: users.any(|user| user == "0"),
        seccomp,
        capabilities: u64::from_str_radix(field("CapEff")?, 16).ok()?,
        groups: others.chain([group]).map(|id| id.parse().ok()).collect::<Option<_>>()?,
        is_in_first_user_namespace,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_three_numbers_are_parsed() {
        assert_eq!(three_numbers("287901\t383868\t575802\n"), Some([287_901, 383_868, 575_802]));
        for text in ["", "1 2", "1 2 3 4", "1 2 x"] {
            assert_eq!(three_numbers(text), None, "{text}");
        }
    }

    #[test]
    fn one_number_is_parsed_and_nothing_else() {
        assert_eq!(number("4096\n"), Some(4096u64));
        assert_eq!(number("-1\n"), Some(-1i64));
        assert_eq!(number::<u64>("-1\n"), None);
        assert_eq!(number::<u64>(""), None);
        assert_eq!(number::<u64>("1 2"), None);
    }

    #[test]
    fn a_port_range_is_two_ascending_numbers() {
        assert_eq!(port_range("32768\t60999\n"), Some((32768, 60999)));
        assert_eq!(port_range("1024 65535"), Some((1024, 65535)));
        assert_eq!(port_range("5\t5\n"), Some((5, 5)));
        for malformed in ["", "32768", "1\t2\t3", "2\t1", "1-2", "1\t65536"] {
            assert_eq!(port_range(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn a_port_list_has_numbers_and_ranges() {
        assert_eq!(port_list("\n"), Some(vec![]));
        assert_eq!(port_list("8080\n"), Some(vec![(8080, 8080)]));
        assert_eq!(port_list("1,3-5,65535\n"), Some(vec![(1, 1), (3, 5), (65535, 65535)]));
        for malformed in ["a", "1,", "1-", "-1", "1 2", "65536"] {
            assert_eq!(port_list(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn user_groups_capabilities_and_seccomp_are_parsed() {
        let status = "Name:\tcat\nUid:\t0\t0\t0\t0\nGid:\t1\t2\t3\t4\nGroups:\t24 25 \n\
                      CapInh:\t0000000000000000\nCapEff:\t000001fffeffffff\nSeccomp:\t2\n\
                      Seccomp_filters:\t1\n";
        let expected = ProcessStatus {
            is_root: true,
            seccomp: Some(2),
            capabilities: 0x1ff_feff_ffff,
            groups: vec![24, 25, 4],
            is_in_first_user_namespace: true,
        };
        assert_eq!(process_status(status, true), Some(expected.clone()));
        let older = status.replace("Seccomp:\t2\n", "").replace("Groups:\t24 25 \n", "");
        let expected = ProcessStatus { seccomp: None, groups: vec![4], ..expected };
        assert_eq!(process_status(&older, true), Some(expected));
        for (wrong, by) in
            [("CapEff:\t0", "CapEff:\tx"), ("Gid:\t1\t2\t3", "Gid:\t1\t"), ("2", "z")]
        {
            assert_eq!(process_status(&status.replace(wrong, by), true), None, "{wrong}");
        }
        assert_eq!(process_status("", true), None);
        let user = status.replace("Uid:\t0\t0\t0\t0", "Uid:\t1000\t1000\t1000\t0");
        assert_eq!(process_status(&user, true).map(|process| process.is_root), Some(false));
        let set_uid = status.replace("Uid:\t0\t0\t0\t0", "Uid:\t1000\t0\t0\t0");
        assert_eq!(process_status(&set_uid, true).map(|process| process.is_root), Some(true));
    }
}
