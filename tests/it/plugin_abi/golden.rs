//! Plugins as they were built for each released minor of the ABI, kept as binaries: every later host loads them and gives
//! them all that they use. Never built anew: `tests/c/golden/README.md` says where each came from.

use std::path::Path;

use hookyard::model::attempt::Outcome;

use super::bench::{Bench, call, call_as};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[tokio::test]
async fn a_plugin_that_was_built_for_1_0_works_on_this_host() {
    let bench = Bench::new();
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/golden/good-1.0-x86_64.so");
    let host = bench.start(bench.spec(&library)).await.unwrap();
    for (attempt, message) in [(1, "charged"), (2, "charged before")] {
        let report = if attempt == 1 {
            call(&host, "good").await
        } else {
            call_as(&host, "good", "good", attempt).await
        };
        let Outcome::Done(detail) = report.outcome else { panic!("{:?}", report.outcome) };
        assert_eq!(detail.message, message);
    }
}
