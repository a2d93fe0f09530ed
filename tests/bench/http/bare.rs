//! The server that the other is measured against: a bare actix-web handler that answers the same bytes.

use std::{fs, io, net::SocketAddr, path::Path};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{HeaderName, HeaderValue},
    web::{self, Bytes},
};
use serde::{Deserialize, Serialize};

/// What is answered to everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Its headers, but for those that the framework adds.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Answers what is in that file until it is killed.
pub fn serve(file: &Path) -> io::Result<()> {
    let answer: Answer = serde_json::from_slice(&fs::read(file)?)?;
    let header = |(name, value): (String, String)| {
        (HeaderName::try_from(name).expect("a header's name"), HeaderValue::try_from(value).expect("a header's value"))
    };
    let headers: Vec<_> = answer.headers.into_iter().map(header).collect();
    let body = Bytes::from(answer.body);
    let server = HttpServer::new(move || {
        let (headers, body) = (headers.clone(), body.clone());
        App::new().default_service(web::to(move || {
            let mut response = HttpResponse::Ok().body(body.clone());
            for (name, value) in &headers {
                response.headers_mut().insert(name.clone(), value.clone());
            }
            async move { response }
        }))
    });
    let server = server.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("listening on http://{}", server.addrs()[0]);
    actix_web::rt::System::new().block_on(server.run())
}
