//! Where accounts come from.

use serde::{Deserialize, Serialize};

use super::{Parsed, Problem};

/// Where an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceType {
    /// The web application.
    WebApp,
    /// The command line, for several users of one system.
    CliLinuxMultiUser,
    /// The command line, by LDAP.
    CliLdap,
}

impl SourceType {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::WebApp, Self::CliLinuxMultiUser, Self::CliLdap];

    /// Parses a source type as the API writes it.
    ///
    /// # Errors
    /// `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        Self::ALL.into_iter().find(|source| source.name() == text).ok_or(Problem::Invalid)
    }

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebApp => "web_app",
            Self::CliLinuxMultiUser => "cli_linux_multi_user",
            Self::CliLdap => "cli_ldap",
        }
    }
}
