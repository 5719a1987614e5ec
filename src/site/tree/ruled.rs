//! The fields of responses that no route decides: rules for the requested path apply to them.

use super::Tree;
use super::access::PathAccess;
use super::chosen::{BuiltInResponse, FileResponse, Select, TargetOrigin};
use super::composer::{ComposedResponse, Composer, VaryBy};
use super::heads::StatusIndex;
use super::rows::{FieldsId, RouteEntry, SiteFile};
use crate::http::request::{Method, Request};
use crate::site::answer::Answer;
use crate::site::field_class::ResponseKind;
use crate::site::field_rules::ResponsePaths;
use crate::site::rendered::Prebuilt;

impl Tree {
    /// The built-in response to a method other than GET and HEAD. It is the same for a path with
    /// and without a file, except for fields that a rule gives an open file.
    pub(super) fn other_method(
        &self,
        path: Option<&[u8]>,
        request: &Request<'_, '_>,
        block: &mut [u8],
    ) -> Answer {
        let is_preflight = request.method == Method::Options;
        let prebuilt = if is_preflight { Prebuilt::Allow } else { Prebuilt::MethodNotAllowed };
        let Some(composer) = &self.composer else { return Answer::Whole(prebuilt) };
        let open_file = || match self.route_table.find(path?)? {
            RouteEntry::File(target) if !target.file.is_protected => Some(target.file),
            RouteEntry::File(_) | RouteEntry::Folder => None,
        };
        let canonical = open_file().and_then(|file| self.canonical(composer, file));
        let response = ComposedResponse {
            kind: ResponseKind::BuiltIn,
            paths: ResponsePaths { requested: path, canonical },
            authority: request.authority,
            defaults: None,
            is_protected: false,
            vary_by: VaryBy::default(),
            is_preflight,
        };
        match composer.compose(&response, block) {
            Some(fields) => Answer::BuiltIn(BuiltInResponse { prebuilt, fields }),
            None => Answer::Whole(Prebuilt::UriTooLong),
        }
    }

    /// Adds the fields of rules to an answer, unless they were decided at start.
    pub(super) fn with_fields(
        &self,
        answer: Answer,
        path: &[u8],
        access: PathAccess,
        request: &Request<'_, '_>,
        block: &mut [u8],
    ) -> Answer {
        let Some(composer) = &self.composer else { return answer };
        let mut response = ComposedResponse {
            kind: ResponseKind::BuiltIn,
            paths: ResponsePaths { requested: Some(path), canonical: None },
            authority: request.authority,
            defaults: None,
            is_protected: access == PathAccess::Granted,
            vary_by: VaryBy::default(),
            is_preflight: false,
        };
        match &answer {
            Answer::FileResponse(chosen) => {
                if !is_composed(composer, chosen) {
                    return answer;
                }
                self.describe_file(composer, chosen, request, &mut response);
            }
            Answer::Redirection(chosen) => {
                response.kind = ResponseKind::Redirect;
                response.vary_by.accept_language = chosen.by_language;
            }
            Answer::Whole(Prebuilt::Unauthorized) => response.kind = ResponseKind::Unauthorized,
            Answer::Whole(Prebuilt::NotFound) => {
                response.vary_by.accept = self.fallback.is_some();
                response.vary_by.accept_language = self.redirects.have_languages();
            }
            Answer::Whole(_) | Answer::BuiltIn(_) | Answer::Part { .. } | Answer::Live(_) => {
                return answer;
            }
        }
        let Some(fields) = composer.compose(&response, block) else {
            return Answer::Whole(Prebuilt::UriTooLong);
        };
        match answer {
            Answer::FileResponse(mut chosen) => {
                (chosen.fields, chosen.by_language) = (Some(fields), false);
                Answer::FileResponse(chosen)
            }
            Answer::Redirection(mut redirection) => {
                (redirection.fields, redirection.by_language) = (Some(fields), false);
                Answer::Redirection(redirection)
            }
            Answer::Whole(prebuilt) => Answer::BuiltIn(BuiltInResponse { prebuilt, fields }),
            Answer::BuiltIn(_) | Answer::Part { .. } | Answer::Live(_) => answer,
        }
    }

    fn describe_file<'p>(
        &'p self,
        composer: &Composer,
        chosen: &FileResponse,
        request: &Request<'_, '_>,
        response: &mut ComposedResponse<'p>,
    ) {
        let file = chosen.target.file;
        response.is_protected |= self.access_to_file(file, request) == PathAccess::Granted;
        response.paths.canonical = self.canonical(composer, file);
        if chosen.select.built_in().is_some() {
            response.vary_by.accept_encoding = chosen.select == Select::NotAcceptable;
            return;
        }
        response.kind = if chosen.status == StatusIndex::OK {
            ResponseKind::File
        } else {
            ResponseKind::ErrorPage
        };
        response.defaults = composer.files.get(file.id.index()).map(|own| own.defaults);
        response.vary_by = VaryBy {
            accept: chosen.origin == TargetOrigin::Missing && self.fallback.is_some(),
            accept_encoding: file.codings.len() > 1,
            accept_language: chosen.by_language,
        };
    }

    fn canonical<'p>(&'p self, composer: &Composer, file: SiteFile) -> Option<&'p [u8]> {
        let own = composer.files.get(file.id.index())?;
        Some(self.route_table.path(own.canonical))
    }
}

/// Whether the fields of a response with a file aren't those stored for its target.
fn is_composed(composer: &Composer, chosen: &FileResponse) -> bool {
    let is_stored = chosen.origin == TargetOrigin::Route || composer.rules().is_empty();
    let is_file = chosen.select.built_in().is_none();
    !(is_file && is_stored && chosen.target.fields != FieldsId::AT_REQUEST)
}
