//! `trapline check`: real traces pass, and each rule finds a trace in which it is broken.

mod linux;
mod mutations;
mod random;
#[path = "../support/mod.rs"]
mod support;

fn main() {
    support::Suite::default()
        .pure("the_real_traces_pass", mutations::the_real_traces_pass)
        .pure("each_rule_finds_its_mutation", mutations::each_rule_finds_its_mutation)
        .pure("every_rule_is_broken_once", mutations::every_rule_is_broken_once)
        .pure("missing_records_are_reported_and_not_guessed", mutations::missing_records_are_reported)
        .pure("a_foreign_trace_without_parts_passes", mutations::a_foreign_trace_passes)
        .pure("the_command_shows_the_records", mutations::the_command_shows_the_records)
        .pure("a_trace_without_a_guest_is_nothing_to_check", mutations::nothing_to_check)
        .pure("rules_are_skipped_and_required", mutations::rules_are_chosen)
        .pure("a_kernel_in_the_lower_half_is_kernel_code", mutations::a_lower_kernel_passes)
        .kvm("the_tour_passes", random::the_tour_passes)
        .kvm("random_runs_pass", random::random_runs_pass)
        .run()
}
