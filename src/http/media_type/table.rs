//! The media types of file name extensions, as the web uses them in 2026.
//!
//! Sources, the earlier before the later: an RFC or the WHATWG's standards, IANA's registry, and
//! for the rest the type that programs read the format by. A test compares every extension with
//! those of the npm package `mime-db` and holds a reason for each difference. An extension that
//! isn't here is `application/octet-stream`: under `nosniff`, a wrong type breaks what would have
//! worked, and no type only downloads it.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The media type of an extension in lower case.
pub(super) fn of_extension(extension: &str) -> Option<&'static str> {
    static BY_EXTENSION: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| extensions().collect());
    BY_EXTENSION.get(extension).copied()
}

/// Every extension with its media type.
pub(super) fn extensions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = TYPES.iter();
    rows.flat_map(|(media_type, extensions)| {
        extensions.split(' ').map(move |extension| (extension, *media_type))
    })
}

/// Media types with their extensions, in lower case and separated by spaces.
const TYPES: &[(&str, &str)] = &[
    // Documents of the web (HTML 17.1; RFC 9239 6 for scripts, whatever their module system).
    ("text/html", "html htm shtml"),
    ("application/xhtml+xml", "xhtml xht"),
    ("text/css", "css"),
    ("text/javascript", "js mjs cjs"),
    ("application/wasm", "wasm"),
    ("application/json", "json map har topojson"),
    ("application/manifest+json", "webmanifest"),
    ("application/ld+json", "jsonld"),
    ("application/geo+json", "geojson"),
    ("application/x-ipynb+json", "ipynb"),
    ("application/json5", "json5"),
    ("application/x-ns-proxy-autoconfig", "pac"),
    ("application/x-web-app-manifest+json", "webapp"),
    ("application/zip+dotlottie", "lottie"),
    ("application/x-ndjson", "ndjson jsonl"),
    ("text/cache-manifest", "appcache manifest"),
    ("text/vtt", "vtt"),
    ("text/wgsl", "wgsl"),
    // XML (RFC 7303): `text/xml` and `application/xml` are one type.
    ("text/xml", "xml"),
    ("application/xml", "xsd rng plist"),
    ("application/xml-dtd", "dtd"),
    ("application/xslt+xml", "xsl xslt"),
    ("application/rss+xml", "rss"),
    ("application/atom+xml", "atom"),
    ("application/rdf+xml", "rdf owl"),
    ("application/mathml+xml", "mathml"),
    ("application/gpx+xml", "gpx"),
    ("application/gml+xml", "gml"),
    ("application/vnd.google-earth.kml+xml", "kml"),
    ("application/vnd.recordare.musicxml+xml", "musicxml"),
    ("application/ttml+xml", "ttml"),
    ("application/wsdl+xml", "wsdl"),
    ("application/xliff+xml", "xlf"),
    ("application/xspf+xml", "xspf"),
    ("application/ssml+xml", "ssml"),
    ("application/sparql-results+xml", "srx"),
    ("application/metalink+xml", "metalink"),
    ("application/metalink4+xml", "meta4"),
    ("application/oebps-package+xml", "opf"),
    ("application/x-dtbncx+xml", "ncx"),
    ("application/dash+xml", "mpd"),
    ("application/smil+xml", "smi smil"),
    ("application/tei+xml", "tei"),
    ("application/docbook+xml", "dbk"),
    ("application/opensearchdescription+xml", "osdx"),
    ("application/xaml+xml", "xaml"),
    ("text/x-opml", "opml"),
    // Text. Source code is `text/plain`: a browser shows it instead of downloading it.
    (
        "text/plain",
        "txt text log conf cfg ini def list in properties lock env diff patch rst adoc org po \
         sha1 sha256 sha512 sha256sum md5 jsonc cts tsx jsx vue svelte coffee ls less scss sass \
         styl stylus hbs jade pug c h cc cpp cxx hh hpp rs go py pyi rb pl pm sh bash zsh fish csh \
         ps1 java kt kts scala groovy gradle swift cs fs lua r jl hs erl ex exs clj nim zig dart \
         asm s f f77 f90 for tcl sql graphql gql proto glsl vert frag hlsl wat tex latex bib sty \
         cmake mk tf hcl awk vim el lisp scm",
    ),
    ("text/markdown", "md markdown"),
    ("text/mdx", "mdx"),
    ("text/csv", "csv"),
    ("text/tab-separated-values", "tsv"),
    ("text/calendar", "ics ifb"),
    ("text/vcard", "vcf vcard"),
    ("text/uri-list", "uri uris urls"),
    ("text/vnd.graphviz", "gv"),
    ("text/vnd.familysearch.gedcom", "ged"),
    ("text/troff", "roff man"),
    ("text/spdx", "spdx"),
    ("application/yaml", "yaml yml"),
    ("application/toml", "toml"),
    ("application/x-subrip", "srt"),
    ("text/turtle", "ttl"),
    ("text/n3", "n3"),
    ("application/n-triples", "nt"),
    ("application/n-quads", "nq"),
    ("application/trig", "trig"),
    ("application/sparql-query", "rq"),
    ("application/vnd.chess-pgn", "pgn"),
    ("application/rtf", "rtf"),
    // Images.
    ("image/png", "png"),
    ("image/apng", "apng"),
    ("image/jpeg", "jpg jpeg jpe jfif pjpeg pjp"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/avif", "avif avifs"),
    ("image/jxl", "jxl"),
    ("image/svg+xml", "svg svgz"),
    ("image/vnd.microsoft.icon", "ico cur"),
    ("image/bmp", "bmp dib"),
    ("image/tiff", "tif tiff"),
    ("image/heic", "heic"),
    ("image/heic-sequence", "heics"),
    ("image/heif", "heif"),
    ("image/heif-sequence", "heifs"),
    ("image/jp2", "jp2 jpg2"),
    ("image/jpx", "jpx jpf"),
    ("image/jxr", "jxr"),
    ("image/vnd.ms-photo", "wdp"),
    ("image/vnd.adobe.photoshop", "psd"),
    ("image/vnd.djvu", "djvu djv"),
    ("image/vnd.dwg", "dwg"),
    ("image/vnd.dxf", "dxf"),
    ("image/vnd.ms-dds", "dds"),
    ("image/vnd.radiance", "hdr"),
    ("image/ktx", "ktx"),
    ("image/ktx2", "ktx2"),
    ("image/aces", "exr"),
    ("image/fits", "fits"),
    ("image/cgm", "cgm"),
    ("image/emf", "emf"),
    ("image/wmf", "wmf"),
    ("image/x-adobe-dng", "dng"),
    ("image/x-tga", "tga"),
    ("image/x-portable-anymap", "pnm"),
    ("image/x-portable-bitmap", "pbm"),
    ("image/x-portable-graymap", "pgm"),
    ("image/x-portable-pixmap", "ppm"),
    ("image/x-xbitmap", "xbm"),
    ("image/x-xpixmap", "xpm"),
    // Fonts (RFC 8081).
    ("font/woff2", "woff2"),
    ("font/woff", "woff"),
    ("font/ttf", "ttf"),
    ("font/otf", "otf"),
    ("font/collection", "ttc"),
    ("application/vnd.ms-fontobject", "eot"),
    // Sound and films.
    ("audio/mpeg", "mp3 mp2 mp2a mpga m2a m3a"),
    ("audio/mp4", "m4a m4b mp4a cmfa"),
    ("audio/aac", "aac adts"),
    ("audio/ogg", "ogg oga opus spx"),
    ("audio/flac", "flac"),
    ("audio/wav", "wav"),
    ("audio/webm", "weba"),
    ("audio/midi", "mid midi kar rmi"),
    ("audio/x-aiff", "aif aiff aifc"),
    ("audio/basic", "au snd"),
    ("audio/amr", "amr"),
    ("audio/matroska", "mka"),
    ("audio/x-caf", "caf"),
    ("audio/x-ms-wma", "wma"),
    ("audio/x-mpegurl", "m3u"),
    ("audio/x-scpls", "pls"),
    ("video/mp4", "mp4 mp4v mpg4 cmfv"),
    ("video/x-m4v", "m4v"),
    ("video/iso.segment", "m4s"),
    ("video/webm", "webm"),
    ("video/ogg", "ogv"),
    ("video/matroska", "mkv"),
    ("video/matroska-3d", "mk3d"),
    ("video/quicktime", "mov qt"),
    ("video/mpeg", "mpg mpeg mpe m1v m2v"),
    ("video/mp2t", "ts mts m2ts m2t"),
    ("video/3gpp", "3gp 3gpp"),
    ("video/3gpp2", "3g2"),
    ("video/x-msvideo", "avi"),
    ("video/x-ms-wmv", "wmv"),
    ("video/x-ms-asf", "asf asx"),
    ("video/x-flv", "flv"),
    ("video/x-f4v", "f4v"),
    ("video/mj2", "mj2 mjp2"),
    ("application/vnd.apple.mpegurl", "m3u8"),
    ("application/ogg", "ogx"),
    // Models.
    ("model/gltf-binary", "glb vrm"),
    ("model/gltf+json", "gltf"),
    ("model/vnd.usdz+zip", "usdz"),
    ("model/vnd.usda", "usda"),
    ("model/stl", "stl"),
    ("model/obj", "obj"),
    ("model/mtl", "mtl"),
    ("model/3mf", "3mf"),
    ("model/step", "step stp"),
    ("model/iges", "iges igs"),
    ("model/u3d", "u3d"),
    ("model/vrml", "wrl vrml"),
    ("model/x3d+xml", "x3d"),
    ("model/vnd.collada+xml", "dae"),
    ("application/vnd.autodesk.fbx", "fbx"),
    ("application/x-blender", "blend"),
    // Papers.
    ("application/pdf", "pdf"),
    ("application/postscript", "ps eps ai"),
    ("application/epub+zip", "epub"),
    ("application/x-dvi", "dvi"),
    ("application/x-mobipocket-ebook", "mobi prc"),
    ("application/vnd.amazon.ebook", "azw"),
    ("application/vnd.comicbook+zip", "cbz"),
    ("application/vnd.comicbook-rar", "cbr"),
    ("application/msword", "doc dot"),
    ("application/vnd.ms-word.document.macroenabled.12", "docm"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.template", "dotx"),
    ("application/vnd.ms-excel", "xls xlt xla xlw"),
    ("application/vnd.ms-excel.sheet.macroenabled.12", "xlsm"),
    ("application/vnd.ms-excel.sheet.binary.macroenabled.12", "xlsb"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.template", "xltx"),
    ("application/vnd.ms-powerpoint", "ppt pps pot"),
    ("application/vnd.ms-powerpoint.presentation.macroenabled.12", "pptm"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.slideshow", "ppsx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.template", "potx"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.oasis.opendocument.text-template", "ott"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.spreadsheet-template", "ots"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.presentation-template", "otp"),
    ("application/vnd.oasis.opendocument.graphics", "odg"),
    ("application/vnd.oasis.opendocument.formula", "odf"),
    ("application/vnd.oasis.opendocument.chart", "odc"),
    ("application/vnd.apple.pages", "pages"),
    ("application/vnd.apple.numbers", "numbers"),
    ("application/vnd.apple.keynote", "key"),
    ("application/vnd.visio", "vsd vsdx vst vss"),
    ("application/vnd.ms-project", "mpp"),
    ("application/vnd.ms-outlook", "msg"),
    ("application/vnd.ms-htmlhelp", "chm"),
    ("application/vnd.ms-xpsdocument", "xps"),
    ("application/oxps", "oxps"),
    ("application/onenote", "one onetoc onetoc2"),
    ("application/vnd.recordare.musicxml", "mxl"),
    ("application/vnd.google-earth.kmz", "kmz"),
    ("message/rfc822", "eml mime mht mhtml"),
    ("application/mbox", "mbox"),
    // Data.
    ("application/vnd.sqlite3", "sqlite sqlite3"),
    ("application/vnd.apache.parquet", "parquet"),
    ("application/vnd.apache.arrow.file", "arrow"),
    ("application/vnd.apache.arrow.stream", "arrows"),
    ("application/vnd.pmtiles", "pmtiles"),
    ("application/vnd.mapbox-vector-tile", "mvt"),
    ("application/cbor", "cbor"),
    ("application/dicom", "dcm"),
    ("application/vnd.tcpdump.pcap", "pcap cap dmp"),
    // Archives and programs.
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/zstd", "zst"),
    ("application/x-bzip2", "bz2 boz"),
    ("application/x-xz", "xz"),
    ("application/x-tar", "tar"),
    ("application/x-7z-compressed", "7z"),
    ("application/vnd.rar", "rar"),
    ("application/vnd.ms-cab-compressed", "cab"),
    ("application/java-archive", "jar war ear"),
    ("application/x-java-jnlp-file", "jnlp"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/vnd.debian.binary-package", "deb udeb"),
    ("application/x-redhat-package-manager", "rpm"),
    ("application/vnd.flatpak", "flatpak"),
    ("application/vnd.flatpak.ref", "flatpakref"),
    ("application/vnd.snap", "snap"),
    ("application/x-apple-diskimage", "dmg"),
    ("application/x-apple-aspen-config", "mobileconfig"),
    ("application/vnd.apple.pkpass", "pkpass"),
    ("application/vnd.apple.pkpasses", "pkpasses"),
    ("application/vnd.apple.installer+xml", "mpkg"),
    ("application/x-chrome-extension", "crx"),
    ("application/x-xpinstall", "xpi"),
    ("application/x-ms-application", "application"),
    ("application/x-silverlight-app", "xap"),
    ("application/appx", "appx"),
    ("application/appxbundle", "appxbundle"),
    ("application/appinstaller", "appinstaller"),
    ("application/msix", "msix"),
    ("application/msixbundle", "msixbundle"),
    ("application/x-shockwave-flash", "swf"),
    ("application/x-bittorrent", "torrent"),
    // Keys and certificates.
    ("application/x-x509-ca-cert", "crt der pem"),
    ("application/pkix-cert", "cer"),
    ("application/pkix-crl", "crl"),
    ("application/pkcs8", "p8"),
    ("application/pkcs10", "p10 csr"),
    ("application/x-pkcs12", "p12 pfx"),
    ("application/x-pkcs7-certificates", "p7b spc"),
    ("application/pkcs7-mime", "p7m p7c"),
    ("application/pkcs7-signature", "p7s"),
    ("application/pgp-signature", "asc sig"),
    ("application/pgp-encrypted", "pgp gpg"),
];

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// The facts of `mime-db`: each extension with its types.
    fn facts() -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut facts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in include_str!("../../../tests/data/mime-db.txt").lines() {
            let Some((media_type, extensions)) = line.split_once(' ') else { continue };
            if media_type != "#" {
                extensions.split(' ').for_each(|it| facts.entry(it).or_default().push(media_type));
            }
        }
        facts
    }

    /// The extensions whose type isn't any of `mime-db`'s, with the reason.
    const DIFFERENCES: &[(&str, &str)] = &[
        ("cjs", "RFC 9239: a script; under nosniff a browser runs no application/node"),
        ("flac", "RFC 9639 registers audio/flac"),
        ("mk3d mka mkv", "RFC 9559 registers these"),
        ("vcf", "RFC 6350 registers text/vcard"),
        ("yaml yml", "RFC 9512 registers application/yaml"),
        ("cbr cbz deb pgn udeb", "IANA has these types by now"),
        ("jfif", "the same format as .jpg; image/pjpeg was a name of Internet Explorer"),
        ("pls", "a playlist in the form of an INI file, not the XML of RFC 4267"),
        (
            "asm c cc coffee cpp csh cxx dart f f77 f90 for h hbs hh jade java jsx latex less lua \
             pl pm s sass scss sh sql styl stylus tcl tex",
            "source code is shown, not downloaded or refused",
        ),
        ("org rs scm", "source code, far more often than RLS services and files of Lotus"),
    ];

    /// Formats of `mime-db` with a type for text, pictures, sound, films, letters or models that
    /// neither browsers nor the tools of the web read.
    const RARE: &str = "210 adp avci avcs dpx drle g3 h261 h263 h264 hej2 ief jaii jais jhc jls \
         jpgm jpgv jph jpm jt jxra jxrs jxs jxsc jxsi jxss litcoffee me mesh mml ms msh mxmf p21 \
         rtx s3m sgi sgm sgml shex sil silo slim slm stpnc stpx stpxz stpz t t38 tfx tr x3db x3dbz \
         x3dv x3dvz x3dz xm";

    #[test]
    fn each_difference_to_mime_db_has_a_reason() {
        let facts = facts();
        assert_eq!(facts.len(), 1239, "all facts are read");
        let of_mime_db = |extension: &str, media_type: &str| {
            facts.get(extension).is_none_or(|types| types.contains(&media_type))
        };
        let differ: BTreeSet<&str> = extensions()
            .filter(|(extension, media_type)| !of_mime_db(extension, media_type))
            .map(|(extension, _)| extension)
            .collect();
        let reasoned = DIFFERENCES.iter().flat_map(|(extensions, _)| extensions.split(' '));
        assert_eq!(differ, reasoned.collect());
    }

    /// The rest of `mime-db` consists of the formats of single programs, for which `mime-db` has
    /// types below `application`, of vendors (`vnd.`), unregistered (`x-`) or personal (`prs.`).
    #[test]
    fn extensions_of_the_web_are_in_the_table() {
        let is_of_a_program = |media_type: &&str| {
            let (main, sub) = media_type.split_once('/').expect("a type and a subtype");
            !["text", "image", "audio", "video", "font", "model"].contains(&main)
                || ["vnd.", "x-", "prs."].iter().any(|tree| sub.starts_with(tree))
        };
        let missing: BTreeSet<&str> = facts()
            .into_iter()
            .filter(|(extension, types)| {
                of_extension(extension).is_none() && !types.iter().all(is_of_a_program)
            })
            .map(|(extension, _)| extension)
            .collect();
        assert_eq!(missing, RARE.split(' ').collect());
    }

    #[test]
    fn table_has_each_extension_once_and_valid_types() {
        let mut known = BTreeSet::new();
        for (extension, media_type) in extensions() {
            assert!(known.insert(extension), "{extension} is there twice");
            assert_eq!(extension, extension.to_ascii_lowercase());
            assert_eq!(parse(media_type).as_deref(), Ok(media_type));
        }
        assert!(known.len() > 400);
    }
}
