//! Where a plugin runs, and what cannot stand beside that.

use super::{Config, faults, sound_and};
use crate::model::ids::HandlerName;
use crate::model::isolation::Isolation;

#[test]
fn a_plugin_runs_in_a_process_unless_it_is_said_otherwise() {
    let more = "[handler.two]\nplugin = \"sumo\"\nisolation = \"inline\"\nprocesses = 1\n\
                [handler.three]\nplugin = \"sumo\"\nisolation = \"process\"\nprocesses = 2\n";
    let loaded = Config::new(&sound_and(more)).load(false);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.render(false)));
    let isolation = |name| loaded.snapshot.handlers[&HandlerName::new(name)].isolation;
    assert_eq!(
        ["sumo", "two", "three"].map(isolation),
        [Isolation::Process, Isolation::Inline, Isolation::Process]
    );
}

#[test]
fn faults() {
    faults::check(&[(
        r#"[handler.two]
plugin = "sumo"
isolation = "inlined"
[handler.three]
plugin = "sumo"
isolation = "inline"
processes = 2
confine = { network = false }
[handler.four]
plugin = "sumo"
isolation = true
"#,
        &[
            "18:13 there is no isolation `inlined` | did you mean \"inline\"?",
            "22:1 `processes` stands beside isolation = \"inline\": there are no processes to share its calls out \
             among | take one of the two away: the plugin runs in processes of its own, or inside the daemon",
            "23:1 `confine` stands beside isolation = \"inline\": what bounds its plugin would bound the daemon | \
             take one of the two away: the plugin runs in processes of its own, or inside the daemon",
            "26:13 `isolation` takes a word, and this is a boolean | write isolation = \"process\"",
        ],
    )]);
}
