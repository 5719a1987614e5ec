//! Default caching: which files may be kept for a year without being asked for again.
//!
//! `immutable` can't be revoked (RFC 8246 2), so a file has it only if its name surely has a hash
//! of its content: by the form of the hash alone if that is hexadecimal ([`hash`](super::hash)), or
//! because nearly all files of its folder have such names, as only bundlers write them.

use super::hash::{is_hexadecimal_hash, is_word, last_tokens, stem};
use super::listing::Listing;
use std::collections::HashMap;

/// The default caching of a site's files.
#[derive(Debug, Default)]
pub(super) struct Caching {
    /// Folders whose own files are a bundler's output, with the length of their hashes.
    folders: HashMap<Box<[u8]>, usize>,
    /// Folders of which that is true with all folders below.
    trees: HashMap<Box<[u8]>, usize>,
}

impl Caching {
    /// Judges the folders of a listing.
    pub(super) fn of(listing: &Listing) -> Self {
        let mut folders: HashMap<&[u8], Counts> = HashMap::new();
        let mut trees: HashMap<&[u8], Counts> = HashMap::new();
        for file in &listing.files {
            let (folder, name) = split(&file.name);
            let Some(evidence) = Evidence::of(name) else { continue };
            folders.entry(folder).or_default().add(&evidence);
            for tree in ancestors(folder) {
                trees.entry(tree).or_default().add(&evidence);
            }
        }
        let judged = |counts: HashMap<&[u8], Counts>, may_be_single: bool| {
            let judged = counts.into_iter().filter_map(|(folder, counts)| {
                let is_single = may_be_single && is_named_like_output(folder);
                Some((folder.into(), counts.length(is_single)?))
            });
            judged.collect()
        };
        Self { folders: judged(folders, true), trees: judged(trees, false) }
    }

    /// The default `Cache-Control` of a file by its path from the root and its media type.
    pub(super) fn value(&self, path: &[u8], media_type: &str) -> Option<&'static str> {
        if media_type.starts_with("text/html") {
            Some("no-cache")
        } else if self.has_content_hash(path) {
            Some("public, max-age=31536000, immutable")
        } else {
            None
        }
    }

    fn has_content_hash(&self, path: &[u8]) -> bool {
        let (folder, name) = split(path);
        if has_named_hash(name) {
            return true;
        }
        let of_tree = || ancestors(folder).find_map(|tree| self.trees.get(tree));
        let Some(&length) = self.folders.get(folder).or_else(of_tree) else { return false };
        let Some(stem) = stem(name) else { return false };
        is_hexadecimal_hash(stem) || NameToken::of(stem, length) == Some(NameToken::Random)
    }
}

/// Whether a name has a hexadecimal hash behind another part: `app.1f3a09bc.js`.
fn has_named_hash(name: &[u8]) -> bool {
    last_tokens(name).any(is_hexadecimal_hash)
}

/// What a name says about its folder.
struct Evidence {
    /// For each length of [`LENGTHS`].
    tokens: [Option<NameToken>; LENGTHS.len()],
    is_code: bool,
}

impl Evidence {
    /// The evidence of a file that bundlers name by its content.
    fn of(name: &[u8]) -> Option<Self> {
        let dot = memchr::memrchr(b'.', name)?;
        let extension = name[dot + 1..].to_ascii_lowercase();
        let is_one_of = |list: &[&[u8]]| list.contains(&&*extension);
        let is_fixed = FIXED.iter().any(|fixed| name.starts_with(fixed));
        if is_fixed || !(is_one_of(CODE) || is_one_of(ASSETS)) {
            return None;
        }
        let stem = stem(name)?;
        let is_hash = has_named_hash(name) || is_hexadecimal_hash(stem);
        let hash = is_hash.then_some(NameToken::Random);
        let token = |length| hash.or_else(|| NameToken::of(stem, length));
        Some(Self { tokens: LENGTHS.map(token), is_code: is_one_of(CODE) })
    }
}

/// The end of a stem that has the form of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameToken {
    /// Nothing that a human writes.
    Random,
    /// A word, a number, a size or a mixture of them.
    Word,
}

impl NameToken {
    /// The last `length` octets, if they are base64url (RFC 4648 5) and follow a dash or a dot, or
    /// are the whole stem.
    fn of(stem: &[u8], length: usize) -> Option<Self> {
        let at = stem.len().checked_sub(length)?;
        let token = &stem[at..];
        let is_base64url = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_".contains(octet);
        let is_separated = at == 0 || b"-.".contains(&stem[at - 1]);
        if !is_separated || !token.iter().all(is_base64url) {
            return None;
        }
        Some(if is_word(token) { Self::Word } else { Self::Random })
    }
}

/// The files of a folder that bundlers name by their content.
#[derive(Default)]
struct Counts {
    files: usize,
    /// Random tokens, and words, by length.
    random: [usize; LENGTHS.len()],
    words: [usize; LENGTHS.len()],
    has_code: bool,
}

impl Counts {
    fn add(&mut self, evidence: &Evidence) {
        self.files += 1;
        for (index, token) in evidence.tokens.iter().enumerate() {
            match token {
                Some(NameToken::Random) => self.random[index] += 1,
                Some(NameToken::Word) => self.words[index] += 1,
                None => {}
            }
        }
        self.has_code |= evidence.is_code && evidence.tokens.contains(&Some(NameToken::Random));
    }

    /// The length of the hashes if nearly all names have one. Nine of ten names must have a token
    /// of that length; three of four tokens must be random (of hashes in base64url 96 % are, in
    /// base32 90 %); and one must be that of code, since pictures alone are named by anything.
    fn length(&self, may_be_single: bool) -> Option<usize> {
        let best =
            (0..LENGTHS.len()).max_by_key(|&index| (self.random[index], LENGTHS.len() - index));
        let best = best.expect("there are lengths");
        let (random, words) = (self.random[best], self.words[best]);
        let tokens = random + words;
        let is_output = self.has_code
            && tokens * 10 >= self.files * 9
            && random * 4 >= tokens * 3
            && (self.files > 1 || may_be_single);
        is_output.then_some(LENGTHS[best])
    }
}

/// Whether one file in the folder is enough: `assets` is the name of Vite's, and `_astro`, `_app`
/// and `_nuxt` are those of others.
fn is_named_like_output(folder: &[u8]) -> bool {
    let name = folder.rsplit(|&octet| octet == b'/').next().unwrap_or(folder);
    name == b"assets" || name.starts_with(b"_")
}

/// The folder and the name of a path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    }
}

/// The folder, its parent, and so on up to the root, which is empty.
fn ancestors(folder: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(folder), |folder| (!folder.is_empty()).then(|| split(folder).0))
}

/// Lengths of hashes: of Vite, Rollup, esbuild, Parcel, Astro and Nuxt; of Rsbuild; of
/// Turbopack; and of webpack, cut or whole.
const LENGTHS: [usize; 5] = [8, 10, 13, 16, 20];
const CODE: &[&[u8]] = &[b"js", b"mjs", b"css"];
const ASSETS: &[&[u8]] = &[
    b"woff2", b"woff", b"ttf", b"otf", b"eot", b"svg", b"png", b"jpg", b"jpeg", b"gif", b"webp",
    b"avif", b"ico", b"wasm", b"mp4", b"webm", b"mp3",
];
/// Beginnings of names that browsers or scripts prescribe, so that no bundler changes them.
const FIXED: &[&[u8]] = &[
    b"favicon",
    b"apple-touch-icon",
    b"android-chrome",
    b"mstile-",
    b"sw.",
    b"service-worker.",
    b"ngsw-worker.",
    b"registerSW.",
];

#[cfg(test)]
mod tests {
    use super::super::listing::Listed;
    use super::*;
    use std::collections::BTreeMap;

    fn listing(names: &[&str]) -> Listing {
        let listed = |name: &&str| Listed { name: name.as_bytes().to_vec(), ..Listed::default() };
        Listing { files: names.iter().map(listed).collect(), ..Listing::default() }
    }

    /// The files with a content hash.
    fn hashed<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let caching = Caching::of(&listing(names));
        names.iter().filter(|name| caching.has_content_hash(name.as_bytes())).copied().collect()
    }

    /// Files that hosts were reported to have cached for ever, and others like them.
    #[test]
    fn names_made_of_words_are_no_hashes() {
        let names = [
            "assets/logo-LinkedIn.svg",
            "assets/badge-AppStore.svg",
            "assets/resume-JohnDoe1.pdf",
            "img/intro-face2face.mp4",
            "js/runtime-deadbee1.js",
        ];
        assert_eq!(hashed(&names), [""; 0]);
        let others = [
            "assets/style-Template.css",
            "assets/script-JohnDoe1.js",
            "assets/photo-iPhone15.jpg",
            "assets/banner-1024x768.png",
            "_img/flyer-Summer23.png",
            "img/trip-12dec2024.jpg",
            "img/menu-cafe2024.png",
            "img/swatch-ff8800aa.png",
            "img/550e8400-e29b-41d4-a716-4466554400ab.jpg",
        ];
        assert_eq!(hashed(&others), [""; 0]);
    }

    #[test]
    fn words_beside_hashes_are_no_hashes() {
        let mut names = vec!["assets/logo-LinkedIn.svg", "assets/cv-JohnDoe1.pdf"];
        let built = [
            "assets/index-BkQ9aX2z.js",
            "assets/index-C5-pQ8_a.css",
            "assets/vendor-w1cZ21gg.js",
            "assets/react-CHdo91hT.svg",
            "assets/about-DddasoM7.svg",
            "assets/about-Dneum8iN.js",
            "assets/home-DWrCM6Je.css",
            "assets/home-TZrNw7dA.js",
            "assets/user-C1TJgWje.js",
            "assets/user-C1TJgWjf.js.map",
        ];
        names.extend(built);
        assert_eq!(hashed(&names), built);
        names.extend(["assets/logo.svg", "assets/photo.jpg"]);
        assert_eq!(hashed(&names), [""; 0], "a sixth of the names has no hash");
    }

    #[test]
    fn hashes_without_a_name_count_in_the_output_of_a_bundler_only() {
        let built = ["_app/immutable/chunks/w1cZ21gg.js", "_app/immutable/chunks/BPJHYaU4.js"];
        assert_eq!(hashed(&built), built);
        assert_eq!(hashed(&["js/w1cZ21gg.js", "js/main.js"]), [""; 0]);
        let next =
            ["_next/static/css/6f3421a3fe242650.css", "_next/static/chunks/0cz1d0mv5g_q7.js"];
        assert_eq!(hashed(&next), next);
        assert_eq!(hashed(&["photos/6f3421a3fe242650.jpg", "photos/a.jpg"]), [""; 0]);
        let pictures = ["img/a-w1cZ21gg.png", "img/b-BPJHYaU4.png", "img/c-vCvqh3ej.png"];
        assert_eq!(hashed(&pictures), [""; 0], "no code");
    }

    #[test]
    fn single_file_is_judged_in_folders_of_bundlers() {
        for (name, expected) in [
            ("_astro/page.Cx81bTq0.css", true),
            ("assets/index-BkQ9aX2z.js", true),
            ("assets/index-BkQ9aX2z.png", false),
            ("js/index-BkQ9aX2z.js", false),
        ] {
            assert_eq!(!hashed(&[name]).is_empty(), expected, "{name}");
        }
    }

    /// Sites that bundlers and generators built, with the number of files, of those that the
    /// generator named by their content, and of those of them that are found. A file that isn't
    /// named by its content is never found.
    const BUILT: &[(&str, usize, usize, usize)] = &[
        ("Astro 5", 37, 36, 35),
        ("Docusaurus 3", 38, 37, 37),
        ("MkDocs with Material", 46, 8, 8),
        ("Next 15, webpack, static export", 49, 46, 46),
        ("Next 16, Turbopack, static export", 44, 40, 40),
        ("Parcel 2", 74, 74, 72),
        ("PyPI dagster-webserver 1.13.28 (Next)", 150, 147, 145),
        ("PyPI jupyterlab 4.6.6 (Rspack)", 120, 117, 117),
        ("PyPI locust 2.47.0 (Vite)", 8, 1, 0),
        ("PyPI marimo 0.25.2 (Vite)", 150, 148, 145),
        ("PyPI streamlit 1.67.0 (Vite)", 150, 149, 143),
        ("Rollup 4", 18, 18, 18),
        ("Sphinx with Furo", 50, 0, 0),
        ("SvelteKit 2", 45, 43, 40),
        ("Vite 8", 49, 47, 44),
        ("esbuild", 47, 47, 42),
        ("npm @bull-board/ui 9.10.2 (Rsbuild)", 83, 67, 65),
        ("npm @nuxt/devtools 3.4.4 (Nuxt)", 60, 59, 56),
        ("npm @rsdoctor/client 2.0.2 (Rsbuild)", 12, 12, 12),
        ("npm @verdaccio/ui-theme 3.4.1 (webpack)", 35, 34, 34),
        ("npm vite-plugin-inspect 12.1.0 (Vite)", 21, 20, 19),
        ("webpack 5", 44, 44, 41),
    ];

    #[test]
    fn output_of_bundlers_is_found_and_nothing_else() {
        let mut sections: BTreeMap<&str, Vec<(bool, &str)>> = BTreeMap::new();
        let mut section = "";
        for line in include_str!("../../../tests/data/bundlers.txt").lines() {
            match line.split_at(2) {
                ("# ", _) => {}
                ("= ", name) => section = name,
                (mark, name) => sections.entry(section).or_default().push((mark == "+ ", name)),
            }
        }
        let mut found = Vec::new();
        for (section, files) in &sections {
            let all: Vec<&str> = files.iter().map(|(_, name)| *name).collect();
            let hits = hashed(&all);
            let by_content = files.iter().filter(|(is_named, _)| *is_named);
            let by_content: Vec<&str> = by_content.map(|(_, name)| *name).collect();
            let wrong: Vec<_> = hits.iter().filter(|name| !by_content.contains(name)).collect();
            assert!(wrong.is_empty(), "{section}: {wrong:?}");
            found.push((*section, all.len(), by_content.len(), hits.len()));
        }
        assert_eq!(found, BUILT);
    }
}
