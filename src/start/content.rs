//! The content: opened as the user that serves it, then read, while nothing else can be opened.

use super::feature::Feature;
use super::settings::StartSettings;
use crate::error::Failure;
use crate::http::media_type::{self, OctetsScan};
use crate::os::beneath::{self, Resolver, Stamp};
use crate::os::landlock::Hierarchy;
use crate::os::memory::MemoryRoom;
use crate::os::pages::Pages;
use crate::os::privileges::Account;
use crate::os::process;
use crate::os::terminal;
use crate::site::build::dates::last_modified;
use crate::site::build::escape::escaped_path;
use crate::site::build::site_plan::SitePlan;
use crate::site::build::{self, BuildRequest, MadeCodings, OpenRoot, PreviousCodings};
use crate::site::{Page, Site};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What the content is read from.
pub(super) enum ContentSource {
    /// Nothing that has to be opened.
    BuiltIn,
    /// The file of a page, and the memory that it must fit in.
    Page(File, Option<MemoryRoom>),
    /// A folder, and how it is read.
    Root(OpenRoot, Box<BuildRequest>),
}

/// The content, ready to be served.
pub(super) struct Content {
    pub(super) site: Site,
    /// The buffer that responses are sent from.
    pub(super) fixed: Pages,
    /// The content in words, for the ready line.
    pub(super) what: String,
    /// The codings that were made, for the next generation.
    pub(super) codings: MadeCodings,
}

impl ContentSource {
    /// Opens the content that the settings name.
    ///
    /// # Errors
    /// If there is none, or this user may not read it.
    pub(super) fn open(settings: &StartSettings) -> Result<Self, Failure> {
        match (&settings.root, &settings.page) {
            (Some(root), _) => {
                let request = root_request(settings, root);
                Ok(Self::Root(build::open(&request)?, Box::new(request)))
            }
            (None, Some(path)) => {
                let file = beneath::open_named(path).map_err(|error| unreadable(path, &error))?;
                Ok(Self::Page(file, MemoryRoom::at_present()))
            }
            (None, None) => Ok(Self::BuiltIn),
        }
    }

    /// The folders beneath which files will be opened, and other files that will be.
    pub(super) fn hierarchies(&self) -> Vec<Hierarchy<'_>> {
        match self {
            Self::Root(root, _) => root.hierarchies(),
            Self::Page(..) | Self::BuiltIn => Vec::new(),
        }
    }

    /// Reads it and builds its responses. The codings of the previous generation are taken over
    /// for unchanged files.
    ///
    /// # Errors
    /// If it can't be read, or there is too little memory.
    pub(super) fn read(
        self,
        settings: &StartSettings,
        previous: Option<PreviousCodings>,
    ) -> Result<Content, Failure> {
        match self {
            Self::Root(root, request) => read_root(settings, &root, &request, previous),
            Self::Page(file, memory) => read_page(settings, Some((&file, memory))),
            Self::BuiltIn => read_page(settings, None),
        }
    }
}

fn root_request(settings: &StartSettings, root: &Path) -> BuildRequest {
    let mut request =
        BuildRequest::new(root, &settings.root_options, &settings.added_fields(), settings.slots());
    request.memory = MemoryRoom::at_present();
    request.progress = !settings.quiet && io::stderr().is_terminal();
    if settings.without.contains(&Feature::Openat2) {
        request.resolver = Resolver::ByComponent;
    }
    request
}

/// Reads a folder and builds its responses. Reports each file that is left out, even if `quiet` is
/// set: a response would be missing.
fn read_root(
    settings: &StartSettings,
    opened: &OpenRoot,
    request: &BuildRequest,
    previous: Option<PreviousCodings>,
) -> Result<Content, Failure> {
    let root = &request.root;
    process::use_one_arena();
    let read = build::read_opened(request, opened, previous)?;
    for skipped in read.listing.skipped.lines() {
        terminal::err(format_args!("uringstatic: left out {skipped}"));
    }
    report_rules(&read.plan, root, settings.quiet);
    if read.is_empty() {
        terminal::err(format_args!("uringstatic: {}", build::nothing_to_serve(root)));
    }
    if !settings.quiet {
        let root = escaped_path(root);
        terminal::err(format_args!("uringstatic: read {root}: {}", read.summary));
    }
    let build::Root { tree, fixed, plan, listing, bodies, codings, summary: _ } = read;
    drop((plan, listing, bodies));
    process::release_freed_memory();
    Ok(Content { site: Site::of_tree(tree), fixed, what: escaped_path(root), codings })
}

/// Reports how many lines of rules are left out, and how many have no effect unless `quiet` is set.
fn report_rules(plan: &SitePlan, root: &Path, quiet: bool) {
    let root = escaped_path(root);
    let lines = |count: usize| match count {
        1 => "1 line of _redirects and _headers".to_owned(),
        many => format!("{many} lines of _redirects and _headers"),
    };
    let is = |count: usize| if count == 1 { "is" } else { "are" };
    let left_out = plan.left_out.len();
    if left_out > 0 {
        let (lines, is) = (lines(left_out), is(left_out));
        terminal::err(format_args!(
            "uringstatic: {lines} {is} left out; `uringstatic check {root}` lists each with its \
             reason"
        ));
    }
    let warnings = plan.warnings.len();
    if warnings > 0 && !quiet {
        let (lines, is) = (lines(warnings), is(warnings));
        terminal::err(format_args!(
            "uringstatic: {lines} {is} without effect; `uringstatic check {root}` lists each with \
             its reason"
        ));
    }
}

/// Reads the page and builds its responses.
fn read_page(
    settings: &StartSettings,
    file: Option<(&File, Option<MemoryRoom>)>,
) -> Result<Content, Failure> {
    let content = |(site, fixed), what| {
        let codings = MadeCodings::default();
        Ok(Content { site, fixed, what, codings })
    };
    let mut page = Page::built_in();
    page.status = settings.status;
    page.headers = settings.added_fields();
    let (Some(path), Some((file, memory))) = (&settings.page, file) else {
        page.content_type = settings.content_type.clone().unwrap_or(page.content_type);
        let bytes = Page::BUILT_IN.len() as u64;
        let built = Site::build(page, bytes, settings.slots(), Pages::zeroed, |place| {
            place.copy_from_slice(Page::BUILT_IN);
            Ok(())
        })
        .expect("copying does not fail");
        return content(built, format!("the built-in page ({bytes} bytes)"));
    };
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(unreadable(path, &io::Error::other("it is not a regular file")));
    }
    let bytes = metadata.len();
    if let Some(room) = memory.filter(|room| room.bytes < bytes) {
        let why = format!("it has {bytes} bytes, and {} has {} left", room.owner, room.bytes);
        return Err(unreadable(path, &io::Error::new(io::ErrorKind::OutOfMemory, why)));
    }
    let stamp = Stamp::of(&metadata);
    page.last_modified = last_modified(&stamp);
    page.content_type = match &settings.content_type {
        Some(content_type) => content_type.clone(),
        None => media_type_of(path, file, bytes).map_err(|error| unreadable(path, &error))?,
    };
    let read = |place: &mut [u8]| beneath::read_whole(file, &stamp, place);
    let built = Site::build(page, bytes, settings.slots(), Pages::zeroed, read)
        .map_err(|error| unreadable(path, &error))?;
    content(built, format!("{} ({bytes} bytes)", path.display()))
}

/// The media type of a page of `bytes` bytes, which is read in pieces for it.
fn media_type_of(path: &Path, file: &File, bytes: u64) -> io::Result<String> {
    let name = path.as_os_str().as_bytes();
    let mut scan = OctetsScan::default();
    if media_type::depends_on_octets(name) {
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        while at < bytes {
            let count = file.read_at(&mut piece, at)?;
            if count == 0 {
                break;
            }
            scan.push(&piece[..count]);
            at += count as u64;
        }
    }
    Ok(media_type::of_file(name, scan.kind()))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let what = format!("reading the page {path}");
    if error.kind() == io::ErrorKind::PermissionDenied {
        let hint = format!(
            "`namei -l {path}` shows which permission is missing; chmod(1) or chown(1) changes \
             that, and --user selects another user"
        );
        let why = format!("{} can't read it ({error})", Account::current());
        return Failure::new(what, why, hint);
    }
    if error.kind() == io::ErrorKind::OutOfMemory {
        return Failure::new(what, error, "serve a smaller file, or give the machine more memory");
    }
    let hint = format!("`ls -lL {path}` shows its type; the page must be a regular file");
    Failure::new(what, error, hint)
}

const PIECE_BYTES: usize = 64 * 1024;
