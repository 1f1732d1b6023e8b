//! Frames over the socket, from the daemon's end. The format is the plugin host's own (`protocol`); this is its async half.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use hookyard_plugin_host::protocol::{
    self, Blob, Confine, FrameError, HEADER_BYTES, Ids, TO_CHILD_BYTES_MAX, ToChild,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::model::confinement::Confinement;
use crate::model::limits::HOST_OUTBOX_MAX;

/// Reads one frame's bytes. `None` at the end of the stream, also where it comes in the middle of a frame: a child that
/// is killed leaves one cut, which is no breach.
pub(super) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    max: u32,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut header = [0; HEADER_BYTES];
    if ended(from.read_exact(&mut header).await)? {
        return Ok(None);
    }
    let mut frame = vec![0; protocol::length(header, max)?];
    if ended(from.read_exact(&mut frame).await)? {
        return Ok(None);
    }
    Ok(Some(frame))
}

/// Writes frames until the last sender is gone, or the child. What waits goes out in one piece.
pub(super) async fn write(mut to: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Vec<u8>>) {
    let mut waiting = Vec::new();
    while frames.recv_many(&mut waiting, HOST_OUTBOX_MAX).await > 0 {
        let mut written = waiting.drain(..);
        let mut piece = written.next().unwrap_or_default();
        written.for_each(|frame| piece.extend_from_slice(&frame));
        if let Err(error) = to.write_all(&piece).await {
            // The reading half sees the same end and says why.
            tracing::debug!(%error, "a plugin host takes no more frames");
            return;
        }
    }
}

/// A message as a frame.
pub(super) fn frame(message: &ToChild) -> Result<Vec<u8>, FrameError> {
    protocol::encode(message, TO_CHILD_BYTES_MAX)
}

/// What a plugin may reach, for its child, which becomes `user`.
pub(super) fn confine(confinement: &Confinement, user: Option<Ids>) -> Confine {
    let paths = |paths: &Vec<PathBuf>| {
        paths.iter().map(|path| Blob(path.as_os_str().as_bytes().to_vec())).collect::<Vec<_>>()
    };
    Confine {
        read: confinement.read.as_ref().map(paths),
        write: paths(&confinement.write),
        network: confinement.network,
        user,
    }
}

fn ended(read: io::Result<usize>) -> Result<bool, FrameError> {
    match read {
        Ok(_) => Ok(false),
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Ok(true),
            _ => Err(FrameError::Io(error)),
        },
    }
}
