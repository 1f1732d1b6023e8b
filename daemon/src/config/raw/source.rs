//! `[source.x]`: where events come from, and how they prove it.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::elements::secret::SecretRef;
use crate::config::elements::{Invalid, http_path, name};
use crate::config::faults::Spotted;
use crate::config::reader::Reader;
use crate::config::snapshot::{RateLimit, TOLERANCE_DEFAULT};
use crate::model::ids::SourceName;
use crate::rules::{Aliases, Fault, Livemode, Path, Step, is_word_of_the_language, nearest};

/// One while nothing is rolled, two while it is; eight are a mistake that costs a hash each.
const SECRETS_MAX: usize = 8;
/// Zero would refuse everything, or turn the check off as in some libraries; a day lets old requests be replayed.
const TOLERANCE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// Each is compared with every value of a body, and named in a header of the event.
const REDACT_PATHS_MAX: usize = 32;
const REDACT_PATH_BYTES_MAX: usize = 200;
/// By these events are told apart and routed, and the door reads them.
const NEVER_REDACTED: [&str; 5] = ["id", "type", "object", "account", "livemode"];
/// More than a machine answers.
const RATE_RANGE: RangeInclusive<usize> = 1..=1_000_000;
const RATE_DEFAULT: usize = 100;

/// `[source.x]` with its secrets still references.
#[derive(Debug)]
pub(in crate::config) struct RawSource {
    pub(in crate::config) name: Spotted<SourceName>,
    pub(in crate::config) path: Option<Spotted<String>>,
    pub(in crate::config) secrets: Vec<Spotted<SecretRef>>,
    pub(in crate::config) tolerance: Duration,
    pub(in crate::config) livemode: Livemode,
    pub(in crate::config) rate_limit: Option<RateLimit>,
    /// What the first word of a path may stand for in this source's events.
    pub(in crate::config) aliases: Aliases,
    /// What is taken out of its bodies.
    pub(in crate::config) redact: Vec<Spotted<Path>>,
}

pub(super) fn read_all(main: &mut Reader<'_, '_, '_>) -> Vec<RawSource> {
    let tables = main.named_tables("source");
    if tables.is_empty() {
        let help = "write [source.stripe] with its path, scheme and secrets";
        main.fault(super::missing("there is no [source.x]: nothing could ever arrive", help));
    }
    tables.into_iter().map(|(name, table)| read(main, name, table)).collect()
}

fn read(main: &mut Reader<'_, '_, '_>, name: &Spanned<DeString<'_>>, table: &DeTable<'_>) -> RawSource {
    let (name, mut section) = main.named("source", name, table, name::parse);
    section.require("path", "write path = \"/webhooks/stripe\"");
    section.require("scheme", "write scheme = \"stripe\"");
    section.require("secrets", "write secrets = [\"env:STRIPE_WEBHOOK_SECRET\"]");
    let path = section.parsed("path", "a path", "\"/webhooks/stripe\"", http_path::parse);
    section.parsed("scheme", "a string", "\"stripe\"", scheme);
    let secrets = read_secrets(&mut section);
    let tolerance = section.duration("tolerance", TOLERANCE_DEFAULT, TOLERANCE_RANGE);
    let livemode = section.parsed("livemode", "a string", "\"any\"", livemode);
    let rate_limit = read_rate_limit(&mut section);
    let aliases = read_aliases(&mut section);
    let redact = read_redact(&mut section);
    section.not_yet("idempotency_key");
    section.finish();
    RawSource {
        name: name.map(|name| SourceName::new(&name)),
        path,
        secrets,
        tolerance,
        livemode: livemode.map_or(Livemode::Any, |livemode| livemode.value),
        rate_limit,
        aliases,
        redact,
    }
}

fn read_redact(section: &mut Reader<'_, '_, '_>) -> Vec<Spotted<Path>> {
    let Some(Spotted { value: paths, spot }) = section.list("redact", false, redacted_path) else {
        return Vec::new();
    };
    if paths.len() > REDACT_PATHS_MAX {
        let message = format!("`redact` lists {} paths; it takes {REDACT_PATHS_MAX}", paths.len());
        section.fault(
            Fault::new(spot.span, message).help("write what they have in common: all below it goes too"),
        );
    }
    paths
}

/// From the event's root: an alias of a rule would hide what is meant.
fn redacted_path(text: &str) -> Result<Path, Invalid> {
    const HELP: &str = "write the whole path from the event's root: \"data.object.customer_details.phone\"";
    let path = Path::whole(text).map_err(|fault| Invalid::new(fault.to_string(), HELP))?;
    match path.steps() {
        _ if text.len() > REDACT_PATH_BYTES_MAX => {
            Err(Invalid::new(format!("the path is longer than {REDACT_PATH_BYTES_MAX} bytes"), HELP))
        }
        [Step::Key(first), ..] if NEVER_REDACTED.contains(&&**first) => {
            let message = format!("`{first}` cannot be redacted: by it events are told apart and routed");
            Err(Invalid::new(message, "take it away"))
        }
        _ => Ok(path),
    }
}

/// The scheme's aliases, and what `alias` adds or says otherwise.
fn read_aliases(section: &mut Reader<'_, '_, '_>) -> Aliases {
    let mut aliases = Aliases::stripe();
    let Some(table) = section.table("alias") else { return aliases };
    for (alias, value) in table.whole() {
        let word = alias.get_ref().as_ref();
        if name::parse(word).is_err() || is_word_of_the_language(word) {
            let fault = Fault::new(alias.span(), format!("`{word}` cannot be an alias"));
            let help = "an alias is one word of letters, digits, `-` and `_`, and no operator or combinator";
            table.faults.fault(table.file, fault.help(help));
            continue;
        }
        let DeValue::String(path) = value.get_ref() else {
            let fault = Fault::new(value.span(), format!("`{word}` stands for no path"));
            table.faults.fault(table.file, fault.help("write tier = \"data.object.metadata.tier\""));
            continue;
        };
        if let Err(fault) = aliases.set(word, path) {
            let fault = Fault::new(value.span(), fault.to_string());
            let help = "write the whole path from the event's root: \"data.object.metadata.tier\"";
            table.faults.fault(table.file, fault.help(help));
        }
    }
    aliases
}

fn scheme(text: &str) -> Result<(), Invalid> {
    if text == "stripe" {
        return Ok(());
    }
    let help = match nearest(text, ["stripe"]) {
        Some(known) => format!("did you mean \"{known}\"?"),
        None => "this version knows \"stripe\"".to_owned(),
    };
    Err(Invalid::new(format!("there is no scheme `{text}`"), help))
}

fn livemode(text: &str) -> Result<Livemode, Invalid> {
    match text {
        "any" => Ok(Livemode::Any),
        "live" => Ok(Livemode::Live),
        "test" => Ok(Livemode::Test),
        other => {
            let message = format!("`{other}` is no livemode");
            Err(Invalid::new(message, r#"write "any", "live" or "test""#))
        }
    }
}

fn read_secrets(section: &mut Reader<'_, '_, '_>) -> Vec<Spotted<SecretRef>> {
    let Some(value) = section.get("secrets") else { return Vec::new() };
    let DeValue::Array(list) = value.get_ref() else {
        if section.secret_value("secrets", value).is_some() {
            let fault = Fault::new(value.span(), "`secrets` takes a list, and this is a single reference");
            section.fault(
                fault.help("put it in brackets; a second one stands beside it while a secret is rolled"),
            );
        }
        return Vec::new();
    };
    if list.is_empty() || list.len() > SECRETS_MAX {
        let message = format!("`secrets` lists {} secrets; it takes 1 to {SECRETS_MAX}", list.len());
        section
            .fault(Fault::new(value.span(), message).help("write secrets = [\"env:STRIPE_WEBHOOK_SECRET\"]"));
    }
    list.iter().filter_map(|entry| section.secret_value("secrets", entry)).collect()
}

fn read_rate_limit(section: &mut Reader<'_, '_, '_>) -> Option<RateLimit> {
    let mut limit = section.table("rate_limit")?;
    limit.require("per_second", "write rate_limit = { per_second = 100, burst = 200 }");
    let per_second = limit.count("per_second", RATE_DEFAULT, RATE_RANGE);
    let burst = limit.count("burst", per_second, RATE_RANGE);
    limit.finish();
    let non_zero = |count: usize| u32::try_from(count).ok().and_then(NonZeroU32::new);
    Some(RateLimit { per_second: non_zero(per_second)?, burst: non_zero(burst)? })
}
