//! TLS at the door: both protocols by ALPN, a certificate exchanged while serving, and a bad one refused.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hookyard::ingest::{DoorSettings, TlsFiles};
use http_body_util::Full;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::house::{House, PATIENCE, event, read_end, read_reply, request, signed};
use super::http2;

/// Makes a certificate for `localhost`, writes it and its key, and returns it.
fn write_certificate(directory: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

async fn house(directory: &Path) -> House {
    let files = TlsFiles { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
    let adjust = |settings: &mut DoorSettings| settings.tls = Some(files);
    House::open_with(adjust, None, PATIENCE).await
}

/// A connection that trusts these certificates and speaks this protocol.
async fn connect(
    house: &House,
    trusted: &[CertificateDer<'static>],
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, house.connect().await).await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn both_protocols_are_served_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = write_certificate(directory.path());
    let house = house(directory.path()).await;

    let mut stream = connect(&house, std::slice::from_ref(&certificate), b"http/1.1").await.unwrap();
    stream.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.field("status"), "accepted");

    let stream = connect(&house, &[certificate], b"h2").await.unwrap();
    let mut sender = http2::client::<Full<Bytes>>(stream).await;
    let (status, body) = http2::told(sender.send_request(http2::post(&event("evt_1"))).await.unwrap()).await;
    assert_eq!((status.as_u16(), body["status"].as_str()), (200, Some("duplicate")));
}

#[tokio::test]
async fn plain_http_and_silence_get_nothing_from_a_tls_door() {
    let directory = tempfile::tempdir().unwrap();
    write_certificate(directory.path());
    let files =
        TlsFiles { certificate: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
    let adjust = |settings: &mut DoorSettings| {
        settings.tls = Some(files);
        settings.header_timeout = std::time::Duration::from_millis(100);
    };
    let house = House::open_with(adjust, None, PATIENCE).await;
    let mut silent = house.connect().await;
    read_end(&mut silent).await;
    let mut plain = house.connect().await;
    plain.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    let mut answer = Vec::new();
    // A TLS alert or a reset, but no HTTP.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    assert_eq!(house.store.stored().await.len(), 0);
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let first = write_certificate(directory.path());
    let house = house(directory.path()).await;
    let mut open = connect(&house, std::slice::from_ref(&first), b"http/1.1").await.unwrap();
    assert_eq!(shown(&open), first);

    let second = write_certificate(directory.path());
    let both = [first, second.clone()];
    tokio::time::timeout(PATIENCE, async {
        while shown(&connect(&house, &both, b"http/1.1").await.unwrap()) != second {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the new certificate in time");
    // What is open stays open.
    open.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    assert_eq!(read_reply(&mut open).await.status, 200);

    // A key that does not belong to the certificate, then no PEM at all: the last good pair stays.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for bad in [other.signing_key.serialize_pem(), "nonsense".to_owned()] {
        std::fs::write(directory.path().join("key.pem"), bad).unwrap();
        tokio::time::sleep(hookyard::model::limits::CERTIFICATE_POLL * 2).await;
        assert_eq!(shown(&connect(&house, &both, b"http/1.1").await.unwrap()), second);
    }
}

#[tokio::test]
async fn a_door_does_not_open_without_a_usable_certificate() {
    use hookyard::ingest::{Door, DoorError};
    let directory = tempfile::tempdir().unwrap();
    let bind = async || {
        let mut settings = DoorSettings::new(([127, 0, 0, 1], 0).into());
        settings.tls = Some(TlsFiles {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        });
        let store = Arc::new(super::house::Shelf::default());
        let clock = Arc::new(hookyard::model::clock::SystemClock);
        match Door::bind(settings, vec![], store, clock).await {
            Err(DoorError::Tls(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(bind().await.contains("cert.pem cannot be read"));
    write_certificate(directory.path());
    std::fs::write(directory.path().join("cert.pem"), "").unwrap();
    assert!(bind().await.contains("cert.pem holds no certificate"));
    write_certificate(directory.path());
    std::fs::write(directory.path().join("key.pem"), "").unwrap();
    assert!(bind().await.contains("key.pem is no PEM file"));
    write_certificate(directory.path());
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.path().join("key.pem"), other.signing_key.serialize_pem()).unwrap();
    assert!(bind().await.contains("cannot be used together"));
}
