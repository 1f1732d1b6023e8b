//! How a library's checked bytes reach the child: as a descriptor that rides with the daemon's first words.
//!
//! The descriptor is of a sealed file in memory (see the daemon's `host::sealed`), so no path lies between what was checked
//! and what is loaded, and the child needs no right to read where libraries are kept. Where there is no such file the first
//! words come alone, and the child loads by path.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// No program that the plugin starts gets the descriptor.
#[cfg(target_os = "linux")]
const PRIVATE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Elsewhere none comes.
#[cfg(not(target_os = "linux"))]
const PRIVATE: RecvFlags = RecvFlags::empty();

/// Sends the first words over a socket that nothing was sent over yet, so that it takes them at once, and with them the
/// descriptor.
pub fn send(socket: &UnixStream, words: &[u8], library: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = library.as_slice();
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("there is no room for the library's descriptor"));
    }
    let sent = sendmsg(socket, &[IoSlice::new(words)], &mut control, SendFlags::empty())?;
    if sent == words.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Reads the first words, and keeps the descriptor that comes with them.
#[derive(Debug)]
pub(crate) struct FirstWords<'socket> {
    socket: &'socket UnixStream,
    library: Option<OwnedFd>,
}

impl<'socket> FirstWords<'socket> {
    pub(crate) fn from(socket: &'socket UnixStream) -> Self {
        Self { socket, library: None }
    }

    /// What came.
    pub(crate) fn into_library(self) -> Option<OwnedFd> {
        self.library
    }
}

impl Read for FirstWords<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(self.socket, &mut [IoSliceMut::new(buffer)], &mut control, PRIVATE)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.library = descriptors.last().or(self.library.take());
            }
        }
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_descriptor_comes_with_the_first_words_however_they_are_read() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"the library").unwrap();
        file.rewind().unwrap();
        send(&ours, b"words", Some(file.as_fd())).unwrap();
        drop(file);
        let mut first = FirstWords::from(&theirs);
        let mut words = [0; 5];
        first.read_exact(&mut words[..2]).unwrap();
        first.read_exact(&mut words[2..]).unwrap();
        assert_eq!(&words, b"words");
        let mut read = String::new();
        File::from(first.into_library().unwrap()).read_to_string(&mut read).unwrap();
        assert_eq!(read, "the library");
    }

    #[test]
    fn words_may_come_alone() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, b"words", None).unwrap();
        let mut first = FirstWords::from(&theirs);
        first.read_exact(&mut [0; 5]).unwrap();
        assert!(first.into_library().is_none());
    }
}
