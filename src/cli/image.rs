//! The server's words in a container: what the options of `image` and those behind `--` make.

use super::{Action, ServerCommandLine, subcommand, with_usage};
use crate::image::options::ImageOptions;
use crate::image::{ImageRequest, LISTEN_WORDS, ROOT_WORDS, seconds_of};
use crate::sandbox::options::AccountOptions;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};

/// The request of a command line. The server's options are those of a container that root doesn't
/// start.
pub(super) fn request(options: ImageOptions) -> Result<Box<ImageRequest>, clap::Error> {
    let variable = std::env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = seconds_of(variable.as_deref()).map_err(usage_error)?;
    let root = options.root.iter().flat_map(|_| ROOT_WORDS);
    let words = ["uringstatic"].into_iter().chain(root);
    let words = words.chain(options.server.iter().map(|word| &**word));
    let matches = ServerCommandLine::command()
        .try_get_matches_from(words)
        .map_err(|error| of_server(&error))?;
    let line = ServerCommandLine::from_arg_matches(&matches).map_err(|error| of_server(&error))?;
    if !matches!(
        line,
        ServerCommandLine {
            action: None::<Action>,
            loader: None,
            auxiliary: None,
            generate: None,
            ..
        }
    ) {
        return Err(usage_error("behind -- stand options of the server".to_owned()));
    }
    let settings = line.settings.checked().map_err(usage_error)?;
    if settings.lockdown.account != AccountOptions::default() {
        let message = "behind --, --user and --allow-root have no effect: containers of the image \
                       run as 65534; `docker run --user` selects another user";
        return Err(usage_error(message.to_owned()));
    }
    let mut arguments = Vec::new();
    let mut settings = settings;
    if matches.value_source("listen") == Some(ValueSource::DefaultValue) {
        arguments.extend(LISTEN_WORDS.map(str::to_owned));
        let line = ServerCommandLine::try_parse_from(["uringstatic"].iter().chain(&LISTEN_WORDS));
        settings.listen = line.expect("the default words are valid").settings.listen;
    }
    arguments.extend(options.server.iter().cloned());
    Ok(Box::new(ImageRequest { options, arguments, settings, seconds }))
}

/// An error of the server's options, which stand behind `--`.
fn of_server(error: &clap::Error) -> clap::Error {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    usage_error(format!("behind --: {}", line.trim_start_matches("error: ")))
}

fn usage_error(message: String) -> clap::Error {
    let mut command = subcommand(super::IMAGE);
    let usage = command.render_usage();
    with_usage(command.error(ErrorKind::ValueValidation, message), usage)
}

#[cfg(test)]
mod tests {
    use super::super::{ServerCommand, parse};
    use super::*;
    use std::path::PathBuf;

    fn image(words: &[&str]) -> Result<Box<ImageRequest>, String> {
        let words = [&["uringstatic", "image", "--output", "a.tar"], words].concat();
        match parse(words) {
            Ok(ServerCommand::Image(request)) => Ok(request),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_server_listens_on_all_addresses_unless_its_options_have_one() {
        let request = image(&[]).expect("nothing is needed");
        assert_eq!(request.arguments, LISTEN_WORDS);
        assert_eq!(request.settings.listen[0].to_string(), LISTEN_WORDS[1]);
        let request = image(&["--", "--spawn", "5"]).expect("an option is valid");
        assert_eq!(request.arguments, [&LISTEN_WORDS[..], &["--spawn", "5"]].concat());
        assert_eq!(request.settings.spawn, 5);
        let request = image(&["--", "--listen", "[::]:80"]).expect("an address is valid");
        assert_eq!(request.arguments, ["--listen", "[::]:80"]);
    }

    #[test]
    fn the_folder_has_its_place_in_the_image() {
        let request = image(&["--root", "public", "--", "--spa"]).expect("the options are valid");
        assert_eq!(request.options.root, Some(PathBuf::from("public")));
        assert_eq!(request.settings.root, Some(PathBuf::from(ROOT_WORDS[1])));
        assert_eq!(request.settings.root_options.spa.as_deref(), Some("index.html"));
    }

    #[test]
    fn options_that_no_container_could_start_with_are_refused() {
        let cases: &[(&[&str], &str)] = &[
            (&["--", "--spwan", "5"], "behind --: unexpected argument '--spwan'"),
            (&["--", "--spa"], "apply to a folder"),
            (&["--root", "a", "--", "--root", "b"], "behind --: "),
            (&["--root", "a", "--", "--page", "b"], "behind --: "),
            (&["--", "--user", "www-data"], "run as 65534"),
            (&["--", "--allow-root"], "run as 65534"),
            (&["--", "doctor"], "behind -- stand options of the server"),
            (&["--", "--generate", "man"], "behind -- stand options of the server"),
            (&["--", "--help"], "behind --: "),
            (&["--label", "a"], "--label"),
            (&["--tag", "A"], "--tag"),
        ];
        for (words, expected) in cases {
            let message = image(words).expect_err("the words are refused");
            assert!(message.contains(expected), "{words:?}: {message}");
            assert!(message.contains("Usage: uringstatic image"), "{words:?}: {message}");
        }
    }
}
