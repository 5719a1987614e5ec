//! The sandbox of a supervisor. It has to start programs and to signal processes of another user,
//! so it is wider than that of a worker; it writes no file and opens no connection.
//!
//! Loaders inherit what is denied by Landlock and by the filter, and get an empty environment.

use super::error::SandboxError;
use super::layer::{Layer, LayerState, ProcessKind};
use super::record::{LayerRecord, SandboxConfig, SandboxMode};
use super::refusals;
use super::steps::{CLEARED, REFUSED};
use crate::os::inherited::{
    InheritedDescriptors, clear_environment, open_null, replace_standard_streams,
};
use crate::os::landlock::{FileAccess, Hierarchy, open_path};
use crate::os::net::Listener;
use crate::os::privileges::{self, KeptPrivileges};
use crate::os::process::await_single_thread;
use crate::os::seccomp;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What a supervisor still does in its sandbox.
#[derive(Clone, Copy)]
pub struct SupervisorTasks<'a> {
    /// The program that it starts as a loader.
    pub program: &'a Path,
    /// Whether the processes that it starts become another user.
    pub becomes_other: bool,
    /// The listeners, whose socket files it removes at its end.
    pub listeners: &'a [Listener],
    /// The access log, which it opens anew.
    pub log: Option<&'a Path>,
}

/// The entered sandbox of a supervisor.
pub struct SupervisorSandbox(LayerRecord);

impl SupervisorSandbox {
    /// Enters it, and closes the inherited descriptors.
    ///
    /// # Errors
    /// If a step fails, or a layer is missing where all are required.
    pub fn enter(
        config: SandboxConfig,
        tasks: SupervisorTasks<'_>,
        inherited: InheritedDescriptors,
    ) -> Result<Self, SandboxError> {
        Self(LayerRecord::new(config)).steps(tasks, Some(inherited))
    }

    /// Enters it, but keeps environment and standard streams, so that a report can be printed.
    pub(super) fn rehearse(
        config: SandboxConfig,
        tasks: SupervisorTasks<'_>,
    ) -> Result<Self, SandboxError> {
        let mut record = LayerRecord::new(config);
        record.is_rehearsal = true;
        Self(record).steps(tasks, None)
    }

    fn steps(
        mut self,
        tasks: SupervisorTasks<'_>,
        inherited: Option<InheritedDescriptors>,
    ) -> Result<Self, SandboxError> {
        if self.0.config.mode != SandboxMode::Off {
            // Landlock and seccomp restrict only the calling thread.
            await_single_thread()?;
        }
        self.0.attach_drop_filter(tasks.listeners)?;
        self.reduce_privileges(tasks)?;
        self.clear_environment()?;
        self.close_descriptors(inherited)?;
        self.deny_files(tasks)?;
        self.refuse_calls()?;
        Ok(self)
    }

    /// The layers with their states, in their order.
    #[must_use]
    pub fn states(&self) -> &[(Layer, LayerState)] {
        &self.0.states
    }

    /// `full`, `partial` or `off`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.0.word(ProcessKind::Supervisor)
    }

    fn reduce_privileges(&mut self, tasks: SupervisorTasks<'_>) -> Result<(), SandboxError> {
        if !self.0.begins(Layer::Privileges)? {
            return Ok(());
        }
        let KeptPrivileges { uid, capabilities, bounding_set } =
            privileges::keep_for_service(tasks.becomes_other, tasks.program)?;
        let capabilities = match &capabilities[..] {
            [] => "no capabilities".to_owned(),
            kept => format!("of the capabilities {} only", kept.join(", ")),
        };
        let rest =
            if bounding_set { " except in the bounding set, which it may not empty" } else { "" };
        let text = format!("user {uid}, {capabilities}{rest}, no_new_privs, not dumpable");
        self.0.record(Layer::Privileges, LayerState::On(text))
    }

    fn clear_environment(&mut self) -> Result<(), SandboxError> {
        if !self.0.begins(Layer::Environment)? {
            return Ok(());
        }
        if !self.0.is_rehearsal {
            clear_environment()?;
        }
        self.0.record(Layer::Environment, LayerState::On(CLEARED.to_owned()))
    }

    fn close_descriptors(
        &mut self,
        inherited: Option<InheritedDescriptors>,
    ) -> Result<(), SandboxError> {
        let inherited = inherited.unwrap_or_default();
        if !self.0.begins(Layer::Descriptors)? {
            inherited.leave_open();
            return Ok(());
        }
        let closed = inherited.count();
        drop(inherited);
        let replaced = if self.0.is_rehearsal {
            Ok(())
        } else {
            let null = open_null().map_err(SandboxError::NullDevice)?;
            replace_standard_streams(&null)
        };
        self.0.note_descriptors(closed, replaced)
    }

    /// Permits to read and execute all files, because loaders resolve the root anew and the program
    /// may be replaced by another one; to remove files in the folders of socket files; and to write
    /// files in the folder of the access log.
    fn deny_files(&mut self, tasks: SupervisorTasks<'_>) -> Result<(), SandboxError> {
        if !self.0.config.applies(Layer::Landlock) {
            return self.0.deny_files(&[], "");
        }
        let folders = socket_folders(tasks.listeners);
        let log = tasks.log.map(folder_of);
        let opened: Vec<(FileAccess, OwnedFd)> = [
            (FileAccess::ReadAndExecute, PathBuf::from("/")),
            (FileAccess::ReadAndWriteFile, PathBuf::from("/dev/null")),
        ]
        .into_iter()
        .chain(folders.iter().map(|folder| (FileAccess::Remove, folder.clone())))
        .chain(log.iter().map(|folder| (FileAccess::WriteAndMake, folder.clone())))
        .map(|(access, path)| Ok((access, open_path(&path)?)))
        .collect::<io::Result<_>>()
        .map_err(SandboxError::Exceptions)?;
        let hierarchies: Vec<_> = opened
            .iter()
            .map(|(access, fd)| Hierarchy { fd: fd.as_fd(), access: *access })
            .collect();
        let mut words = "; except reading and executing files, and writing to /dev/null".to_owned();
        let removing = folders.iter().map(|it| format!(", and removing files in {}", it.display()));
        words.extend(removing);
        words.extend(log.iter().map(|it| format!(", and writing files in {}", it.display())));
        self.0.deny_files(&hierarchies, &words)
    }

    fn refuse_calls(&mut self) -> Result<(), SandboxError> {
        if !self.0.begins(Layer::Seccomp)? {
            return Ok(());
        }
        let outcome = seccomp::refuse(&refusals::of_supervisor(self.0.config.engine));
        self.0.note_filter(outcome, REFUSED.to_owned())
    }
}

/// The folders of the socket files that are removed at the end, each once.
fn socket_folders(listeners: &[Listener]) -> Vec<PathBuf> {
    let files = listeners.iter().filter_map(Listener::own_file);
    let mut folders: Vec<PathBuf> = files.map(folder_of).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("/"),
    }
}
