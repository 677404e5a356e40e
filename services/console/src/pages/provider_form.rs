//! The form of an identity provider: what is known of each kind beforehand, and from typed text to a configuration.

use serde::Deserialize;
use updraft_model::{OidcConfig, OidcPreset, ProviderConfig, SamlAttributes, SamlConfig, ScimLink};

/// What is offered to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    Google,
    Okta,
    Entra,
    Keycloak,
    Generic,
    Saml,
}

/// As it was typed: nothing of it is checked here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ProviderForm {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) scopes: String,
    pub(crate) groups_claim: String,
    pub(crate) hosted_domains: String,
    /// Empty: what is safe with the preset.
    pub(crate) link_scim_by: String,
    pub(crate) metadata: String,
    pub(crate) allow_idp_initiated: Option<String>,
    pub(crate) attribute_email: String,
    pub(crate) attribute_name: String,
    pub(crate) attribute_groups: String,
}

// === impl Preset ===

impl Preset {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Keycloak => "keycloak",
            Self::Generic => "generic",
            Self::Saml => "saml",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::Okta => "Okta",
            Self::Entra => "Microsoft Entra",
            Self::Keycloak => "Keycloak",
            Self::Generic => "OpenID Connect",
            Self::Saml => "SAML 2.0",
        }
    }

    /// What to do there.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Google => {
                "In Google Cloud: APIs & Services, Credentials, create an OAuth client of the type web application. Google tells no groups: rules go by address and hosted domain."
            }
            Self::Okta => {
                "In Okta: Applications, create an OIDC web application with refresh tokens, and add a groups claim to its ID token."
            }
            Self::Entra => {
                "In the Entra admin centre: App registrations, new registration (web), a client secret, and under Token configuration a groups claim."
            }
            Self::Keycloak => {
                "In your realm: Clients, create an OpenID Connect client with client authentication, and a mapper Group Membership that puts `groups` into the ID token."
            }
            Self::Generic => {
                "Register Updraft as a confidential client (web application) with the authorization code flow."
            }
            Self::Saml => {
                "Register Updraft as a service provider with the addresses below, and paste the provider's metadata."
            }
        }
    }

    /// What is done where nothing is chosen.
    pub(crate) fn usual_link(self) -> &'static str {
        match self {
            Self::Okta => "by externalId: the user's Okta id",
            Self::Entra => "by externalId: the user's object id",
            Self::Google | Self::Keycloak | Self::Generic | Self::Saml => "by nothing but a proven address",
        }
    }

    pub(crate) fn issuer_hint(self) -> &'static str {
        match self {
            Self::Google => "Always this.",
            Self::Okta => "For example https://acme.okta.com",
            Self::Entra => "https://login.microsoftonline.com/<directory (tenant) ID>/v2.0",
            Self::Keycloak => "For example https://keycloak.example.com/realms/acme",
            Self::Generic | Self::Saml => "Exactly as the provider calls itself",
        }
    }

    /// What the form begins with.
    pub(crate) fn blank(self) -> ProviderForm {
        let (issuer, scopes, groups) = match self {
            Self::Google => ("https://accounts.google.com", "", ""),
            Self::Okta => ("", "groups offline_access", "groups"),
            Self::Entra | Self::Generic => ("", "offline_access", "groups"),
            Self::Keycloak => ("", "", "groups"),
            Self::Saml => ("", "", ""),
        };
        ProviderForm {
            name: self.title().to_owned(),
            issuer: issuer.to_owned(),
            scopes: scopes.to_owned(),
            groups_claim: groups.to_owned(),
            ..ProviderForm::default()
        }
    }

    fn of_oidc(preset: OidcPreset) -> Self {
        match preset {
            OidcPreset::Generic => Self::Generic,
            OidcPreset::Google => Self::Google,
            OidcPreset::Okta => Self::Okta,
            OidcPreset::Entra => Self::Entra,
            OidcPreset::Keycloak => Self::Keycloak,
        }
    }

    pub(crate) fn of(config: &ProviderConfig) -> Self {
        match config {
            ProviderConfig::Oidc(oidc) => Self::of_oidc(oidc.preset),
            ProviderConfig::Saml(_) => Self::Saml,
        }
    }
}

// === impl ProviderForm ===

impl ProviderForm {
    /// As it stands; the secret is never shown.
    pub(crate) fn of(name: &str, config: &ProviderConfig) -> Self {
        match config {
            ProviderConfig::Oidc(oidc) => Self {
                name: name.to_owned(),
                issuer: oidc.issuer.clone(),
                client_id: oidc.client_id.clone(),
                scopes: oidc.scopes.join(" "),
                groups_claim: oidc.groups_claim.clone().unwrap_or_default(),
                hosted_domains: oidc.hosted_domains.join(" "),
                link_scim_by: oidc
                    .link_scim_by
                    .map(ScimLink::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                ..Self::default()
            },
            ProviderConfig::Saml(saml) => Self {
                name: name.to_owned(),
                issuer: saml.entity_id.clone(),
                allow_idp_initiated: saml.allow_idp_initiated.then(|| "yes".to_owned()),
                attribute_email: saml.attributes.email.clone().unwrap_or_default(),
                attribute_name: saml.attributes.name.clone().unwrap_or_default(),
                attribute_groups: saml.attributes.groups.clone().unwrap_or_default(),
                ..Self::default()
            },
        }
    }

    /// `None` for SAML, whose configuration comes from metadata.
    pub(crate) fn oidc(&self, preset: Preset) -> Option<ProviderConfig> {
        let preset = match preset {
            Preset::Google => OidcPreset::Google,
            Preset::Okta => OidcPreset::Okta,
            Preset::Entra => OidcPreset::Entra,
            Preset::Keycloak => OidcPreset::Keycloak,
            Preset::Generic => OidcPreset::Generic,
            Preset::Saml => return None,
        };
        Some(ProviderConfig::Oidc(OidcConfig {
            issuer: self.issuer.trim().to_owned(),
            client_id: self.client_id.trim().to_owned(),
            preset,
            scopes: words(&self.scopes),
            groups_claim: filled(&self.groups_claim),
            hosted_domains: words(&self.hosted_domains),
            link_scim_by: self.link(),
        }))
    }

    fn link(&self) -> Option<ScimLink> {
        let named = |link: &ScimLink| link.as_str() == self.link_scim_by;
        ScimLink::ALL.into_iter().find(named)
    }

    /// What is set beside the provider's metadata.
    pub(crate) fn saml(&self, config: SamlConfig) -> ProviderConfig {
        ProviderConfig::Saml(SamlConfig {
            allow_idp_initiated: self.allow_idp_initiated.is_some(),
            attributes: SamlAttributes {
                email: filled(&self.attribute_email),
                name: filled(&self.attribute_name),
                groups: filled(&self.attribute_groups),
            },
            ..config
        })
    }
}

fn words(text: &str) -> Vec<String> {
    let split = |c: char| c.is_whitespace() || c == ',';
    text.split(split)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn filled(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Preset, ProviderForm};

    #[test]
    fn a_form_becomes_a_configuration_and_back() {
        let form = ProviderForm {
            client_id: " updraft ".into(),
            hosted_domains: "example.com, example.org".into(),
            link_scim_by: "user_name".into(),
            ..Preset::Google.blank()
        };
        let config = form.oidc(Preset::Google).unwrap();
        assert_eq!(Preset::of(&config), Preset::Google);
        let again = ProviderForm::of("Google", &config);
        assert_eq!(again.client_id, "updraft");
        assert_eq!(again.hosted_domains, "example.com example.org");
        assert_eq!(again.issuer, "https://accounts.google.com");
        assert_eq!(again.link_scim_by, "user_name");
        let unknown = ProviderForm {
            link_scim_by: "whatever".into(),
            ..form.clone()
        };
        assert_eq!(unknown.link(), None, "what is safe");
        assert!(form.oidc(Preset::Saml).is_none());
    }
}
