//! What a plugin's libraries log through `tracing` and `log`, handed to hookyard with the event and the attempt that the
//! thread works on. Features `tracing` and `log`; each is installed once in a process, before the first handler is made, and
//! leaves alone what the plugin has installed itself.
//!
//! A thread that the plugin started works for no call: its lines, from `warn` on, go to stderr, which hookyard catches.

use std::fmt::Write as _;

use crate::Level;
use crate::ffi::current;

/// Installs whatever the features ask for.
pub(crate) fn install() {
    #[cfg(feature = "tracing")]
    // A plugin that has a subscriber of its own wants that one.
    drop(tracing::subscriber::set_global_default(of_tracing::Forwarder));
    #[cfg(feature = "log")]
    if log::set_logger(&of_log::FORWARDER).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}

fn is_enabled(level: Level) -> bool {
    current::is_enabled(level).unwrap_or(level >= Level::Warn)
}

fn say(level: Level, message: &str, fields: &[(&str, &str)]) {
    if !current::log(level, message, fields) {
        let fields = fields.iter().fold(String::new(), |mut line, (key, value)| {
            // Writing to a string cannot fail.
            let _infallible = write!(line, " {key}={value}");
            line
        });
        eprintln!("{level:?}: {message}{fields}");
    }
}

#[cfg(feature = "tracing")]
mod of_tracing {
    use std::fmt::Debug;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::Interest;
    use tracing::{Event, Metadata, Subscriber};

    use super::{Level, is_enabled, say};

    /// Spans are not told apart: a line has the event and the attempt, which is the span that counts here.
    pub(super) struct Forwarder;

    #[derive(Default)]
    struct Line {
        message: String,
        fields: Vec<(&'static str, String)>,
    }

    impl Subscriber for Forwarder {
        fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
            // Whether a level is kept depends on the thread.
            Interest::sometimes()
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event() && is_enabled(level(*metadata.level()))
        }

        fn event(&self, event: &Event<'_>) {
            let mut line = Line::default();
            event.record(&mut line);
            let fields: Vec<(&str, &str)> = line.fields.iter().map(|(key, value)| (*key, &**value)).collect();
            say(level(*event.metadata().level()), &line.message, &fields);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    impl Visit for Line {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.take(field, value.to_owned());
        }

        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.take(field, format!("{value:?}"));
        }
    }

    impl Line {
        fn take(&mut self, field: &Field, value: String) {
            match field.name() {
                "message" => self.message = value,
                name => self.fields.push((name, value)),
            }
        }
    }

    fn level(level: tracing::Level) -> Level {
        match level {
            tracing::Level::TRACE => Level::Trace,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::INFO => Level::Info,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::ERROR => Level::Error,
        }
    }
}

#[cfg(feature = "log")]
mod of_log {
    use log::{Log, Metadata, Record};

    use super::{Level, is_enabled, say};

    pub(super) static FORWARDER: Forwarder = Forwarder;

    pub(super) struct Forwarder;

    impl Log for Forwarder {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            is_enabled(level(metadata.level()))
        }

        fn log(&self, record: &Record<'_>) {
            if self.enabled(record.metadata()) {
                let message = record.args().to_string();
                say(level(record.level()), &message, &[("target", record.target())]);
            }
        }

        fn flush(&self) {}
    }

    fn level(level: log::Level) -> Level {
        match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        }
    }
}
