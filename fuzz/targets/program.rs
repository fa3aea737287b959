//! Any bytes as a program's ELF file: what the rules accept can be loaded. The kernel relies on this when it copies segments.

#![no_main]

use abi::elf::LOAD;
use abi::program::{Access, Program, SEGMENTS_END, USER_END, USER_START, check_for_linux, pages};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(elf) = check_for_linux(file) {
        let loaded = elf
            .segments()
            .into_iter()
            .flatten()
            .filter(|segment| segment.kind == LOAD && segment.memory_size > 0);
        for segment in loaded {
            let bytes = segment.bytes(file).expect("its bytes are in the file");
            assert!(bytes.len() as u64 <= segment.memory_size);
            assert!(segment.address + segment.memory_size <= USER_END);
        }
    }
    let Ok(program) = Program::check(file) else { return };
    let mut all = Vec::new();
    let mut entry_is_code = false;
    for (segment, access) in program.segments() {
        let bytes = segment.bytes(file).expect("its bytes are in the file");
        assert!(bytes.len() as u64 <= segment.memory_size);
        let (first, end) = pages(&segment);
        assert!(USER_START <= first && first < end && end <= SEGMENTS_END);
        entry_is_code |= access == Access::ReadExecute && (first..end).contains(&program.entry());
        all.push((first, end));
    }
    assert!(entry_is_code);
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two segments share a page");
});
