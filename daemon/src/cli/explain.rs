//! `hookyard explain`: why each rule takes an event, or does not.

use std::path::Path;

use clap::Args;

use super::client::Operator;
use super::output::say;
use super::page::escape;
use super::target::Target;
use super::{Common, Failure, output};
use crate::admin::explain::{ClauseView, ExplainView, FoundView, RuleView};
use crate::app::explain::explain_body;
use crate::model::clock::{Clock, SystemClock};

/// How deep a rule's outermost clause stands.
const FRAME_DEPTH: usize = 2;
/// A longer clause has what it found on a line of its own.
const TEXT_COLUMNS: usize = 52;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A stored event by our id or the provider's (evt_…), asked of the daemon and the rules that it runs; or a file that
    /// holds one, asked of the rules in the configuration's files
    event: String,
    /// The source that the file comes from (default: the first of the configuration)
    #[arg(long)]
    source: Option<String>,
}

pub(super) async fn run(common: &Common, args: &ExplainArgs) -> Result<(), Failure> {
    let file = Path::new(&args.event);
    let explained = match file.is_file() {
        true => of_file(common, file, args.source.as_deref())?,
        false => of_event(common, &args.event).await?,
    };
    if common.json {
        return output::json(&explained);
    }
    print(&explained);
    Ok(())
}

fn of_file(common: &Common, file: &Path, source: Option<&str>) -> Result<ExplainView, Failure> {
    let target = Target::find(common)?;
    let body = std::fs::read(file)
        .map_err(|error| Failure::no_input(format!("{} cannot be read: {error}", file.display())))?;
    Ok(explain_body(target.snapshot(), target.source_name(source)?, SystemClock.now(), &body))
}

async fn of_event(common: &Common, event: &str) -> Result<ExplainView, Failure> {
    let looks_like_a_file = event.contains('/') || event.ends_with(".json");
    if looks_like_a_file {
        return Err(Failure::no_input(format!("there is no file {event}")));
    }
    Operator::of(common)?.get(&format!("/v1/events/{}/explain", escape(event))).await
}

fn print(explained: &ExplainView) {
    let event =
        explained.event.as_ref().map_or_else(|| "the file".to_owned(), |event| format!("event {event}"));
    say!("{event} from source {}, by the rules of configuration {}\n", explained.source, explained.snapshot);
    if let Some(obstacle) = &explained.obstacle {
        say!("no rule is asked: {obstacle}\n");
    }
    for (number, rule) in explained.rules.iter().enumerate() {
        say!("{:>3}. \"{}\" {}", number + 1, rule.rule, outcome(rule));
        print_clause(&rule.when, 2);
        if let Some(failing) = &rule.first_failing
            && !rule.when.parts.is_empty()
        {
            say!("     the first that fails: {}", failing.text);
        }
    }
    if !explained.rules.is_empty() {
        say!("");
    }
    say!("result    {}", explained.routing);
    if let Some(decided) = &explained.decided
        && *decided != explained.routing
    {
        say!("decided   {decided} (when it came; a retry goes by this)");
    }
}

fn outcome(rule: &RuleView) -> String {
    let handlers = rule.handlers.join(", ");
    match rule.outcome.as_str() {
        "takes" => format!("takes it: to {handlers}"),
        "copies" => format!("gets a copy: to {handlers}; the search goes on"),
        "drops" => format!("drops it: {}", rule.drop.as_deref().unwrap_or_default()),
        "too_late" => "would match, and comes too late: a rule before it ended the search".to_owned(),
        "disabled" => "is not asked: enabled = false".to_owned(),
        "not_active" => "is not asked: the event came outside the time that it is active".to_owned(),
        "not_sampled" => "would match, and the event is not in its sample".to_owned(),
        "shadows" => "matches as a shadow: delivers nothing, and the search goes on".to_owned(),
        "other_source" => "is not asked: it sees other sources only".to_owned(),
        _ => "does not match".to_owned(),
    }
}

fn print_clause(clause: &ClauseView, depth: usize) {
    // The outermost "all of" says nothing that its lines do not.
    let is_frame = depth == FRAME_DEPTH && clause.text == "all of";
    if !is_frame {
        let margin = "  ".repeat(depth + 1);
        let sign = if clause.holds { '✓' } else { '✗' };
        match found(clause) {
            None => say!("{margin}{sign} {}", clause.text),
            Some(found) if clause.text.chars().count() <= TEXT_COLUMNS => {
                say!("{margin}{sign} {:<TEXT_COLUMNS$}  found {found}", clause.text);
            }
            Some(found) => {
                say!("{margin}{sign} {}", clause.text);
                say!("{margin}  {:<TEXT_COLUMNS$}  found {found}", "");
            }
        }
    }
    for part in &clause.parts {
        print_clause(part, if is_frame { depth } else { depth + 1 });
    }
}

/// The values that a test met, with their kinds.
fn found(clause: &ClauseView) -> Option<String> {
    let one = |it: &FoundView| match it.kind.as_str() {
        "missing" | "null" => it.kind.clone(),
        "bool" | "number" | "string" => format!("the {} {}", it.kind, it.text),
        kind => format!("an {kind} of {}", it.text),
    };
    let found: Vec<String> = clause.found.iter().map(one).collect();
    let more = if clause.more > 0 { format!(" and {} more", clause.more) } else { String::new() };
    (!found.is_empty()).then(|| found.join(", ") + &more)
}
