//! The console: a single-page application for administrators and users, embedded in the binary.
//!
//! Its files are in `assets`, as they are written; the build script compresses them. It is a client of the public API
//! and nothing else. `index.html` is the page at `/` and at `/docs`, `main.js` its first module.

use std::{fmt::Write as _, sync::LazyLock};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

/// The head of a gzip member and what follows its data, in bytes (RFC 1952).
const GZIP_HEAD: usize = 10;
const GZIP_TAIL: usize = 8;
/// How many bytes of the hash are in addresses.
const VERSION_BYTES: usize = 8;

const TEMPLATE: &str = include_str!("assets/index.html");
/// The modules without which nothing is seen.
const NEEDED: &[&str] = &include!(concat!(env!("OUT_DIR"), "/needed.rs"));
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The version of the assets: a hash of all of them, which is in their addresses.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut context = Context::new(&SHA256);
    context.update(TEMPLATE.as_bytes());
    for (name, gzipped) in FILES {
        context.update(name.as_bytes());
        context.update(gzipped);
    }
    HEXLOWER.encode(&context.finish().as_ref()[..VERSION_BYTES])
});

/// The page, whose links are relative to the directory that it is in.
pub static PAGE: LazyLock<String> = LazyLock::new(|| {
    let assets = format!("assets/{}", *VERSION);
    TEMPLATE.replace("{preloads}", &preloads(&assets)).replace("{assets}", &assets)
});

/// A file that the page loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    gzipped: &'static [u8],
    /// Its media type.
    pub media_type: &'static str,
}

impl Asset {
    /// The asset of that version and name, as in `0123456789abcdef/main.js`.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let name = path.strip_prefix(VERSION.as_str())?.strip_prefix('/')?;
        let (name, gzipped) = FILES.iter().find(|(file, _)| *file == name)?;
        Some(Self { gzipped, media_type: media_type(name) })
    }

    /// Its bytes, compressed with gzip.
    #[must_use]
    pub fn gzipped(self) -> &'static [u8] {
        self.gzipped
    }

    /// Its bytes, for a client that does not take gzip.
    ///
    /// # Panics
    /// Never: the build compressed it.
    #[must_use]
    pub fn plain(self) -> Vec<u8> {
        let deflated = &self.gzipped[GZIP_HEAD..self.gzipped.len() - GZIP_TAIL];
        miniz_oxide::inflate::decompress_to_vec(deflated).expect("the build compressed it")
    }
}

/// The modules that the first paint needs, so that the browser asks for all of them at once. Others would delay it: a module
/// is compiled as soon as it has come.
fn preloads(assets: &str) -> String {
    NEEDED.iter().fold(String::new(), |mut links, name| {
        writeln!(links, r#"<link rel="modulepreload" href="{assets}/{name}">"#).expect("a string has room");
        links
    })
}

fn media_type(name: &str) -> &'static str {
    match extension(name) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_its_files_are_below_100_kb() {
        let bytes: usize = FILES.iter().map(|(_, gzipped)| gzipped.len()).sum();
        assert!(bytes + PAGE.len() < 100_000, "{bytes} and {}", PAGE.len());
    }

    #[test]
    fn the_page_announces_what_the_first_paint_needs_and_nothing_else() {
        let is_announced = |name: &str| PAGE.contains(&format!("modulepreload\" href=\"assets/{}/{name}\">", *VERSION));
        for name in ["main.js", "render.js", "lit-html.js", "session.js", "api.js", "sign-in.js", "strings.js"] {
            assert!(is_announced(name), "{name}");
        }
        assert!(!is_announced("frame.js") && !is_announced("access-page.js"), "{}", *PAGE);
    }

    #[test]
    fn a_file_is_found_by_its_version_and_name_alone() {
        let version = VERSION.as_str();
        assert!(Asset::at(&format!("{version}/main.js")).is_some());
        for path in ["", "main.js", "/main.js", version, &format!("{version}/"), &format!("{version}main.js")] {
            assert_eq!(Asset::at(path), None, "{path}");
        }
        for name in ["index.html", "lit-html.d.ts", "../mod.rs", "main.js/", "Main.js"] {
            assert_eq!(Asset::at(&format!("{version}/{name}")), None, "{name}");
        }
    }

    #[test]
    fn a_file_without_compression_is_the_one_that_was_written() {
        let style = Asset::at(&format!("{}/style.css", *VERSION)).unwrap();
        assert_eq!(style.plain(), include_bytes!("assets/style.css"));
    }

    #[test]
    fn the_page_names_only_files_that_there_are_and_nothing_of_another_server() {
        let links = PAGE.split(['"', '\'']).filter(|text| text.contains("assets/"));
        let mut found = 0;
        for link in links {
            let path = link.strip_prefix("assets/").unwrap_or_else(|| panic!("{link} is not relative"));
            assert!(Asset::at(path).is_some(), "{link}");
            found += 1;
        }
        assert!(found > 10 && !PAGE.contains("//") && !PAGE.contains('{'), "{}", *PAGE);
    }
}
