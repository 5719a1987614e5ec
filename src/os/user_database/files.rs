//! The databases as files: passwd(5) and group(5).

use super::{UserEntry, UserKey};
use std::fs::File;
use std::io::{self, Read};

/// As [`super::find_user`], of /etc/passwd.
pub(super) fn find_user(key: UserKey<'_>) -> io::Result<Option<UserEntry>> {
    Ok(user_in(&contents("/etc/passwd")?, key))
}

/// As [`super::find_group`], of /etc/group.
pub(super) fn find_group(name: &str) -> io::Result<Option<u32>> {
    Ok(group_in(&contents("/etc/group")?, name))
}

/// A database; an image of the program alone has none.
fn contents(path: &str) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(DATABASE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// `name:password:UID:GID:comment:directory:shell`. A line that isn't one of those, such as a
/// comment or NIS's `+`, is no entry.
fn user_in(database: &[u8], key: UserKey<'_>) -> Option<UserEntry> {
    let mut entries = database.split(|&octet| octet == b'\n').filter_map(|line| {
        let mut fields = line.split(|&octet| octet == b':');
        let name = fields.next().filter(|name| is_name(name))?;
        let (uid, gid) = (number(fields.nth(1)?)?, number(fields.next()?)?);
        Some((name, uid, gid))
    });
    let (name, uid, gid) = entries.find(|&(name, uid, _)| match key {
        UserKey::Name(wanted) => name == wanted.as_bytes(),
        UserKey::Number(wanted) => uid == wanted,
    })?;
    Some(UserEntry { uid, gid, name: String::from_utf8_lossy(name).into_owned() })
}

/// `name:password:GID:members`.
fn group_in(database: &[u8], wanted: &str) -> Option<u32> {
    database.split(|&octet| octet == b'\n').find_map(|line| {
        let mut fields = line.split(|&octet| octet == b':');
        let name = fields.next().filter(|name| is_name(name))?;
        let gid = number(fields.nth(1)?)?;
        (name == wanted.as_bytes()).then_some(gid)
    })
}

/// Whether the first field of a line is a name: the C library skips comments, too.
fn is_name(field: &[u8]) -> bool {
    !field.is_empty() && !field.starts_with(b"#")
}

/// The number of a user or group; 4294967295 stands for none (chown(2)).
fn number(field: &[u8]) -> Option<u32> {
    let is_decimal = field.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(field).ok().filter(|_| is_decimal)?;
    text.parse().ok().filter(|&number| number != u32::MAX)
}

/// Most bytes of a database: some 200,000 users.
const DATABASE_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # www:x:7:7::/:/bin/false\n\
        \n\
        +nis::::::\n\
        :x:8:8::/:\n\
        \xff:x:9:9::/:\n\
        none:x:4294967295:9::/:\n\
        signed:x:+5:9::/:\n\
        short:x:6\n\
        www:x:33:34:www, a comment:/var/www:/usr/sbin/nologin\n\
        www:x:35:36::/:\n\
        last:x:40:41::/:";

    #[test]
    fn users_are_found_in_a_file_as_getent_finds_them() {
        let user = |key| user_in(PASSWD, key).map(|entry| (entry.uid, entry.gid, entry.name));
        let named = |uid, gid, name: &str| Some((uid, gid, name.to_owned()));
        assert_eq!(user(UserKey::Name("root")), named(0, 0, "root"));
        assert_eq!(user(UserKey::Name("www")), named(33, 34, "www"), "the first of two");
        assert_eq!(user(UserKey::Number(33)), named(33, 34, "www"));
        assert_eq!(user(UserKey::Name("last")), named(40, 41, "last"), "without a line end");
        assert_eq!(user(UserKey::Number(9)), named(9, 9, "\u{fffd}"));
        for missing in ["", "+nis", "none", "signed", "short", "# www", "ww", "x"] {
            assert_eq!(user(UserKey::Name(missing)), None, "{missing:?}");
        }
        for missing in [5, 6, 7, 8, u32::MAX] {
            assert_eq!(user(UserKey::Number(missing)), None, "{missing}");
        }
    }

    #[test]
    fn groups_are_found_in_a_file() {
        let database = b"root:x:0:\nweb:x:33:a,b\nnone:x:4294967295:\nweb:x:34:\nlast:x:7:";
        let group = |name| group_in(database, name);
        assert_eq!(group("root"), Some(0));
        assert_eq!(group("web"), Some(33));
        assert_eq!(group("last"), Some(7));
        assert_eq!([group("none"), group("a"), group("")], [None; 3]);
    }

    #[test]
    fn the_files_of_this_machine_name_root() {
        let root = UserEntry { uid: 0, gid: 0, name: "root".to_owned() };
        assert_eq!(find_user(UserKey::Name("root")).ok(), Some(Some(root)));
        assert_eq!(find_group("root").ok(), Some(Some(0)));
    }
}
