//! What an auxiliary process is started with.

use crate::service::messages::LoaderSpec;

/// The work of an auxiliary process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuxiliaryRole {
    /// It writes the access log.
    Logger,
    /// It answers questions about the service.
    Admin,
}

impl AuxiliaryRole {
    const ALL: [Self; 2] = [Self::Logger, Self::Admin];

    /// Its name, for messages and the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logger => "logger",
            Self::Admin => "admin",
        }
    }

    /// The name of its process for ps(1), of 15 bytes at most.
    pub(super) fn process_name(self) -> &'static str {
        match self {
            Self::Logger => "uringstatic-log",
            Self::Admin => "uringstatic-adm",
        }
    }
}

/// The role of an auxiliary process, and what it inherits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuxiliarySpec {
    /// Its role.
    pub role: AuxiliaryRole,
    /// As for a loader. The scoreboard is open for reading only, and in the place of the listeners
    /// stand the descriptors of the role.
    pub inherits: LoaderSpec,
}

impl AuxiliarySpec {
    /// The value of the hidden option that makes a process an auxiliary one.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}/{}", self.role.name(), self.inherits.to_text())
    }

    /// Parses [`AuxiliarySpec::to_text`].
    ///
    /// # Errors
    /// If the text is none, or that of another version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('/').ok_or(FORM)?;
        let role = AuxiliaryRole::ALL.into_iter().find(|role| role.name() == name).ok_or(FORM)?;
        Ok(Self { role, inherits: LoaderSpec::parse(rest)? })
    }
}

const FORM: &str = "only a supervisor starts an auxiliary process";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::EngineKind;

    #[test]
    fn a_role_and_its_descriptors_survive_the_command_line() {
        let inherits = LoaderSpec {
            supervisor: 12,
            channel: 3,
            scoreboard: 4,
            places: 20,
            workers: 2,
            engine: EngineKind::Epoll,
            account: None,
            user_name: Some("a/b@c".to_owned()),
            listeners: vec![5],
            passed: vec![5],
            previous: None,
        };
        for role in AuxiliaryRole::ALL {
            let spec = AuxiliarySpec { role, inherits: inherits.clone() };
            assert_eq!(AuxiliarySpec::parse(&spec.to_text()), Ok(spec));
            assert!(role.process_name().len() <= 15, "the kernel cuts longer names");
        }
        for text in ["", "logger", "worker/3:12:3:4:20:2:1:33:34:5", "logger/3:12"] {
            assert!(AuxiliarySpec::parse(text).is_err(), "{text}");
        }
    }
}
