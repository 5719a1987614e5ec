//! The way of the files from the disk to the buffer: the root is listed, planned and read, and
//! once more if files change in the meantime.

use super::escape::escaped;
use super::load::{self, Loaded, Reason, Unused};
use super::opened::OpenRoot;
use super::plan::{self, Plan};
use super::walk::{self, Listing};
use super::{Failure, Request, headers, redirects};
use std::collections::HashMap;

/// A root whose files were read and coded.
pub(super) struct Gathered {
    pub(super) listing: Listing,
    pub(super) plan: Plan,
    pub(super) loaded: Loaded,
}

/// Lists a root, plans its paths and reads its files. `judge` may reject the plan before any file
/// is read.
///
/// A file that can't be read as it was listed was most likely replaced in the meantime, by a
/// deployment for instance, so the root is listed once more. A file that fails again is left out.
pub(super) fn gather(
    request: &Request,
    judge: impl Fn(&Plan) -> Result<(), Failure>,
) -> Result<Gathered, Failure> {
    let root = OpenRoot::open(&request.root, request.resolver)?;
    let mut rounds = LISTED_TIMES_MAX;
    loop {
        rounds -= 1;
        let mut listing = walk::walk(&root, request.limits)?;
        let headers = rules(&root, &listing, headers::NAME)?;
        let redirects = rules(&root, &listing, redirects::NAME)?;
        let plan = |listing: &Listing| {
            plan::plan(listing, &request.options, headers.as_deref(), redirects.as_deref())
        };
        let mut planned = plan(&listing);
        judge(&planned)?;
        let identities = load::read(request, &root, &listing, &planned)?;
        let failed: HashMap<usize, &str> =
            identities.failed().map(|(file, why)| (planned.files[file].listed, why)).collect();
        if !failed.is_empty() && rounds > 0 {
            continue;
        }
        if !failed.is_empty() {
            leave_out_failed(&mut listing, &failed);
            planned = plan(&listing);
            judge(&planned)?;
        }
        let loaded = load::code(request, &listing, &planned, identities);
        leave_out_stale(&mut listing, &planned, &loaded.unused);
        return Ok(Gathered { listing, plan: planned, loaded });
    }
}

fn leave_out_failed(listing: &mut Listing, failed: &HashMap<usize, &str>) {
    let Listing { files, skipped } = listing;
    let mut number = 0;
    files.retain(|file| {
        let why = failed.get(&number);
        number += 1;
        if let Some(why) = why {
            skipped.add(&file.name, why);
        }
        why.is_none()
    });
}

/// What lies beside a file as its coding and doesn't decode to it is most likely older: it is left
/// out as that, and as nothing else. So is what browsers don't decode.
fn leave_out_stale(listing: &mut Listing, plan: &Plan, unused: &[Unused]) {
    let Listing { files, skipped } = listing;
    let name = |file: usize| &files[plan.files[file].listed].name;
    for unused in unused {
        let of = escaped(name(unused.of));
        let coding = unused.coding.name();
        match unused.reason {
            Reason::Other => {
                skipped.add(name(unused.file), &format_args!("it isn't {of} in {coding}"));
            }
            Reason::Refused(why) => skipped.add(name(unused.file), &why),
            Reason::TooLarge => {}
        }
    }
}

/// The text of a file of rules, if there is one.
fn rules(root: &OpenRoot, listing: &Listing, name: &str) -> Result<Option<String>, Failure> {
    let Some(listed) = listing.files.iter().find(|file| file.name == name.as_bytes()) else {
        return Ok(None);
    };
    let what = format!("reading {}", root.shown_file(&listed.name));
    // The read is bounded by this length, whatever the file has become since it was listed.
    let Some(bytes) = usize::try_from(listed.bytes).ok().filter(|&bytes| bytes <= RULES_BYTES_MAX)
    else {
        let why = format!("it has {} bytes, and {RULES_BYTES_MAX} are allowed", listed.bytes);
        let hint = "say more with fewer rules: * stands for anything, :name for a segment";
        return Err(Failure::new(what, why, hint));
    };
    let mut text = vec![0; bytes];
    if let Err(why) = root.read(listed, &mut text) {
        let hint = "its rules may protect other files, so it is not left out: start again when the \
                    file is stable";
        return Err(Failure::new(what, why, hint));
    }
    let text = String::from_utf8(text);
    text.map(Some).map_err(|error| Failure::new(what, error, "it has to be a text in UTF-8"))
}

/// The longest file of rules.
const RULES_BYTES_MAX: usize = 1 << 20;
/// How many times a root is listed while its files change.
const LISTED_TIMES_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::super::plan::To;
    use super::super::properties::request;
    use super::*;
    use std::cell::Cell;
    use std::path::{Path, PathBuf};

    /// A folder with files, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[&str]) -> Self {
            let own =
                std::env::temp_dir().join(format!("uringstatic-{name}-{}", std::process::id()));
            for file in files {
                let path = own.join(file);
                std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("ours");
                std::fs::write(path, file).expect("the folder is ours");
            }
            Self(own)
        }

        /// Gathers the files. One of them is replaced after each of the first `times` listings.
        fn gather(&self, changed: &str, times: u32) -> Result<(Gathered, u32), Failure> {
            let (left, listed) = (Cell::new(times), Cell::new(0));
            let gathered = gather(&request(self.0.clone()), |_| {
                listed.set(listed.get() + 1);
                if left.get() > 0 {
                    left.set(left.get() - 1);
                    // A new inode with the old length and name.
                    let new = Path::new(&self.0).join(".new");
                    std::fs::write(&new, format!("{:?}", left.get()).repeat(changed.len()))
                        .and_then(|()| std::fs::rename(new, self.0.join(changed)))
                        .expect("the folder is ours");
                }
                Ok(())
            });
            gathered.map(|gathered| (gathered, listed.get()))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn skipped(gathered: &Gathered) -> Vec<String> {
        gathered.listing.skipped.lines().collect()
    }

    #[test]
    fn a_file_replaced_once_is_read_in_its_new_version() {
        let folder = Folder::new("once", &["a.txt", "about.html"]);
        let (gathered, listed) = folder.gather("about.html", 1).expect("it can be read");
        assert_eq!((listed, skipped(&gathered)), (2, Vec::new()));
        let text = String::from_utf8_lossy(&gathered.loaded.fixed[..15]).into_owned();
        assert_eq!(text, "a.txt0000000000");
    }

    #[test]
    fn a_file_replaced_again_and_again_is_left_out_and_frees_its_paths() {
        let folder = Folder::new("often", &["a.txt", "about.html", "about/index.html"]);
        let (gathered, _) = folder.gather("about.html", 2).expect("it can be read");
        assert_eq!(skipped(&gathered), ["about.html: it changed while it was read"]);
        let Gathered { listing, plan, loaded } = &gathered;
        assert_eq!((listing.files.len(), plan.files.len(), loaded.bodies.len()), (2, 2, 2));
        let about = plan.routes.iter().find(|route| route.path == b"/about");
        assert_eq!(about.expect("it is that of the folder").to, To::Folder);
        let span = loaded.bodies[1][0].span;
        assert_eq!(&loaded.fixed[span.range()], b"about/index.html");
        assert_eq!(&loaded.fixed[5..15], [0; 10], "nothing is kept of what was left out");
    }

    #[test]
    fn rules_modified_while_they_are_read_are_an_error() {
        let folder = Folder::new("rules", &["_headers"]);
        let root = OpenRoot::open(&folder.0, super::super::Resolver::default());
        let root = root.expect("it is there");
        let limits = request(PathBuf::new()).limits;
        let listing = walk::walk(&root, limits).expect("it can be listed");
        std::fs::write(folder.0.join("_headers"), b"other").expect("the folder is ours");
        let failure = rules(&root, &listing, headers::NAME).expect_err("it changed");
        assert_eq!(failure.why, "it changed while it was read");
        assert!(failure.what.ends_with("/_headers"), "{failure}");
    }
}
