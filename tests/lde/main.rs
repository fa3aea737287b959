//! Limited direct execution: whole runs on a real virtual CPU, and what their traces must show.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/handmade.rs"]
mod handmade;

mod bench;
mod cost;
mod direct;
mod documents;
mod elf_files;
mod imports;
mod kernel;
mod no_sse;
mod processes;
mod protection;
mod protocol;
mod qemu;
mod registers;
mod run;
mod sequence;
mod size;
mod strace;
mod stuck;
mod timer;

use support::Need;

const STRACE_AND_GCC: [Need; 3] = [Need::Kvm, Need::Tool("strace"), Need::Tool("gcc")];
const QEMU_WITH_KVM: [Need; 2] = [Need::Kvm, Need::Tool("qemu-system-x86_64")];
/// The files that these tests run are in the repository, which the emulated machine does not have.
const FIXTURES: [Need; 2] =
    [Need::Kvm, Need::File(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/kernel-elf32.elf"))];
/// The back end that emulates ring 0.
const EMULATED: [Need; 2] = [Need::Kvm, Need::BackEnd("kvm_pvm")];
/// The excerpts in the documents are of this back end. Others deliver some traps in other ways.
const EXCERPTS: [Need; 2] = [Need::Kvm, Need::BackEnd("kvm_pvm")];
/// The pictures too. A script draws them.
const PICTURES: [Need; 3] = [Need::Kvm, Need::BackEnd("kvm_pvm"), Need::Tool("python3")];

fn main() {
    support::Suite::default()
        .kvm("every_process_is_created_traps_and_ends", processes::every_process_is_traced)
        .kvm("a_hog_is_preempted", processes::a_hog_is_preempted)
        .kvm("the_timer_runs_at_the_rate_given", timer::runs_at_the_rate_given)
        .kvm("without_a_timer_a_hog_keeps_the_cpu", processes::a_hog_keeps_the_cpu)
        .kvm("an_offender_ends_with_its_reason", processes::offenders_end)
        .kvm("stacks_and_arguments_are_as_the_abi_says", processes::stacks_and_arguments)
        .kvm("no_register_is_ever_wrong", registers::none_is_wrong)
        .kvm("a_spoiled_general_register_is_seen", registers::spoiled_general_register)
        .kvm("a_spoiled_flag_is_seen", registers::spoiled_flags)
        .kvm("a_spoiled_xmm_register_is_seen", registers::spoiled_xmm_register)
        .needs(&[Need::Kvm, Need::Avx], "a_spoiled_ymm_register_is_seen", registers::spoiled_ymm_register)
        .needs(
            &[Need::Kvm, Need::Avx512],
            "a_spoiled_mask_register_is_seen",
            registers::spoiled_mask_register,
        )
        .needs(&[Need::Kvm, Need::Avx512], "a_spoiled_zmm_register_is_seen", registers::spoiled_zmm_register)
        .needs(
            &[Need::Kvm, Need::Avx, Need::Tool("gcc")],
            "ymm_registers_of_c_programs_are_their_own",
            registers::ymm_of_c,
        )
        .kvm("a_spoiled_base_is_seen", registers::spoiled_base)
        .needs(&[Need::Kvm, Need::Selectors], "a_spoiled_selector_is_seen", registers::spoiled_selector)
        .needs(
            &[Need::Kvm, Need::FxsaveLeak],
            "a_spoiled_operand_pointer_is_seen",
            registers::spoiled_operand_pointer,
        )
        .needs(
            &[Need::Kvm, Need::BackEnd("kvm_pvm"), Need::Tool("gcc")],
            "a_null_call_takes_no_more_instructions",
            cost::null_call,
        )
        .needs(
            &[Need::Kvm, Need::BackEnd("kvm_pvm"), Need::Tool("gcc")],
            "an_untraced_null_call_takes_no_more_instructions",
            cost::untraced_null_call,
        )
        .kvm("every_row_of_the_bench_is_there", bench::every_row_is_there)
        .pure("the_page_of_the_bench_has_a_chart", bench::page_has_the_chart)
        .pure("other_files_than_results_of_the_bench_are_refused", bench::other_files_are_refused)
        .kvm("an_untraced_run_makes_no_file_and_few_exits", cost::untraced_run)
        .needs(&EMULATED, "a_tick_takes_no_more_instructions", cost::tick)
        .needs(&EMULATED, "a_tick_with_a_switch_takes_no_more_instructions", cost::tick_with_switch)
        .needs(&EMULATED, "hello_takes_no_more_instructions", cost::hello)
        .kvm("forged_calls_are_refused", protection::forgeries)
        .kvm("thieves_get_nothing", protection::thieves)
        .kvm("jumps_into_the_kernel_fault", protection::jumps)
        .kvm("privileged_instructions_are_refused", protection::privileged)
        .kvm("pointers_at_page_ends_are_checked", protection::page_ends)
        .kvm("an_abort_is_never_a_fault_of_the_process", protection::aborts)
        .kvm("no_process_can_harm_another", protection::no_process_harms_another)
        .kvm("the_same_programs_give_the_same_events", sequence::is_golden_in_both_batch_modes)
        .kvm("without_limits_a_program_is_called_and_returns", direct::called_and_returned)
        .kvm("without_limits_the_machine_is_lost", direct::machine_is_lost)
        .kvm("the_tables_of_the_tour_have_every_step_in_order", protocol::tables_of_the_tour)
        .kvm("the_table_without_limits_has_every_step_in_order", protocol::table_without_limits)
        .kvm("a_crashed_guest_boots_again", direct::boots_again)
        .needs(&FIXTURES, "a_program_needs_no_section_headers", elf_files::sections_are_not_needed)
        .needs(&FIXTURES, "kernels_that_others_boot_boot_here", elf_files::kernels_that_others_boot)
        .pure("an_entry_point_without_code_is_refused", elf_files::an_entry_point_without_code_is_refused)
        .pure("a_large_bss_names_the_option_that_helps", elf_files::a_large_bss_names_the_option)
        .kvm("names_of_files_need_not_be_text", elf_files::names_need_not_be_text)
        .kvm("a_time_out_ends_a_kernel_that_spins", stuck::hand_made_kernel)
        .kvm("ctrl_c_ends_a_program_that_spins_in_ring_0", stuck::interrupted)
        .tools(&["qemu-system-x86_64"], "qemu_boots_the_same_kernel", qemu::boots_the_same_kernel)
        .needs(&QEMU_WITH_KVM, "a_deadline_in_xapic_mode_is_met", qemu::deadline_in_xapic_mode)
        .tools(&["qemu-system-x86_64"], "dirty_memory_is_cleared", qemu::dirty_memory)
        .needs(&[Need::Kvm, Need::Tool("strace")], "strace_tells_the_same", strace::tells_the_same)
        .needs(&STRACE_AND_GCC, "strace_tells_the_same_of_c", strace::tells_the_same_of_c)
        .kvm("the_commands_of_the_chapter_run", documents::the_commands_of_the_chapter_run)
        .needs(&EXCERPTS, "the_chapter_runs_as_shown", documents::the_chapter_runs_as_shown)
        .needs(&EXCERPTS, "the_commands_of_the_lab_run", documents::the_commands_of_the_lab_run)
        .kvm("the_commands_of_the_readme_run", documents::the_commands_of_the_readme_run)
        .needs(&EXCERPTS, "the_readme_runs_as_shown", documents::the_readme_runs_as_shown)
        .needs(&PICTURES, "the_pictures_are_up_to_date", documents::the_pictures_are_up_to_date)
        .pure("an_excerpt_of_two_builds_is_seen", documents::an_excerpt_of_two_builds_is_seen)
        .pure("what_shows_each_idea_exists", documents::what_shows_each_idea_exists)
        .pure("the_kernels_modules_import_no_circle", imports::are_no_circle)
        .pure("a_circle_of_imports_is_seen", imports::a_circle_is_seen)
        .pure("the_kernel_stays_small", size::is_bounded)
        .pure("only_lines_of_code_count", size::only_code_counts)
        .pure("the_kernel_has_no_sse", no_sse::kernel_is_free_of_it)
        .pure("an_sse_instruction_in_the_kernel_is_seen", no_sse::a_patched_one_is_seen)
        .pure("a_kernel_built_with_sse_is_seen", no_sse::a_built_one_is_seen)
        .pure("the_kernel_has_no_formatting", no_sse::no_formatting)
        .run()
}
