//! `docs/rules.md` says what is so: its configurations load, and its tables are asked. So does the `http` of
//! `docs/plugins/http.md`.

use super::Config;
use crate::rules::{Parser, Paths, Watch, extract, holds};
use toml::de::DeTable;

const PAGE: &str = include_str!("../../../../docs/rules.md");

const AROUND: &str = r#"
[source.stripe]
path = "/webhooks/stripe"
scheme = "stripe"
secrets = ["env:SECRET"]
[plugin.p]
path = "p.so"
[handler.sumo]
plugin = "p"
[handler.sumo-v2]
plugin = "p"
[handler.finance]
plugin = "p"
[default]
unrouted = true
"#;

#[test]
fn every_configuration_of_the_page_loads() {
    let blocks: Vec<&str> =
        PAGE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let config = Config::new(&format!("{AROUND}{block}"));
        config.load(true).unwrap_or_else(|error| panic!("{}", error.render(false)));
    }
}

#[test]
fn every_row_of_the_page_is_so() {
    let mut rows = 0;
    for line in PAGE.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [when, event, answer @ ("yes" | "no")] = cells[..] else { continue };
        let (when, event) = (when.trim_matches('`'), event.trim_matches('`'));
        let text = format!("when = {{ {when} }}");
        let table = DeTable::parse(&text).unwrap();
        let mut watch = Watch::default();
        let mut paths = Paths::stripe();
        let mut parser = Parser::new(&mut watch, &mut paths);
        let condition = parser.when(&table.get_ref()["when"]);
        assert_eq!(parser.faults, [], "{when}");
        let extracted = extract(&watch, event.as_bytes()).unwrap();
        assert_eq!(holds(&condition, &extracted.root), answer == "yes", "{line}");
        rows += 1;
    }
    assert_eq!(rows, 46);
}

#[test]
fn the_http_table_of_its_page_loads() {
    let page = include_str!("../../../../docs/plugins/http.md");
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    // The file is the operator's.
    let (before, after) = block.split_once("ca       =").unwrap();
    let block = [before, after.split_once('\n').unwrap().1].concat();
    let loaded = Config::new(&format!("{AROUND}{block}")).load(true);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.render(false)));
    let handler = &loaded.snapshot.handlers[&crate::model::ids::HandlerName::new("sumo")];
    assert_eq!((handler.http.allow.len(), handler.http.networks.len()), (4, 1));
}
