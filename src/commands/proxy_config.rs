//! `lodge proxy-config`: a proxy's configuration that passes on what Lodge admits.

use std::{fmt, str::FromStr};

use clap::{Args, ValueEnum};

use super::{Failure, table::write_all};
use crate::{
    config::{Audience, BasePathArguments},
    domain::Scope,
};

pub(super) const EXAMPLES: &str = "Examples:
  lodge proxy-config nginx > nginx.conf
  lodge proxy-config caddy --path /media --scope media/index --scope media/play --service 127.0.0.1:9000 > Caddyfile";

/// The value of a scope that every valid credential has.
const ANY: &str = "any";
/// What the lines of a template begin with that are there only with or without `--sign-in`.
const WITH_SIGN_IN: &str = "@+@";
const WITHOUT_SIGN_IN: &str = "@-@";

#[derive(Args, Debug)]
pub(super) struct ProxyConfigArguments {
    /// The program
    program: Program,

    /// Where the proxy listens
    // With an id of its own: the file's `listen` is Lodge's.
    #[arg(id = "proxy_listen", long = "listen", value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: Address,

    /// Where the proxy reaches Lodge, over plain HTTP
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    lodge: Address,

    /// Where the proxy reaches the service, over plain HTTP
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000")]
    service: Address,

    /// The path of the service; every other one is answered with 404
    #[arg(long, default_value = "/files", value_parser = parse_path)]
    path: String,

    /// The scope that a caller needs; repeat it for more, or give `any` for every valid credential
    #[arg(long = "scope", value_name = "CONTROLLER/ACTION", default_value = "files/index", value_parser = parse_scope)]
    scopes: Vec<String>,

    /// The name of the service, one of Lodge's `--assertion-audience`: it gets an assertion of the caller for itself
    #[arg(long, value_name = "NAME", value_parser = Audience::parse)]
    audience: Option<Audience>,

    #[command(flatten)]
    base: BasePathArguments,

    /// Leads browsers without a credential to the page to sign in at, and passes `/sign-in` on to Lodge, which needs
    /// `--sign-in-targets`
    #[arg(long)]
    sign_in: bool,
}

/// What a configuration is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Program {
    Nginx,
    Caddy,
    Traefik,
    Envoy,
    Haproxy,
    /// The script that the configuration of `haproxy` loads
    HaproxyLua,
}

/// A host and a port; an address of IPv6 is in brackets.
#[derive(Clone, Debug)]
struct Address {
    host: String,
    port: u16,
}

pub(super) fn proxy_config(arguments: &ProxyConfigArguments) -> Result<(), Failure> {
    if arguments.scopes.len() > 1 && arguments.scopes.iter().any(|scope| scope == ANY) {
        return Err(Failure::Refused(format!("the scope `{ANY}` cannot be given beside another")));
    }
    write_all(completed(arguments).as_bytes())
}

/// The template of the program with the arguments in place of its gaps, and with the lines that they choose.
fn completed(arguments: &ProxyConfigArguments) -> String {
    let ProxyConfigArguments { listen, lodge, service, path, scopes, program, audience, base, sign_in } = arguments;
    let scopes = scopes.iter().map(|scope| format!("scope={scope}"));
    let audience = audience.iter().map(|audience| format!("aud={audience}"));
    let redirects = (*sign_in && program.understands_redirects()).then(|| "redirect=1".to_owned());
    let query = scopes.chain(audience).chain(redirects).collect::<Vec<_>>().join("&");
    let base_path = base.base_path.as_ref().map(ToString::to_string).unwrap_or_default();
    let gaps = [("PATH", path.clone()), ("QUERY", query), ("BASE_PATH", base_path)];
    let addresses = [("LISTEN", listen), ("LODGE", lodge), ("SERVICE", service)];
    let gaps = addresses.into_iter().flat_map(|(name, address)| address.gaps(name)).chain(of_names(gaps));
    gaps.fold(chosen(program.template(), *sign_in), |text, (gap, value)| text.replace(&gap, &value))
}

/// The lines of the template without those that are for the other choice; each of these begins with its mark.
fn chosen(template: &str, sign_in: bool) -> String {
    let (own, other) = if sign_in { (WITH_SIGN_IN, WITHOUT_SIGN_IN) } else { (WITHOUT_SIGN_IN, WITH_SIGN_IN) };
    let lines = template.split_inclusive('\n').filter(|line| !line.starts_with(other));
    lines.map(|line| line.strip_prefix(own).unwrap_or(line)).collect()
}

fn of_names(gaps: [(&str, String); 3]) -> impl Iterator<Item = (String, String)> {
    gaps.into_iter().map(|(name, value)| (format!("@{name}@"), value))
}

impl Program {
    /// Whether a redirect in the place of a refusal reaches the client; nginx makes 500 of it.
    fn understands_redirects(self) -> bool {
        match self {
            Self::Nginx => false,
            Self::Caddy | Self::Traefik | Self::Envoy | Self::Haproxy | Self::HaproxyLua => true,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("proxy_config/nginx.conf"),
            Self::Caddy => include_str!("proxy_config/Caddyfile"),
            Self::Traefik => include_str!("proxy_config/traefik.yml"),
            Self::Envoy => include_str!("proxy_config/envoy.yml"),
            Self::Haproxy => include_str!("proxy_config/haproxy.cfg"),
            Self::HaproxyLua => include_str!("proxy_config/haproxy.lua"),
        }
    }
}

impl Address {
    /// The gaps of that name with their values: the whole address, its host and its port.
    fn gaps(&self, name: &str) -> [(String, String); 3] {
        let host = self.host.trim_matches(['[', ']']);
        [
            (format!("@{name}@"), self.to_string()),
            (format!("@{name}_HOST@"), host.to_owned()),
            (format!("@{name}_PORT@"), self.port.to_string()),
        ]
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "it is not a host and a port, as 127.0.0.1:8080";
        let (host, port) = text.rsplit_once(':').ok_or(WRONG)?;
        let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let is_host = match ipv6 {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(is_name),
        };
        let port = port.parse().map_err(|_| WRONG)?;
        if is_host { Ok(Self { host: host.to_owned(), port }) } else { Err(WRONG) }
    }
}

/// A path that means the same in each program's language.
fn parse_path(text: &str) -> Result<String, &'static str> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_sound = path.strip_prefix('/').is_some_and(|parts| parts.split('/').all(is_part));
    if is_sound { Ok(path.to_owned()) } else { Err("it is not a path of letters, digits, `-` and `_`, as /files") }
}

fn parse_scope(text: &str) -> Result<String, &'static str> {
    let is_scope = text.split_once('/').is_some_and(|(controller, action)| Scope::parse(controller, action).is_ok());
    if is_scope || text == ANY {
        Ok(text.to_owned())
    } else {
        Err("it is not a controller and an action, as files/index")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(program: Program) -> ProxyConfigArguments {
        ProxyConfigArguments {
            program,
            listen: "[::1]:1".parse().unwrap(),
            lodge: "lodge.example:2".parse().unwrap(),
            service: "192.0.2.1:3".parse().unwrap(),
            path: "/media/all".to_owned(),
            scopes: vec!["media/index".to_owned(), "media/*".to_owned()],
            audience: Audience::parse("https://media.example").ok(),
            base: BasePathArguments::default(),
            sign_in: false,
        }
    }

    #[test]
    fn no_gap_is_left_in_a_configuration() {
        let both = Program::value_variants().iter().flat_map(|program| [(*program, false), (*program, true)]);
        for (program, sign_in) in both {
            let text = completed(&ProxyConfigArguments { sign_in, ..arguments(program) });
            assert!(!text.contains("@+") && !text.contains("@-"), "{text}");
            assert_eq!(text.contains("sign-in"), sign_in, "{program:?}: {text}");
            let mut names = text.split('@').skip(1).step_by(2);
            let is_gap =
                |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            assert!(!names.any(is_gap) && !text.contains("@P") && !text.contains("@L"), "{program:?}: {text}");
        }
        for program in [Program::Nginx, Program::Caddy, Program::Traefik, Program::Haproxy] {
            let text = completed(&arguments(program));
            assert!(text.contains("lodge.example:2") && text.contains("192.0.2.1:3"), "{text}");
            assert!(text.contains("forward-auth?scope=media/index&scope=media/*&aud=https://media.example"), "{text}");
            assert!(text.contains("/media/all"), "{text}");
        }
    }

    /// Newer programs do so themselves, so that a test with one of them would not miss it.
    #[test]
    fn headers_with_underscores_are_refused_or_removed_by_every_program() {
        for (program, means) in [
            (Program::Nginx, "underscores_in_headers off;"),
            (Program::Caddy, "request_header -*_*\n"),
            (Program::Traefik, "--entryPoints.web.http.aliasHeadersStrategy=reject "),
            (Program::Envoy, "headers_with_underscores_action: REJECT_REQUEST\n"),
            (Program::Haproxy, "http-request del-header _ -m sub\n"),
        ] {
            assert!(completed(&arguments(program)).contains(means), "{program:?}");
        }
    }

    #[test]
    fn only_proxies_that_pass_a_redirect_on_ask_for_one() {
        for program in Program::value_variants() {
            let text = completed(&ProxyConfigArguments { sign_in: true, ..arguments(*program) });
            let asks = text.contains("&redirect=1");
            assert_eq!(asks, !matches!(program, Program::Nginx | Program::HaproxyLua), "{program:?}: {text}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for wrong in ["", "8080", ":8080", "a:b", "a:70000", "::1:80", "a b:1", "a;b:1", "[x]:1", "http://a:1", "a\n:1"]
        {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        let address: Address = "[::1]:80".parse().unwrap();
        assert_eq!(address.gaps("X").map(|(_, value)| value), ["[::1]:80", "::1", "80"]);
    }

    #[test]
    fn a_path_and_a_scope_have_nothing_that_a_configuration_could_read_otherwise() {
        assert_eq!(parse_path("/files/"), Ok("/files".to_owned()));
        for wrong in ["", "/", "files", "//", "/a//b", "/a.b", "/a b", "/a;", "/a`", "/../a", "/a\n"] {
            assert!(parse_path(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "files", "files/", "files/index&x", "files / index", "ANY"] {
            assert!(parse_scope(wrong).is_err(), "{wrong}");
        }
        assert!(parse_scope("any").is_ok() && parse_scope("files/*").is_ok());
    }
}
