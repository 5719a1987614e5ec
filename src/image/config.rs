//! The configuration of an image: what a container of it starts, as which user, and how (OCI Image
//! Specification 1.0, "Image Configuration").

use super::blob::{Blob, MediaType};
use super::layer::ImageLayer;
use super::program::Architecture;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What a container of an image starts, and what it is told about it.
pub(super) struct ContainerSettings {
    /// The words that stay when a container is started with arguments.
    pub(super) entrypoint: Vec<String>,
    /// The words that such arguments replace.
    pub(super) arguments: Vec<String>,
    /// The ports of TCP that it listens on, on addresses that others can reach.
    pub(super) ports: BTreeSet<u16>,
    pub(super) labels: BTreeMap<String, String>,
    /// The time of the image, as RFC 3339 has it.
    pub(super) created: String,
}

#[derive(Serialize)]
struct Configuration<'a> {
    created: &'a str,
    architecture: &'static str,
    os: &'static str,
    config: ProcessDefaults<'a>,
    rootfs: RootFileSystem<'a>,
    history: Vec<Step<'a>>,
}

/// The part that container runtimes take as defaults.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessDefaults<'a> {
    user: &'static str,
    exposed_ports: BTreeMap<String, serde_json::Value>,
    entrypoint: &'a [String],
    cmd: &'a [String],
    working_dir: &'static str,
    labels: &'a BTreeMap<String, String>,
    stop_signal: &'static str,
    healthcheck: HealthCheck,
}

/// Docker's addition to the specification, times in nanoseconds. Kubernetes has probes instead.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthCheck {
    test: [&'static str; 3],
    interval: u64,
    timeout: u64,
    start_period: u64,
    retries: u32,
}

#[derive(Serialize)]
struct RootFileSystem<'a> {
    r#type: &'static str,
    diff_ids: Vec<&'a str>,
}

#[derive(Serialize)]
struct Step<'a> {
    created: &'a str,
    created_by: &'a str,
}

impl ContainerSettings {
    /// The configuration of an image of these layers.
    pub(super) fn config(&self, architecture: Architecture, layers: &[ImageLayer]) -> Blob {
        let created = &*self.created;
        let steps = layers.iter().map(|layer| Step { created, created_by: layer.made_by });
        let ports = self.ports.iter().map(|port| (format!("{port}/tcp"), json!({})));
        let config = ProcessDefaults {
            user: USER,
            exposed_ports: ports.collect(),
            entrypoint: &self.entrypoint,
            cmd: &self.arguments,
            working_dir: "/",
            labels: &self.labels,
            stop_signal: "SIGTERM",
            healthcheck: HEALTH_CHECK,
        };
        let diff_ids = layers.iter().map(|layer| &*layer.diff_id).collect();
        let rootfs = RootFileSystem { r#type: "layers", diff_ids };
        let (architecture, os, history) = (architecture.name(), "linux", steps.collect());
        let whole = Configuration { created, architecture, os, config, rootfs, history };
        Blob::json(MediaType::Config, &whole)
    }
}

/// nobody: no file belongs to it by convention, and an image without a user database needs numbers.
const USER: &str = "65534:65534";

/// A large site takes its time to be read and compressed, and is not unhealthy meanwhile.
const HEALTH_CHECK: HealthCheck = HealthCheck {
    test: ["CMD", "/uringstatic", "healthcheck"],
    interval: 10_000_000_000,
    timeout: 5_000_000_000,
    start_period: 120_000_000_000,
    retries: 3,
};
