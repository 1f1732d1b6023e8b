//! The last place that each log line passes: e-mail addresses are masked there, whoever logged them.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::privacy::mask_emails;

/// Makes writers that mask what they are given. The subscriber gives them a line in one piece.
#[derive(Debug, Clone)]
pub(super) struct Masked<M>(pub(super) M);

/// One of them.
#[derive(Debug)]
pub(super) struct MaskedWriter<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Masked<M> {
    type Writer = MaskedWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        MaskedWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for MaskedWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(mask_emails(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    /// Nothing is held back: standard error has no buffer.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Messages, fields, errors and spans alike, in both formats.
    #[test]
    fn no_line_holds_an_address() {
        let lines = Lines::default();
        let log = || {
            let error = io::Error::other("550 no such user ada@example.com");
            let span = tracing::info_span!("mail", to = "ada@example.com").entered();
            tracing::error!(%error, address = ?"ada@example.com", "ada@example.com refused");
            drop(span);
        };
        let made = lines.clone();
        let builder = || {
            tracing_subscriber::fmt().with_writer(Masked({
                let made = made.clone();
                move || made.clone()
            }))
        };
        tracing::subscriber::with_default(builder().with_ansi(true).finish(), log);
        tracing::subscriber::with_default(builder().json().finish(), log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.matches("***@example.com").count() >= 7 && !text.contains("ada@"), "{text}");
    }
}
