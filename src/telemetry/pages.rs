//! The pages of the admin listener: which path has which, and with which status.

use crate::http::request::Request;
use crate::site::live::{LiveContent, LiveSource};
use crate::site::{LiveAnswer, LivePage};
use std::fmt;

/// The service as the admin process sees it.
pub trait ServiceView: fmt::Debug {
    /// Whether the supervisor has run within the last seconds.
    fn is_live(&self) -> bool;

    /// Whether a generation serves and no drain is announced.
    fn is_ready(&self) -> bool;
}

/// The pages, each as it was rendered last.
#[derive(Debug)]
pub struct AdminPages<V> {
    view: V,
}

impl<V: ServiceView> AdminPages<V> {
    /// The pages about a service.
    pub fn new(view: V) -> Self {
        Self { view }
    }
}

impl<V: ServiceView> LiveSource for AdminPages<V> {
    fn render(&mut self) {}

    fn choose(&self, path: &[u8], _: &Request<'_, '_>) -> Option<LiveAnswer> {
        let probe = |holds: bool| match holds {
            true => LiveAnswer { page: YES, status: 200 },
            false => LiveAnswer { page: NO, status: 503 },
        };
        match path {
            b"/live" => Some(probe(self.view.is_live())),
            b"/ready" => Some(probe(self.view.is_ready())),
            _ => None,
        }
    }

    fn content(&self, page: LivePage) -> LiveContent<'_> {
        match page {
            YES => LiveContent { media_type: PLAIN, bytes: b"ok\n" },
            _ => LiveContent { media_type: PLAIN, bytes: b"unavailable\n" },
        }
    }

    fn bytes_max(&self) -> usize {
        64
    }
}

const YES: LivePage = LivePage(0);
const NO: LivePage = LivePage(1);
const PLAIN: &str = "text/plain; charset=utf-8";
