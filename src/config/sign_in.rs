//! The settings of the page at which people sign in to other services.
//!
//! A target is an origin, as `https://files.example.org` or `https://files.example.org:8443`: scheme, host and port have to be
//! the same. Its host may begin with `*.`, which stands for one label or more: `https://*.example.org` is every host below
//! `example.org`, but not `example.org`. `http://` is for `127.0.0.0/8`, `[::1]` and `localhost` alone, because the cookie goes
//! nowhere else in the clear.

use super::{
    setting::{Checks, Written},
    web_address::{WebAddress, WebOrigin},
};

/// The path of the page below the base path.
pub const SIGN_IN_PATH: &str = "/sign-in";

/// Names that are registered below by many, where they are the first of two labels and the second is a country's.
const CATEGORIES: [&str; 20] = [
    "ac", "co", "com", "edu", "gen", "go", "gob", "gov", "gv", "id", "ltd", "mil", "ne", "net", "nom", "or", "org",
    "plc", "sch", "web",
];
/// Other names that are registered below by many.
const SHARED: [&str; 16] = [
    "appspot.com",
    "azurewebsites.net",
    "cloudfront.net",
    "duckdns.org",
    "dyndns.org",
    "firebaseapp.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "herokuapp.com",
    "home.arpa",
    "netlify.app",
    "pages.dev",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Where people may be sent once they have signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInTarget {
    /// The origin, or what it is below.
    origin: WebOrigin,
    is_parent: bool,
}

/// The domain whose hosts get the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieDomain(String);

/// Whether there is a page to sign in at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInSettings {
    /// There is none.
    Off,
    /// There is that one.
    On(SignInPage),
}

/// The page to sign in at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInPage {
    /// Where it may lead to.
    pub targets: Vec<SignInTarget>,
    /// The domain whose hosts get the cookie; without one, the page's host gets it.
    pub cookie_domain: Option<CookieDomain>,
    /// Where browsers reach it; without this, at the host of each request.
    pub address: Option<WebAddress>,
}

impl SignInTarget {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("`{}` {why}", text.escape_default()));
        let is_parent = text.contains("://*.");
        let Some(origin) = WebOrigin::parse(&text.replacen("://*.", "://", 1)) else {
            return refuse(
                "is not an origin as browsers write it, such as https://files.example.org or https://*.example.org",
            );
        };
        if is_parent && !is_domain(origin.host()) {
            return refuse("lets in hosts of strangers: name the domain below which your services are");
        }
        if origin.is_encrypted || origin.is_plain_loopback() {
            Ok(Self { origin, is_parent })
        } else {
            refuse("is not https: the cookie goes over plain HTTP on loopback alone")
        }
    }

    /// Whether pages of that origin may be led to.
    #[must_use]
    pub fn covers(&self, origin: &WebOrigin) -> bool {
        let Self { origin: target, is_parent } = self;
        let is_alike = target.is_encrypted == origin.is_encrypted && target.port() == origin.port();
        is_alike && if *is_parent { is_below(origin.host(), target.host()) } else { origin == target }
    }
}

impl CookieDomain {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_host = WebOrigin::parse(&format!("https://{text}")).is_some_and(|origin| origin.host() == text);
        if is_host && is_domain(text) {
            return Ok(Self(text.to_owned()));
        }
        let text = text.escape_default();
        Err(format!(
            "`{text}` is not a domain of your own in small letters, such as example.org: an address, a single name and a name \
             below which others register theirs are none"
        ))
    }

    /// Whether that host gets the cookie.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        host == self.0 || is_below(host, &self.0)
    }

    /// The domain, without a dot before it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SignInPage {
    /// Whether the page may lead there.
    #[must_use]
    pub fn leads_to(&self, address: &WebAddress) -> bool {
        self.targets.iter().any(|target| target.covers(&address.origin))
    }

    /// A target that the cookie never reaches, if there is one.
    fn unreached(&self) -> Option<&SignInTarget> {
        self.targets.iter().find(|SignInTarget { origin, is_parent }| match (&self.cookie_domain, &self.address) {
            (Some(domain), _) => !domain.covers(origin.host()),
            (None, Some(page)) => *is_parent || page.origin.host() != origin.host(),
            (None, None) => false,
        })
    }
}

/// Parses where browsers reach the page.
pub(super) fn address(text: &str) -> Result<WebAddress, String> {
    let is_page = |address: &WebAddress| address.path().ends_with(SIGN_IN_PATH) && !address.has_query();
    let is_safe = |address: &WebAddress| address.origin.is_encrypted || address.origin.is_plain_loopback();
    let address = WebAddress::parse(text).filter(is_page).filter(is_safe);
    address.ok_or_else(|| {
        let text = text.escape_default();
        format!("`{text}` is not the address of the page, such as https://lodge.example.org{SIGN_IN_PATH}")
    })
}

pub(super) fn checked(written: &Written, checks: &mut Checks) -> Option<SignInSettings> {
    let text = |name| written.get(name).map(|text| text.to_string_lossy());
    let [targets, domain, url] = ["sign_in_targets", "cookie_domain", "sign_in_url"].map(text);
    if targets.is_none() && domain.is_none() && url.is_none() {
        return Some(SignInSettings::Off);
    }
    // Invalid values are reported with their own settings.
    let targets = targets.as_deref().into_iter().flat_map(|targets| targets.split(','));
    let page = SignInPage {
        targets: targets.filter_map(|target| SignInTarget::parse(target.trim()).ok()).collect(),
        cookie_domain: domain.and_then(|domain| CookieDomain::parse(&domain).ok()),
        address: url.and_then(|url| address(&url).ok()),
    };
    let is_outside = |domain: &CookieDomain, page: &WebAddress| !domain.covers(page.origin.host());
    if page.cookie_domain.as_ref().zip(page.address.as_ref()).is_some_and(|(domain, page)| is_outside(domain, page)) {
        return checks.note("sign_in_url", Err("its host is not one of --cookie-domain".to_owned()));
    }
    if let Some(target) = page.unreached() {
        let why = format!("the cookie does not reach {}: is --cookie-domain right?", target.origin);
        return checks.note("sign_in_targets", Err(why));
    }
    Some(SignInSettings::On(page))
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
}

/// Whether a host is a name that has an owner, as far as that is obvious.
fn is_domain(host: &str) -> bool {
    let labels: Vec<_> = host.split('.').collect();
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let is_category = matches!(labels[..], [first, country] if country.len() == 2 && CATEGORIES.contains(&first));
    let is_name = labels.len() > 1 && !labels.last().is_some_and(|last| is_number(last));
    is_name && !host.starts_with('[') && !is_category && !SHARED.contains(&host)
}

#[cfg(test)]
mod tests;
