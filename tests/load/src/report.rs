//! What a run says at its end: JSON for scripts, aligned lines for people.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::tally::{Counts, Percentiles};

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub target: String,
    /// `closed`, or `open`.
    pub mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<f64>,
    pub connections: usize,
    pub http: &'static str,
    pub body_bytes: usize,
    pub warm_up_seconds: f64,
    /// How long was measured.
    pub duration_seconds: f64,
    /// 2xx answers a second within that time.
    pub throughput_per_second: f64,
    /// Of requests meant to leave within that time.
    pub counts: Counts,
    /// Of the whole run, warm-up included.
    pub whole_run: Counts,
    /// Requests of the open loop that were due and never left, because every connection was busy.
    pub unsent: u64,
    /// Of 2xx answers, from the moment each request was meant to leave.
    pub latency_us: Percentiles,
    /// Of all other answers.
    pub refusal_latency_us: Percentiles,
    /// How much later than meant requests left: what the generator itself or busy connections added.
    pub late_us: Percentiles,
}

impl Report {
    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let rate = self.rate_per_second.map(|rate| format!(" at {rate} a second")).unwrap_or_default();
        let mut lines = vec![
            format!("target      {}", self.target),
            format!(
                "load        {} loop{rate}, {} connections, HTTP/{}, {} bytes an event, {:.1} s after {:.1} s of warm-up",
                self.mode,
                self.connections,
                self.http,
                self.body_bytes,
                self.duration_seconds,
                self.warm_up_seconds
            ),
            format!("throughput  {:.0} a second", self.throughput_per_second),
            format!("answers     {}", words(&self.counts)),
        ];
        lines.push(format!("latency     {}", percentile_words(&self.latency_us)));
        if self.refusal_latency_us.count > 0 {
            lines.push(format!("refusals    {}", percentile_words(&self.refusal_latency_us)));
        }
        if self.mode == "open" {
            lines.push(format!("left late   {}", percentile_words(&self.late_us)));
        }
        if self.unsent > 0 {
            lines.push(format!("unsent      {} were due and found no free connection", self.unsent));
        }
        lines
    }
}

fn words(counts: &Counts) -> String {
    let mut words = vec![format!("{} accepted", counts.accepted)];
    if counts.duplicate > 0 {
        words.push(format!("{} duplicate", counts.duplicate));
    }
    words.extend(counts.others.iter().map(|(word, count)| format!("{count} × {word}")));
    words.join(", ")
}

fn percentile_words(p: &Percentiles) -> String {
    let named = [("p50", p.p50), ("p90", p.p90), ("p99", p.p99), ("p99.9", p.p99_9), ("max", p.max)];
    let named: Vec<String> =
        named.iter().map(|(name, micros)| format!("{name} {:.2} ms", *micros as f64 / 1000.0)).collect();
    named.join("  ")
}

/// Lines on standard output. Where nobody reads on (`| head`), there is nothing left to do.
pub fn print(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        std::process::exit(if error.kind() == ErrorKind::BrokenPipe { 0 } else { 74 });
    }
}

/// JSON on standard output.
pub fn print_json(value: &impl Serialize) {
    print(&serde_json::to_string_pretty(value).expect("reports are plain data"));
}
