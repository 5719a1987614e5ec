//! The steps from the disk to the buffer: a root is listed, planned and read, and once more if
//! files change in the meantime.

use super::encoded;
use super::encodings;
use super::escape::escaped;
use super::handover::PreviousCodings;
use super::listing::Listing;
use super::load::{self, Loaded, Unused, UnusedReason};
use super::opened::OpenRoot;
use super::options::BuildRequest;
use super::plan;
use super::rule_files::{HEADERS, REDIRECTS};
use super::site_plan::SitePlan;
use super::walk;
use crate::error::Failure;
use std::collections::HashMap;
use zeroize::{Zeroize, Zeroizing};

/// A root whose files were read and compressed.
pub(super) struct Gathered {
    pub(super) listing: Listing,
    pub(super) plan: SitePlan,
    pub(super) loaded: Loaded,
}

/// Lists a root, plans its paths and reads its files. `check_plan` may reject the plan before any
/// file is read.
///
/// A file that can't be read as it was listed was most likely replaced in the meantime, by a
/// deployment for instance, so the root is listed once more. A file that fails twice is left out.
pub(super) fn gather(
    request: &BuildRequest,
    root: &OpenRoot,
    previous: Option<PreviousCodings>,
    check_plan: impl Fn(&SitePlan) -> Result<(), Failure>,
) -> Result<Gathered, Failure> {
    let mut rounds = LISTED_TIMES_MAX;
    loop {
        rounds -= 1;
        let mut listing = walk::walk(root, request.limits)?;
        let headers = rules(root, &listing, HEADERS)?;
        let redirects = rules(root, &listing, REDIRECTS)?;
        let plan = |listing: &Listing| {
            let headers = headers.as_ref().map(|text| text.as_str());
            let redirects = redirects.as_ref().map(|text| text.as_str());
            plan::plan(listing, &request.options, headers, redirects)
        };
        let mut planned = plan(&listing);
        check_plan(&planned)?;
        let identities = load::read(request, root, &listing, &planned)?;
        let failed: HashMap<usize, &str> =
            identities.failed().map(|(file, why)| (planned.files[file].listed, why)).collect();
        if !failed.is_empty() && rounds > 0 {
            continue;
        }
        let is_other = encodings::note(&mut listing, &planned, identities.octets());
        leave_out_failed(&mut listing, &failed);
        if is_other || !failed.is_empty() {
            planned = plan(&listing);
            check_plan(&planned)?;
        }
        if planned.files.iter().any(|file| file.is_coded) {
            encoded::verify(&mut planned, &listing, &identities.bodies(), request.limits.bytes);
            check_plan(&planned)?;
        }
        let loaded = load::code(request, &listing, &planned, identities, previous);
        leave_out_stale(&mut listing, &planned, &loaded.unused);
        return Ok(Gathered { listing, plan: planned, loaded });
    }
}

fn leave_out_failed(listing: &mut Listing, failed: &HashMap<usize, &str>) {
    let Listing { files, skipped, .. } = listing;
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

/// Reports precompressed files that are not used as codings because they don't decode to the file
/// beside them, most likely an older version, or because browsers don't decode them. They are still
/// served under their own names.
fn leave_out_stale(listing: &mut Listing, plan: &SitePlan, unused: &[Unused]) {
    let Listing { files, skipped, .. } = listing;
    let name = |file: usize| &files[plan.files[file].listed].name;
    for unused in unused {
        let of = escaped(name(unused.of));
        let coding = unused.coding.name();
        match unused.reason {
            UnusedReason::Other => {
                skipped
                    .add(name(unused.file), &format_args!("it doesn't decode to {of} ({coding})"));
            }
            UnusedReason::Refused(why) => skipped.add(name(unused.file), &why),
            UnusedReason::TooLarge => {}
        }
    }
}

/// The text of a file with rules, if the root has it. It is wiped when it is dropped: it may have
/// passwords.
fn rules(
    root: &OpenRoot,
    listing: &Listing,
    name: &str,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(listed) = listing.files.iter().find(|file| file.name == name.as_bytes()) else {
        return Ok(None);
    };
    let what = format!("reading {}", root.shown_file(&listed.name));
    // This length bounds the read, even if the file has grown since it was listed.
    let Some(bytes) = usize::try_from(listed.bytes).ok().filter(|&bytes| bytes <= RULES_BYTES_MAX)
    else {
        let why =
            format!("it has {} bytes, and at most {RULES_BYTES_MAX} are allowed", listed.bytes);
        let hint = "combine rules: * matches anything, :name matches one segment";
        return Err(Failure::new(what, why, hint));
    };
    let mut text = Zeroizing::new(vec![0; bytes]);
    if let Err(why) = root.read(listed, &mut text) {
        let hint = "its rules may protect other files, so it is never left out; start again when \
                    the file is stable";
        return Err(Failure::new(what, why, hint));
    }
    String::from_utf8(std::mem::take(&mut *text)).map(Zeroizing::new).map(Some).map_err(|error| {
        let why = error.utf8_error();
        error.into_bytes().zeroize();
        Failure::new(what, why, "write it in UTF-8")
    })
}

/// Most bytes of a file with rules.
const RULES_BYTES_MAX: usize = 1 << 20;
/// Most listings of a root whose files keep changing.
const LISTED_TIMES_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::super::properties::request;
    use super::super::site_plan::RouteKind;
    use super::*;
    use crate::os::memory::{MemoryOwner, MemoryRoom};
    use std::cell::Cell;
    use std::path::{Path, PathBuf};

    /// A folder with files, removed on drop.
    struct TemporaryRoot(PathBuf);

    impl TemporaryRoot {
        fn new(name: &str, files: &[&str]) -> Self {
            let own =
                std::env::temp_dir().join(format!("uringstatic-{name}-{}", std::process::id()));
            for file in files {
                let path = own.join(file);
                std::fs::create_dir_all(path.parent().expect("a file has a folder"))
                    .expect("the test owns the folder");
                std::fs::write(path, file).expect("the test owns the folder");
            }
            Self(own)
        }

        /// Gathers the files. One file is replaced after each of the first `times` listings.
        fn gather(&self, changed: &str, times: u32) -> Result<(Gathered, u32), Failure> {
            let (left, listed) = (Cell::new(times), Cell::new(0));
            let request = request(self.0.clone());
            let root = OpenRoot::open(&request.root, request.resolver)?;
            let gathered = gather(&request, &root, None, |_| {
                listed.set(listed.get() + 1);
                if left.get() > 0 {
                    left.set(left.get() - 1);
                    // A new inode with the old length and name.
                    let new = Path::new(&self.0).join(".new");
                    std::fs::write(&new, format!("{:?}", left.get()).repeat(changed.len()))
                        .and_then(|()| std::fs::rename(new, self.0.join(changed)))
                        .expect("the test owns the folder");
                }
                Ok(())
            });
            gathered.map(|gathered| (gathered, listed.get()))
        }
    }

    impl Drop for TemporaryRoot {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn skipped(gathered: &Gathered) -> Vec<String> {
        gathered.listing.skipped.lines().collect()
    }

    #[test]
    fn a_site_larger_than_the_memory_that_is_left_is_not_read() {
        let root = TemporaryRoot::new("memory", &["a.html", "folder/b.html"]);
        let read = |bytes| {
            let memory = Some(MemoryRoom { bytes, owner: MemoryOwner::Machine });
            let request = BuildRequest { memory, ..request(root.0.clone()) };
            let opened = OpenRoot::open(&request.root, request.resolver)?;
            gather(&request, &opened, None, |_| Ok(()))
        };
        // 19 bytes of content, and the lines of two heads.
        assert!(read(238).is_ok(), "the codings are dropped");
        let failure = read(237).map(drop).expect_err("a byte is missing");
        assert_eq!(failure.why, "its files take 238 bytes, and the machine has 237 bytes left");
    }

    #[test]
    fn file_replaced_once_is_read_in_its_new_version() {
        let folder = TemporaryRoot::new("once", &["a.txt", "about.html"]);
        let (gathered, listed) = folder.gather("about.html", 1).expect("the folder is readable");
        assert_eq!((listed, skipped(&gathered)), (2, Vec::new()));
        let Loaded { fixed, bodies, .. } = &gathered.loaded;
        let text = |file: usize| String::from_utf8_lossy(&fixed[bodies[file][0].span.range()]);
        assert_eq!([text(0), text(1)], ["a.txt", "0000000000"]);
    }

    #[test]
    fn file_replaced_twice_is_left_out_and_frees_its_paths() {
        let folder = TemporaryRoot::new("often", &["a.txt", "about.html", "about/index.html"]);
        let (gathered, _) = folder.gather("about.html", 2).expect("the folder is readable");
        assert_eq!(skipped(&gathered), ["about.html: it changed while it was read"]);
        let Gathered { listing, plan, loaded } = &gathered;
        assert_eq!((listing.files.len(), plan.files.len(), loaded.bodies.len()), (2, 2, 2));
        let about = plan.routes.iter().find(|route| route.path == b"/about");
        assert_eq!(about.expect("the path of the folder").kind, RouteKind::Folder);
        let span = loaded.bodies[1][0].span;
        assert_eq!(&loaded.fixed[span.range()], b"about/index.html");
        let between = loaded.bodies[0][0].span.range().end..span.range().start - 110;
        assert!(between.len() > 10, "the room of the file and of its lines");
        assert!(loaded.fixed[between].iter().all(|&octet| octet == 0), "no byte of it is kept");
    }

    #[test]
    fn rules_modified_during_the_read_are_an_error() {
        let folder = TemporaryRoot::new("rules", &["_headers"]);
        let root = OpenRoot::open(&folder.0, crate::os::beneath::Resolver::default());
        let root = root.expect("the folder exists");
        let limits = request(PathBuf::new()).limits;
        let listing = walk::walk(&root, limits).expect("the folder is readable");
        std::fs::write(folder.0.join("_headers"), b"other").expect("the test owns the folder");
        let failure = rules(&root, &listing, HEADERS).expect_err("it changed");
        assert_eq!(failure.why, "it changed while it was read");
        assert!(failure.what.ends_with("/_headers"), "{failure}");
    }
}
