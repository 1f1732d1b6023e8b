//! What the compiler says to an author who got something wrong: each file in `help/wrong/` is such a mistake, and the
//! `.stderr` beside it is what must be printed, whole.
//!
//! What this crate owns of that are the sentences of its `#[diagnostic::on_unimplemented]`s and assertions. That they come
//! at all depends on how the traits are bound to each other (`src/bounds.rs`), and is lost easily. The rest is the
//! compiler's own wording, which changes with its version: it is held on the version that the workspace names as its
//! oldest. Where that is raised, `TRYBUILD=overwrite cargo test -p hookyard-plugin --test help` writes the files anew.

#[rustversion::attr(not(stable(1.95)), ignore = "the .stderr files hold what rustc 1.95 prints")]
#[test]
fn the_compiler_says_what_to_do() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/help/right.rs");
    cases.compile_fail("tests/help/wrong/*.rs");
}
