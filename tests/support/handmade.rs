//! Kernels of a few instructions, made by hand: an ELF file with a PVH note.

#![allow(dead_code, reason = "each test target uses its own part of it")]

use elf::abi::{ET_EXEC, PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE};

/// Where the code is loaded and entered: the lowest address that a kernel may have.
pub const ADDRESS: u64 = 0x10_0000;
pub const HEADER: usize = 64;
pub const SEGMENT: usize = 56;
const NOTE: usize = 20;

/// Offset of the loaded segment's header and of the fields that tests change.
pub const P_OFFSET: usize = HEADER + 8;
pub const P_PADDR: usize = HEADER + 24;
pub const P_MEMSZ: usize = HEADER + 40;

/// `lidt [0]`, an empty table of page 0; `ud2`.
pub const TRIPLE_FAULT: [u8; 9] = [0x0F, 0x01, 0x1D, 0, 0, 0, 0, 0x0F, 0x0B];

/// `cli; hlt`: nothing wakes the CPU again.
pub const HALT: [u8; 2] = [0xFA, 0xF4];

/// An ELF file of `code` with a PVH note, loaded and entered at [`ADDRESS`].
pub fn kernel(code: &[u8]) -> Vec<u8> {
    let note = HEADER + 2 * SEGMENT;
    let text = note + NOTE;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(ET_EXEC.to_le_bytes());
    file.extend(elf::abi::EM_X86_64.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend([ADDRESS, HEADER as u64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend(0_u32.to_le_bytes());
    file.extend([HEADER as u16, SEGMENT as u16, 2, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    for (kind, flags, offset, size) in [(PT_LOAD, PF_R | PF_X, text, code.len()), (PT_NOTE, PF_R, note, NOTE)]
    {
        file.extend([kind, flags].map(u32::to_le_bytes).as_flattened());
        let words = [offset as u64, ADDRESS, ADDRESS, size as u64, size as u64, 1];
        file.extend(words.map(u64::to_le_bytes).as_flattened());
    }
    file.extend([4, 4, 18_u32].map(u32::to_le_bytes).as_flattened());
    file.extend(b"Xen\0");
    file.extend((ADDRESS as u32).to_le_bytes());
    file.extend(code);
    file
}

/// Where a program's code is loaded and entered, and where it has a page of data.
pub const PROGRAM: u64 = 0x40_1000;
pub const PROGRAM_DATA: u64 = 0x50_0000;

/// A static Linux program of `code`.
pub fn program(code: &[u8]) -> Vec<u8> {
    const PAGE: u64 = 0x1000;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(ET_EXEC.to_le_bytes());
    file.extend(elf::abi::EM_X86_64.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend([PROGRAM, HEADER as u64, 0].map(u64::to_le_bytes).as_flattened());
    file.extend(0_u32.to_le_bytes());
    file.extend([HEADER as u16, SEGMENT as u16, 2, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    let size = code.len() as u64;
    for (flags, address, in_file, in_memory) in
        [(PF_R | PF_X, PROGRAM, size, size), (PF_R | PF_W, PROGRAM_DATA, 0, PAGE)]
    {
        file.extend([PT_LOAD, flags].map(u32::to_le_bytes).as_flattened());
        file.extend([PAGE, address, address, in_file, in_memory, PAGE].map(u64::to_le_bytes).as_flattened());
    }
    file.resize(PAGE as usize, 0);
    file.extend(code);
    file
}
