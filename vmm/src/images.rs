//! The guest kernel, with and without records, and the demo programs, built by `build.rs` and embedded, so that one binary is enough.

/// A user program that is built in.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is there to show, in one line.
    pub idea: &'static str,
    /// Its ELF file.
    pub elf: &'static [u8],
}

/// An ELF file in this binary, aligned as its headers are.
#[repr(C, align(8))]
struct Aligned<const SIZE: usize>([u8; SIZE]);

include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// The built-in program of this name.
pub fn program(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}

#[cfg(test)]
mod tests {
    use elf::ElfBytes;
    use elf::abi::{ET_EXEC, PF_R, PF_W, PF_X, PT_LOAD};
    use elf::endian::LittleEndian;

    use abi::program::{PAGE, USER_END};

    use super::*;

    fn parsed(image: &'static [u8]) -> ElfBytes<'static, LittleEndian> {
        ElfBytes::minimal_parse(image).expect("a built-in image is an ELF file")
    }

    #[test]
    fn every_program_can_be_mapped_where_it_lies() {
        for program in PROGRAMS {
            let elf = parsed(program.elf);
            assert_eq!(elf.ehdr.e_type, ET_EXEC, "{}", program.name);
            let mut end_before = 0;
            for segment in elf.segments().unwrap().iter().filter(|segment| segment.p_type == PT_LOAD) {
                assert_eq!(segment.p_offset % PAGE, segment.p_vaddr % PAGE, "{}", program.name);
                assert!(segment.p_vaddr >= end_before, "{}: segments share a page", program.name);
                assert!(segment.p_flags & PF_R != 0 && segment.p_flags & (PF_W | PF_X) != PF_W | PF_X);
                end_before = (segment.p_vaddr + segment.p_memsz).next_multiple_of(PAGE);
            }
            assert!((1..=USER_END).contains(&end_before), "{}", program.name);
        }
    }

    #[test]
    fn programs_are_found_by_name_and_have_an_idea() {
        assert!(PROGRAMS.is_sorted_by_key(|program| program.name));
        assert!(PROGRAMS.iter().all(|program| !program.idea.is_empty()));
        assert_eq!(program("hello").map(|program| program.name), Some("hello"));
        assert!(program("absent").is_none());
    }

    #[test]
    fn the_kernel_is_in_the_upper_half() {
        let kernel = parsed(KERNEL);
        assert!(kernel.symbol_table().unwrap().is_some(), "debuggers need its symbols");
        assert!(kernel.segments().unwrap().iter().any(|segment| segment.p_vaddr >> 63 == 1));
    }
}
