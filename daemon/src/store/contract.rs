//! What every engine must do, run on each of them.
//!
//! A check gets a [`Bench`]: an empty store and its clock. `differential.rs` drives the engines with the same random
//! commands and compares every answer.

pub(super) mod bench;
mod differential;
mod erase;
mod events;
pub(super) mod foresight;
mod leases;
mod memory;
mod prune;
mod reroute;

use bench::Bench;

/// Makes each check a test of each engine.
macro_rules! contract {
    ($($part:ident: $($check:ident),* $(,)?;)*) => {
        mod on_memory {
            $($(#[tokio::test]
            async fn $check() {
                super::$part::$check(&super::Bench::memory()).await;
            })*)*
        }
        mod on_sled {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let bench = super::Bench::sled();
                super::$part::$check(&bench).await;
                bench.assert_sound().await;
            })*)*
        }
    };
}

contract! {
    events:
        an_event_comes_back_as_it_came,
        bodies_of_every_size_come_back,
        one_key_is_one_event_however_many_ask_at_once,
        keys_are_apart_by_source,
        ids_grow_though_the_clock_steps_nowhere,
        what_is_too_large_is_refused_and_leaves_nothing,
        routing_takes_the_mark_away_once,
        every_verdict_is_kept_and_counted,
        a_decision_with_many_handlers_is_kept,
        pages_of_events_fit_together,
        pages_of_deliveries_fit_together,
        an_append_rings_for_route_and_a_route_for_dispatch,
        a_closed_store_takes_no_more;
    foresight:
        what_is_foreseen_is_done_with_the_event,
        what_nobody_could_foresee_waits_to_be_routed;
    leases:
        what_was_due_longest_goes_first,
        a_lease_keeps_others_away_until_it_runs_out,
        a_settlement_after_the_lease_was_lost_changes_nothing,
        each_settlement_moves_the_delivery,
        a_retry_waits_until_it_is_due,
        next_due_tells_when_to_look_again,
        what_is_under_way_is_never_leased_again,
        handlers_never_see_each_others_deliveries,
        a_lease_waits_for_what_becomes_due,
        a_lease_that_waits_hears_of_what_is_due_later,
        a_lease_waits_no_longer_than_it_may,
        a_lease_does_not_wait_beyond_what_is_due_later,
        who_has_deliveries_waiting_is_told_by_name,
        what_is_given_back_was_never_taken,
        leases_of_a_dead_process_are_taken_back,
        two_workers_never_hold_one_delivery;
    memory:
        a_step_is_run_then_unsure_then_done,
        a_finished_step_keeps_its_first_memo,
        steps_are_listed_by_name_and_apart_by_handler,
        step_keys_are_stable_and_apart,
        a_pair_is_written_only_over_the_version_expected,
        of_many_writers_that_expect_one_version_one_wins,
        pairs_are_apart_by_plugin,
        keys_and_values_have_limits;
    reroute:
        an_unrouted_event_is_routed_again_once,
        only_unrouted_events_are_routed_again,
        a_long_decision_is_replaced_whole;
    erase:
        an_erased_event_has_another_body_and_is_the_same_event,
        what_is_not_finished_is_erased_only_on_request,
        attempts_and_reasons_are_erased_with_their_event,
        what_steps_remember_is_erased_with_their_event;
    prune:
        what_is_finished_goes_after_its_time_and_not_before,
        dead_letters_and_unrouted_events_stay_longer,
        the_last_delivery_to_finish_counts,
        what_is_not_finished_never_goes,
        everything_of_an_event_goes_with_it,
        a_key_outlives_its_event_and_answers_duplicates,
        a_key_never_goes_before_its_event,
        many_events_go_in_bounded_batches_that_can_be_taken_up,
        a_large_event_goes_whole,
        pruning_meets_work_under_way;
}
