//! The options about the requests of a load and their server: which of them exclude each other.

use super::{LoadOptions, Origin, Scheme, Url};
use std::path::{Path, PathBuf};

impl LoadOptions {
    /// Refuses options of several requests for a single one, and sources of requests that exclude
    /// each other.
    pub(super) fn check_targets(&self) -> Result<(), String> {
        if let [first, second, ..] = &self.url[..] {
            return Err(format!(
                "the URL is given twice: {first} and {second}; use --urls FILE for several"
            ));
        }
        let has_list = self.urls.is_some() || self.replay.is_some();
        if self.shuffle && !has_list {
            return Err("--shuffle needs several requests: use --urls or --replay".to_owned());
        }
        if self.speed.is_some() && self.pipeline > 1 {
            return Err("--speed sends each request at its time: it can't be combined with \
                        --pipeline, where a batch waits for the previous one"
                .to_owned());
        }
        let is_stdin = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        let list_is_stdin = is_stdin(&self.urls) || is_stdin(&self.replay);
        if list_is_stdin && self.body.as_deref() == Some("@-") {
            return Err("standard input can't be both the list of requests and --body".to_owned());
        }
        self.url.first().map_or(Ok(()), |url| self.check_server(url))
    }

    /// Refuses options that the server of the load can't have. Its URL may come from the list.
    pub(in crate::load) fn check_server(&self, url: &Url) -> Result<(), String> {
        let is_https = url.scheme == Scheme::Https;
        if (self.insecure || self.cacert.is_some()) && !is_https {
            return Err("--insecure and --cacert are for https, but the URL has http".to_owned());
        }
        let is_unix = matches!(url.origin, Origin::Unix(_));
        if is_unix && self.source.is_some() && self.proxy_protocol.is_none() {
            return Err("--source names IP addresses, which a Unix socket doesn't have".to_owned());
        }
        Ok(())
    }
}
