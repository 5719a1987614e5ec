//! Features that the server can do without (`--without`), so that each fallback can be tested on a
//! kernel that has all of them.

use crate::engine::chosen::Chosen;
use crate::engine::kernel::{EngineKind, KernelEngine};
use crate::sandbox::Layer;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::sync::LazyLock;

/// A feature of the kernel that has a fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// A feature of the engine, by its name in [`KernelEngine::FEATURES`].
    Engine(&'static str),
    /// `TCP_DEFER_ACCEPT`, tcp(7); the fallback is a listener without it.
    DeferAccept,
    /// openat2(2); the fallback is one `openat` per component of a path.
    Openat2,
    /// A layer of the sandbox; the fallback is the other layers.
    Layer(Layer),
}

impl Feature {
    /// The value of `--without`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine(name) => name,
            Self::DeferAccept => "defer-accept",
            Self::Openat2 => "openat2",
            Self::Layer(layer) => layer.name(),
        }
    }

    /// The sandbox layers among these features.
    #[must_use]
    pub fn layers(features: &[Self]) -> Vec<Layer> {
        let layer_of = |feature: &Self| match feature {
            Self::Layer(layer) => Some(*layer),
            Self::Engine(_) | Self::DeferAccept | Self::Openat2 => None,
        };
        features.iter().filter_map(layer_of).collect()
    }

    /// The features of an engine among these that an engine of this kind hasn't: to disable them
    /// has no effect.
    pub(super) fn unknown_to(kind: EngineKind, features: &[Self]) -> Vec<Self> {
        let known = Chosen::features_of(kind);
        let is_unknown =
            |feature: &&Self| matches!(feature, Self::Engine(name) if !known.contains(name));
        features.iter().filter(is_unknown).copied().collect()
    }

    /// The listed features without repetitions, in the order of [`ValueEnum::value_variants`].
    pub(super) fn once_each(listed: &[Self]) -> Vec<Self> {
        ALL.iter().filter(|feature| listed.contains(feature)).copied().collect()
    }
}

impl ValueEnum for Feature {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

static ALL: LazyLock<Vec<Feature>> = LazyLock::new(|| {
    let of_engine = Chosen::FEATURES.iter().map(|name| Feature::Engine(name));
    let layers = Layer::ALL.map(Feature::Layer);
    of_engine.chain([Feature::DeferAccept, Feature::Openat2]).chain(layers).collect()
});
