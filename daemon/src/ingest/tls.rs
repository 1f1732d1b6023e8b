//! TLS at the door: a certificate that is read again when its files change, without a restart.
//!
//! Every [`CERTIFICATE_POLL`] the files' bytes are compared (not their times: renewals move, link and touch). A new pair
//! that cannot be used, such as a certificate whose key is not there yet, is warned about and the old one stays.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::model::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_POLL};

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate first, then the chain.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: does it exist, and may hookyard's user read it?", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is larger than {CERTIFICATE_BYTES_MAX} bytes: it cannot be a certificate or key", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} is no PEM file that can be used", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("the certificate {} and the key {} cannot be used together", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("this build of rustls offers no TLS version that its cryptography supports")]
    NoVersions { source: rustls::Error },
}

/// A loaded certificate and its files.
pub(super) struct Tls {
    files: TlsFiles,
    /// Of both files, as they were last tried.
    seen: Fingerprint,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

type Fingerprint = [u8; 32];

/// What the handshakes use now.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads the files; a fault here is told before the port is taken.
    pub(super) async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pair = Pair::read(&files).await?;
        let current = Arc::new(Current(ArcSwap::from_pointee(pair.certified(&files, &provider)?)));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::NoVersions { source })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { files, seen: pair.fingerprint(), current, acceptor })
    }

    /// Starts the task that watches the files until `cut`, and hands out what takes handshakes.
    pub(super) fn keep_fresh(mut self, cut: CancellationToken) -> TlsAcceptor {
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move { cut.run_until_cancelled(self.watch()).await });
        acceptor
    }

    async fn watch(&mut self) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(CERTIFICATE_POLL).await;
            match self.refresh().await {
                Ok(false) => {}
                Ok(true) => {
                    told.clear();
                    tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
                }
                Err(error) if error.to_string() == told => {}
                Err(error) => {
                    told = error.to_string();
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(cause, "the new certificate is not used, the old one stays: {error}");
                }
            }
        }
    }

    /// Whether there was a new certificate.
    async fn refresh(&mut self) -> Result<bool, TlsError> {
        let pair = Pair::read(&self.files).await?;
        let fingerprint = pair.fingerprint();
        if fingerprint == self.seen {
            return Ok(false);
        }
        self.seen = fingerprint;
        let certified = pair.certified(&self.files, &rustls::crypto::ring::default_provider())?;
        self.current.0.store(Arc::new(certified));
        Ok(true)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Pair {
    async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: read(&files.certificate).await?, key: read(&files.key).await? })
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(Sha256::digest(&self.certificate));
        hash.update(Sha256::digest(&self.key));
        hash.finalize().into()
    }

    fn certified(&self, files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Pem { path, source }
        };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(in_file(&files.certificate))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: files.certificate.clone() });
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(in_file(&files.key))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| TlsError::Unusable {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(CERTIFICATE_BYTES_MAX + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= CERTIFICATE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(TlsError::TooLarge { path: path.to_owned() })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}
