//! hyper alone: what an answer costs that nothing stands behind. Two threads, like the daemon on two cores.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use hookyard_load::failure::Failure;
use hookyard_load::report;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// Serves until it is killed.
pub(super) fn serve() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("no runtime: {error}")))?;
    runtime
        .block_on(accept())
        .map_err(|error| Failure::Unavailable(format!("cannot listen on this machine: {error}")))
}

async fn accept() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    report::print(&listener.local_addr()?.to_string());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let serving = auto::Builder::new(TokioExecutor::new());
            // A broken connection is the generator's to count.
            let _ended = serving.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

/// Reads the body and answers.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_frame)) = body.frame().await {}
    Ok(Response::new(Full::new(Bytes::from_static(b"{\"status\":\"ok\"}"))))
}
