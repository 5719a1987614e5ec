//! The targets of links out of the root (`--follow-links`). All of them are opened before any file
//! is read, while the process may still open everything that its user may; after that, nothing else
//! can be opened (landlock(7)), wherever a link leads by then.

use super::opened::OpenRoot;
use super::options::BuildRequest;
use super::walk;
use crate::error::Failure;

/// Opens the root of a request, and the targets of the links out of it if they are to be followed.
///
/// # Errors
/// Those of [`OpenRoot::open`]; and with links, if the root can't be read or exceeds a limit.
pub fn open(request: &BuildRequest) -> Result<OpenRoot, Failure> {
    let mut root = OpenRoot::open(&request.root, request.resolver)?;
    if !request.follow_links {
        return Ok(root);
    }
    root.follow_links();
    // A target may have links out of the root, too.
    for _ in 0..ROUNDS_MAX {
        let listing = walk::walk(&root, request.limits)?;
        if listing.outside.is_empty() {
            break;
        }
        for target in &listing.outside {
            root.add_outside(target, request.resolver);
        }
    }
    Ok(root)
}

/// Most links behind one another, as in `path_resolution(7)`.
const ROUNDS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::properties::request;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    /// A folder with a root `site` and other files, removed on drop.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let own =
                std::env::temp_dir().join(format!("uringstatic-{name}-{}", std::process::id()));
            for file in ["site/index.html", "shared/a.css", "shared/.git/config", "deep/b.css"] {
                let path = own.join(file);
                fs::create_dir_all(path.parent().expect("a file has a folder"))
                    .and_then(|()| fs::write(path, file))
                    .expect("the test owns the folder");
            }
            fs::write(own.join("one.txt"), "one").expect("the test owns the folder");
            Self(own.canonicalize().expect("the folder exists"))
        }

        fn link(&self, target: &str, link: &str) {
            symlink(target, self.0.join(link)).expect("the test owns the folder");
        }

        /// The names of the served files, and the lines about those that are left out.
        fn listed(&self, follow_links: bool, change: impl FnOnce(&Path)) -> [Vec<String>; 2] {
            let request = BuildRequest { follow_links, ..request(self.0.join("site")) };
            let root = open(&request).expect("the root is readable");
            change(&self.0);
            let listing = walk::walk(&root, request.limits).expect("the root is readable");
            let mut place = [0; 64];
            for file in &listing.files {
                let place = &mut place[..usize::try_from(file.bytes).expect("small")];
                assert_eq!(root.read(file, place), Ok(()), "{:?}", file.path);
            }
            let names = listing.files.iter();
            let names = names.map(|file| String::from_utf8_lossy(&file.name).into_owned());
            [names.collect(), listing.skipped.lines().collect()]
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn links_out_of_the_root_are_followed_on_demand_only() {
        let ground = Ground::new("links");
        ground.link("../shared", "site/shared");
        ground.link("../one.txt", "site/one.txt");
        ground.link("../deep", "shared/deep");
        ground.link("../shared/.git", "site/git");
        ground.link("..", "site/up");
        let [names, skipped] = ground.listed(false, |_| ());
        assert_eq!(names, ["index.html"]);
        assert_eq!(skipped.len(), 4, "{skipped:?}");
        let [names, skipped] = ground.listed(true, |_| ());
        for name in ["index.html", "one.txt", "shared/a.css", "shared/deep/b.css", "up/one.txt"] {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
        assert!(names.iter().all(|name| !name.contains("git")), "{names:?}");
        assert!(skipped.iter().any(|line| line.starts_with("git: ")), "{skipped:?}");
    }

    #[test]
    fn link_made_after_the_targets_were_opened_is_left_out() {
        let ground = Ground::new("late");
        let [names, skipped] = ground.listed(true, |folder| {
            symlink("../shared", folder.join("site/late")).expect("the test owns the folder");
        });
        assert_eq!(names, ["index.html"]);
        assert!(skipped.len() == 1 && skipped[0].contains("while it was read"), "{skipped:?}");
    }
}
