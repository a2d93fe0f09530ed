//! The texts of the page. It loads nothing, runs nothing and is shown in no other page.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY},
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};

use crate::{config::WebAddress, logging::printable};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// The hash of the style, without which the browser would ignore it.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes())));

/// What the page shows.
pub(super) enum Content<'a> {
    /// The form to sign in, perhaps with what was wrong with the last one.
    Form(Option<Failure<'a>>),
    /// Who is signed in, and a button to sign out.
    SignedIn(&'a str),
    /// A sentence alone.
    Notice(&'a str),
}

/// Why signing in failed.
pub(super) struct Failure<'a> {
    pub(super) sentence: &'a str,
    /// Whether the user name or the password is wrong.
    pub(super) is_refusal: bool,
}

/// A response with the page, from which the browser may go on to that address.
pub(super) fn page(status: StatusCode, content: &Content<'_>, to: Option<&WebAddress>) -> HttpResponse {
    let (title, main) = match content {
        Content::Form(failure) => ("Sign in", form(failure.as_ref(), to)),
        Content::SignedIn(username) => ("Signed in", signed_in(username, to)),
        Content::Notice(sentence) => ("Sign in", format!(r#"<p role="alert">{}</p>"#, escaped(sentence))),
    };
    let filled = [("{title}", title), ("{style}", STYLE), ("{content}", &main)];
    let body = filled.iter().fold(TEMPLATE.to_owned(), |text, (gap, value)| text.replacen(gap, value, 2));
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
    response.body(body)
}

/// Adds the headers that the page and its redirects have. The browser names the page's origin to the page alone.
pub(super) fn protect(response: &mut HttpResponse, to: Option<&WebAddress>) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, policy(to));
}

/// The policy; a browser applies the targets of forms to the redirect after one too, which leads to that address.
fn policy(to: Option<&WebAddress>) -> HeaderValue {
    let targets = to.map_or_else(|| "'self'".to_owned(), |to| format!("'self' {}", to.origin));
    let text = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    );
    HeaderValue::try_from(text).expect("an origin has the characters of a header")
}

fn form(failure: Option<&Failure<'_>>, to: Option<&WebAddress>) -> String {
    let marks = if failure.is_some_and(|failure| failure.is_refusal) {
        r#" aria-invalid="true" aria-describedby="failure""#
    } else {
        ""
    };
    let sentence = failure.map_or_else(String::new, |failure| {
        format!("<p id=\"failure\" role=\"alert\">{}</p>\n", escaped(failure.sentence))
    });
    let host = to.map_or_else(String::new, |to| format!("<p>To go on to {}.</p>\n", escaped(to.origin.host())));
    format!(
        r#"{host}<form method="post">
<p><label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus{marks}></p>
<p><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{marks}></p>
{sentence}<p><button>Sign in</button></p>
</form>"#
    )
}

fn signed_in(username: &str, to: Option<&WebAddress>) -> String {
    let name = escaped(&printable(username));
    let onward = to.map_or_else(String::new, |to| {
        format!("<p><a href=\"{}\">Go on to {}</a></p>\n", escaped(&to.to_string()), escaped(to.origin.host()))
    });
    format!(
        r#"<p>You are signed in as <bdi>{name}</bdi>.</p>
{onward}<form method="post">
<p><button class="other" name="sign_out" value="1">Sign out</button></p>
</form>"#
    )
}

/// The text as HTML, in an attribute too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_an_element_or_ends_an_attribute() {
        assert_eq!(escaped(r#"<b a="b" c='d'>&amp;"#), "&lt;b a=&quot;b&quot; c=&#39;d&#39;&gt;&amp;amp;");
        let to = WebAddress::parse("https://a.example/'onclick='x?a=b&c").unwrap();
        let shown = signed_in("<i>\u{202e}ann", Some(&to));
        assert!(shown.contains(r"<bdi>&lt;i&gt;\u202eann</bdi>"), "{shown}");
        assert!(shown.contains(r#"href="https://a.example/&#39;onclick=&#39;x?a=b&amp;c""#), "{shown}");
    }

    #[test]
    fn the_page_loads_and_runs_nothing() {
        for forbidden in ["<script", "<img", "<link", "style=", "http", " on"] {
            let form = form(Some(&Failure { sentence: "x", is_refusal: true }), None);
            assert!(!TEMPLATE.contains(forbidden) && !form.contains(forbidden), "{forbidden}");
        }
        assert!(!STYLE.contains("url") && !STYLE.contains("@import") && !STYLE.contains("</"));
    }

    #[test]
    fn forms_lead_to_the_page_and_to_where_it_leads() {
        let to = WebAddress::parse("https://a.example:8443/x;y,z").unwrap();
        let form_action = |to| policy(to).to_str().unwrap().split("; ").nth(2).unwrap().to_owned();
        assert_eq!(form_action(None), "form-action 'self'");
        assert_eq!(form_action(Some(&to)), "form-action 'self' https://a.example:8443");
    }
}
