//! From what is written to what holds: names are looked up, secrets fetched, files beside the configuration tried.
//!
//! Every fault goes to the same list as those of `raw`. The snapshot that comes out is used only if that list is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use minisign_verify::PublicKey;

use super::LoadOptions;
use super::faults::{Faults, Spot, Spotted};
use super::outline::Outline;
use super::raw::{RawConfig, RawFallback, RawHandler, RawPlugin, RawRule, RawServer, RawSource};
use super::secrets::fetch;
use super::snapshot::{Admin, Handler, Plugin, Scheme, Server, Snapshot, Source};
use super::testing::RuleTest;
use super::{rule_cost, rule_findings};
use crate::model::ids::{HandlerName, PluginName, RuleName, SnapshotHash, SourceName};
use crate::model::signed_by::SignedBy;
use crate::rules::{Fault, Path, RuleSet, nearest};

/// The snapshot that `raw` describes. To be used only if `faults` stayed empty.
pub(super) fn check(
    raw: RawConfig,
    (hash, outline): (SnapshotHash, Outline),
    options: LoadOptions<'_>,
    faults: &mut Faults<'_>,
) -> (Snapshot, Vec<RuleTest>) {
    let plugins = check_plugins(&raw.plugins, raw.trusted_keys.as_deref(), options, faults);
    check_handler_references(&raw, faults);
    check_test_references(&raw, faults);
    if faults.is_sound() {
        warn_of_unused(&raw, faults);
    }
    let tests = check_tests(&raw, faults);
    let server = check_server(raw.server, options, faults);
    let redacted: Vec<Spotted<Path>> = raw.sources.iter().flat_map(|source| source.redact.clone()).collect();
    let sources = check_sources(raw.sources, options, faults);
    let handlers = raw.handlers.into_iter().map(|handler| check_handler(handler, options, faults)).collect();
    let spots: Vec<Spot> = raw.rules.iter().map(|rule| rule.name.spot.clone()).collect();
    let rules = check_rules(raw.rules, &sources, faults);
    let livemodes = sources.iter().map(|source| (source.name.clone(), source.livemode)).collect();
    let rules = RuleSet::new(rules, raw.fallback.fallback, raw.terms.into_watch(), livemodes);
    rule_cost::check(&rules, &spots, faults);
    // What is written wrongly is read as less than it says, and proves nothing.
    if faults.is_sound() {
        rule_findings::check(&rules, &spots, faults);
        rule_findings::check_redacted(&rules, &redacted, faults);
    }
    let rules = Arc::new(rules);
    (Snapshot { hash, outline, server, store: raw.store, sources, plugins, handlers, rules }, tests)
}

fn check_server(raw: RawServer, options: LoadOptions<'_>, faults: &mut Faults<'_>) -> Server {
    let mut server = raw.server;
    raw.tls.iter().for_each(|file| check_readable(file, faults));
    let Some(admin) = raw.admin else { return server };
    let Spotted { value: listen, spot } = admin.listen;
    if listen == server.listen && listen.port() != 0 {
        let fault = Fault::new(spot.span.clone(), format!("both listeners are at {listen}"));
        faults.fault(
            spot.file,
            fault.help("give the operators another port: what Stripe can reach, anyone can"),
        );
    }
    if !listen.ip().is_loopback() {
        let warning = Fault::new(spot.span, "the operators' token travels in clear text to this address");
        faults.warn(
            spot.file,
            warning.help("listen on 127.0.0.1, and reach it through ssh or a proxy with TLS"),
        );
    }
    let token = admin.token.and_then(|token| fetch(&token, options, faults));
    server.admin = token.map(|token| Admin { listen, token });
    server
}

fn check_readable(file: &Spotted<PathBuf>, faults: &mut Faults<'_>) {
    if let Err(error) = File::open(&file.value) {
        let message = format!("cannot read {}: {error}", file.value.display());
        let fault = Fault::new(file.spot.span.clone(), message);
        faults.fault(file.spot.file, fault.help("the daemon's user must be able to read it"));
    }
}

fn check_sources(raw: Vec<RawSource>, options: LoadOptions<'_>, faults: &mut Faults<'_>) -> Vec<Source> {
    let mut paths: BTreeMap<String, Spot> = BTreeMap::new();
    let mut sources = Vec::new();
    for source in raw {
        if let Some(path) = &source.path {
            match paths.get(&path.value) {
                Some(first) => {
                    let message = format!("two sources are at {}", path.value);
                    let help = format!("the other is at {}; give each its own path", faults.place(first));
                    faults.fault(path.spot.file, Fault::new(path.spot.span.clone(), message).help(help));
                }
                None => {
                    paths.insert(path.value.clone(), path.spot.clone());
                }
            }
        }
        let secrets = source.secrets.iter().filter_map(|secret| fetch(secret, options, faults)).collect();
        sources.push(Source {
            name: source.name.value,
            path: source.path.map(|path| path.value).unwrap_or_default(),
            scheme: Scheme::Stripe { secrets, tolerance: source.tolerance },
            livemode: source.livemode,
            redact: source.redact.into_iter().map(|path| path.value).collect(),
            rate_limit: source.rate_limit,
        });
    }
    sources
}

fn check_plugins(
    raw: &[RawPlugin],
    trusted_keys: Option<&[PublicKey]>,
    options: LoadOptions<'_>,
    faults: &mut Faults<'_>,
) -> BTreeMap<PluginName, Plugin> {
    let mut plugins = BTreeMap::new();
    for plugin in raw {
        let name = plugin.name.value.clone();
        if !plugin.pin_written && !options.dev && !plugin.path.as_os_str().is_empty() {
            let message = format!("[plugin.{name}] is not pinned: whatever lies at its path would be run");
            let help = format!(
                "write sha256 = \"…\", what sha256sum prints for {}; only with --dev is no pin needed",
                plugin.path.display()
            );
            let fault = Fault::new(plugin.name.spot.span.clone(), message).help(help);
            faults.fault(plugin.name.spot.file, fault.about_the_whole());
        }
        let checked = Plugin {
            name: name.clone(),
            path: plugin.path.clone(),
            sha256: plugin.sha256.clone(),
            owner_counts: !options.dev,
            signed_by: check_signature(plugin, trusted_keys, options.dev, faults),
            canary: plugin.canary,
        };
        plugins.insert(name, checked);
    }
    plugins
}

/// Where keys are trusted each plugin has to be signed; a developer's only where its signature is written.
fn check_signature(
    plugin: &RawPlugin,
    trusted_keys: Option<&[PublicKey]>,
    dev: bool,
    faults: &mut Faults<'_>,
) -> Option<SignedBy> {
    match (&plugin.signature, trusted_keys) {
        (Some(signature), None) => {
            let message = format!("[plugin.{}] has a `signature` and no key is trusted", plugin.name.value);
            let help =
                "write a section [plugins] with trusted_keys = [\"RW…\"], the second line of minisign.pub";
            faults.fault(signature.spot.file, Fault::new(signature.spot.span.clone(), message).help(help));
            None
        }
        (None, None) => None,
        (None, Some(_)) if dev => None,
        (signature, Some(keys)) => {
            let written = signature.as_ref().map(|signature| signature.value.as_path());
            Some(SignedBy::beside(&plugin.path, written, keys.to_vec()))
        }
    }
}

fn check_handler(
    raw: RawHandler,
    options: LoadOptions<'_>,
    faults: &mut Faults<'_>,
) -> (HandlerName, Handler) {
    let mut secrets = BTreeMap::new();
    for (name, reference) in raw.secrets {
        secrets.extend(fetch(&reference, options, faults).map(|secret| (name, secret)));
    }
    raw.ca.iter().for_each(|file| check_readable(file, faults));
    let handler = Handler {
        name: raw.name.value.clone(),
        plugin: raw.plugin.map_or_else(|| PluginName::new(""), |plugin| plugin.value),
        concurrency: raw.concurrency,
        isolation: raw.isolation,
        processes: raw.processes,
        timeout: raw.timeout,
        retry: raw.retry,
        settings: raw.settings,
        secrets,
        confine: raw.confine,
        http: raw.http,
    };
    (raw.name.value, handler)
}

/// A handler's plugin, and the handlers of every rule and of the default, must be there.
fn check_handler_references(raw: &RawConfig, faults: &mut Faults<'_>) {
    let plugins: Vec<&str> = raw.plugins.iter().map(|plugin| plugin.name.value.as_str()).collect();
    for plugin in raw.handlers.iter().filter_map(|handler| handler.plugin.as_ref()) {
        look_up("plugin", plugin.value.as_str(), &plugin.spot, &plugins, faults);
    }
    let handlers: Vec<&str> = raw.handlers.iter().map(|handler| handler.name.value.as_str()).collect();
    for handler in named_handlers(&raw.rules, &raw.fallback) {
        look_up("handler", handler.value.as_str(), &handler.spot, &handlers, faults);
    }
}

fn named_handlers<'raw>(
    rules: &'raw [RawRule],
    fallback: &'raw RawFallback,
) -> impl Iterator<Item = &'raw Spotted<HandlerName>> {
    rules.iter().flat_map(|rule| &rule.handlers).chain(&fallback.handlers)
}

fn look_up(kind: &str, name: &str, spot: &Spot, known: &[&str], faults: &mut Faults<'_>) {
    if known.contains(&name) {
        return;
    }
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("write a section [{kind}.{name}]"),
        None => format!("write a section [{kind}.{name}]; there are {}", known.join(", ")),
    };
    let fault = Fault::new(spot.span.clone(), format!("there is no {kind} `{name}`")).help(help);
    faults.fault(spot.file, fault.about_the_whole());
}

/// The handlers and rules that tests expect must be there: a mistyped one would be a test of nothing.
fn check_test_references(raw: &RawConfig, faults: &mut Faults<'_>) {
    let handlers: Vec<&str> = raw.handlers.iter().map(|handler| handler.name.value.as_str()).collect();
    let names = raw.rules.iter().map(|rule| rule.name.value.as_str());
    let rules: Vec<&str> = names.chain([crate::rules::DEFAULT_RULE]).collect();
    for test in &raw.tests {
        for handler in &test.handlers {
            look_up("handler", &handler.value, &handler.spot, &handlers, faults);
        }
        for rule in test.rules.iter().flatten() {
            look_up("rule", &rule.value, &rule.spot, &rules, faults);
        }
    }
}

/// Each test with its source, which has to be named where it makes a difference.
fn check_tests(raw: &RawConfig, faults: &mut Faults<'_>) -> Vec<RuleTest> {
    let names: Vec<&str> = raw.sources.iter().map(|source| source.name.value.as_str()).collect();
    let alike = raw.rules.iter().all(|rule| rule.sources.is_empty());
    let mut tests = Vec::new();
    for test in &raw.tests {
        let source = match (&test.source, &names[..]) {
            (Some(source), _) => {
                look_up("source", &source.value, &source.spot, &names, faults);
                source.value.as_str()
            }
            (None, [first, others @ ..]) if alike || others.is_empty() => first,
            (None, _) => {
                let message = "the test does not say which source its event comes from";
                let help = format!("write source = \"…\", one of {}", names.join(", "));
                faults.fault(test.spot.file, Fault::new(test.spot.span.clone(), message).help(help));
                continue;
            }
        };
        tests.push(RuleTest::new(test, source));
    }
    tests
}

fn check_rules(raw: Vec<RawRule>, sources: &[Source], faults: &mut Faults<'_>) -> Vec<crate::rules::Rule> {
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let mut seen: BTreeMap<RuleName, Spot> = BTreeMap::new();
    let mut rules = Vec::new();
    for rule in raw {
        for source in &rule.sources {
            look_up("source", source.value.as_str(), &source.spot, &names, faults);
        }
        check_sources_once(&rule.sources, faults);
        let Spotted { value: name, spot } = rule.name;
        match seen.get(&name) {
            Some(first) if !name.as_str().is_empty() => {
                let help =
                    format!("the other is at {}; a name tells which rule took an event", faults.place(first));
                let fault = Fault::new(spot.span, format!("two rules are named \"{name}\"")).help(help);
                faults.fault(spot.file, fault);
            }
            _ => {
                seen.insert(name, spot);
            }
        }
        rules.push(rule.rule);
    }
    rules
}

fn check_sources_once(sources: &[Spotted<SourceName>], faults: &mut Faults<'_>) {
    let mut seen = BTreeSet::new();
    for source in sources {
        if !seen.insert(&source.value) {
            let message = format!("the source `{}` is named twice", source.value);
            let fault = Fault::new(source.spot.span.clone(), message).help("take one away");
            faults.fault(source.spot.file, fault);
        }
    }
}

/// What is written and never used is more often a mistyped name than a plan.
fn warn_of_unused(raw: &RawConfig, faults: &mut Faults<'_>) {
    let mut warn = |spot: &Spot, message: String, help: &str| {
        faults.warn(spot.file, Fault::new(spot.span.clone(), message).help(help));
    };
    for Spotted { value, spot } in raw.plugins.iter().map(|plugin| &plugin.name) {
        let used =
            |handler: &RawHandler| handler.plugin.as_ref().is_some_and(|plugin| plugin.value == *value);
        if !raw.handlers.iter().any(used) {
            warn(
                spot,
                format!("no handler uses the plugin `{value}`"),
                "write a [handler.x], or take it away",
            );
        }
    }
    for Spotted { value, spot } in raw.handlers.iter().map(|handler| &handler.name) {
        if !named_handlers(&raw.rules, &raw.fallback).any(|named| named.value == *value) {
            warn(
                spot,
                format!("no rule names the handler `{value}`"),
                "name it in a [[rule]], or take it away",
            );
        }
    }
}
