//! Prints its arguments as the kernel laid them out on its stack, and checks that the layout follows the ABI.

#![no_std]
#![no_main]

use user::{Args, Hex, kernel, program, say};

program!(main);

fn main(args: Args) -> i32 {
    let stack = args.stack();
    let argc = args.len();
    say!("arguments: argc = ", argc as u64, " at ", Hex(stack as u64));
    for index in 0..argc {
        say!("arguments: argv[", index as u64, "] = ", args.get(index).unwrap_or("(no text)"));
    }
    // SAFETY: argc, argv, its NULL, that of envp and the two words of AT_NULL are on the stack if the kernel put
    // them there; if not, the words are still inside the stack's page, below the strings.
    let word = |index: usize| unsafe { *stack.add(index) };
    let checks = [
        ("the stack pointer is a multiple of 16", (stack as u64).is_multiple_of(16)),
        ("argc is first", word(0) == argc as u64),
        ("argv ends with NULL", word(argc + 1) == 0),
        ("there is no environment", word(argc + 2) == 0),
        ("the auxiliary vector ends at once", word(argc + 3) == 0 && word(argc + 4) == 0),
        ("the strings follow, in order", strings_follow(args, &word)),
    ];
    for (rule, _) in checks.into_iter().filter(|(_, holds)| !holds) {
        say!("arguments: this does not hold: ", rule);
    }
    i32::from(checks.iter().any(|(_, holds)| !holds))
}

/// The first string lies above the vectors, each other one behind the one before it, the last below the stack's end.
fn strings_follow(args: Args, word: &dyn Fn(usize) -> u64) -> bool {
    const NULLS_AND_ARGC: usize = 5;
    let mut end = args.stack().wrapping_add(args.len() + NULLS_AND_ARGC) as u64;
    (0..args.len()).all(|index| {
        let at = word(index + 1);
        let behind = at >= end;
        end = at + args.get(index).map_or(0, |text| text.len() as u64 + 1);
        behind && end <= kernel::USER_END
    })
}
