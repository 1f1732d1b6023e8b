//! A receiver for tests: a real HTTP/1.1 server on a port of its own, plain or with TLS, that keeps what came, byte for
//! byte, and answers what it is told. Also used by `tests/it`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Bytes of an answer, as they go out.
pub(crate) type Raw = Vec<u8>;

/// One request, as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection brought it, counted from 0.
    pub(crate) connection: usize,
}

/// It serves until the test ends.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// What it answers: the number of the request (from 0) in, the bytes of the answer out.
type Answer = Mutex<Box<dyn Fn(usize) -> Raw + Send>>;

/// An answer with a `Content-Length`.
pub(crate) fn status(status: &str, headers: &str, body: &str) -> Raw {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Request {
    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Receiver {
    /// Serves on this port.
    pub(crate) fn serve(
        listener: TcpListener,
        tls: Option<ServerConfig>,
        answer: impl Fn(usize) -> Raw + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(Mutex::new(Box::new(answer)));
        let (kept, tls) = (Arc::clone(&requests), tls.map(Arc::new));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (kept, answering, tls) = (Arc::clone(&kept), Arc::clone(&answer), tls.clone());
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    match tls {
                        None => converse(&stream, number, &kept, &answering),
                        Some(config) => {
                            let session = ServerConnection::new(config).unwrap();
                            let stream = StreamOwned::new(session, stream);
                            converse(stream, number, &kept, &answering);
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What came until now.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers requests until the other side goes, or an answer is empty: then the connection is left open and silent.
fn converse(stream: impl Read + Write, connection: usize, kept: &Mutex<Vec<Request>>, answer: &Answer) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, connection) {
        let number = {
            let mut kept = kept.lock().unwrap();
            kept.push(request);
            kept.len() - 1
        };
        let raw = (answer.lock().unwrap())(number);
        if raw.is_empty() {
            // Until the client goes.
            let _ = stream.read(&mut [0]);
            return;
        }
        if stream.get_mut().write_all(&raw).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl BufRead, connection: usize) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        // Also a handshake that fails.
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request { line: lines[0].clone(), headers, body, connection })
}
