//! The kernel's ELF file, disassembled: its functions by name, their instructions, and changed copies of it.

use elf::ElfBytes;
use elf::abi::STT_FUNC;
use elf::endian::LittleEndian;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use libtest_mimic::Failed;
use trapline::images::KERNEL;

/// The section with the kernel's code.
const TEXT: &str = ".text";
/// Where 32-bit code starts and ends: the entry of PVH.
const BITS_32: [&str; 2] = ["pvh_start", "long_start"];
const NOP: u8 = 0x90;

/// The code of a kernel, and where it is.
pub struct Code {
    bytes: Vec<u8>,
    /// Address of the section's first byte, and its offset in the file.
    address: u64,
    offset: usize,
    size: usize,
    /// Names and addresses, in order of address.
    symbols: Vec<(String, u64)>,
}

impl Code {
    /// The code of the kernel that is built in.
    pub fn built_in() -> Result<Code, Failed> {
        Code::of(KERNEL.to_vec())
    }

    /// The code of another kernel.
    pub fn of(bytes: Vec<u8>) -> Result<Code, Failed> {
        let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes)?;
        let text = file.section_header_by_name(TEXT)?.ok_or("the kernel has no section .text")?;
        let (table, strings) = file.symbol_table()?.ok_or("the kernel has no symbols")?;
        let inside = text.sh_addr..text.sh_addr + text.sh_size;
        let mut symbols = Vec::new();
        for symbol in table.iter().filter(|symbol| inside.contains(&symbol.st_value)) {
            if symbol.st_symtype() == STT_FUNC || symbol.st_symtype() == elf::abi::STT_NOTYPE {
                symbols.push((strings.get(symbol.st_name as usize)?.to_owned(), symbol.st_value));
            }
        }
        symbols.sort_by_key(|(_, address)| *address);
        let (address, offset, size) = (text.sh_addr, text.sh_offset as usize, text.sh_size as usize);
        Ok(Code { bytes, address, offset, size, symbols })
    }

    /// The whole file.
    pub fn file(&self) -> &[u8] {
        &self.bytes
    }

    /// The names of its functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.symbols.iter().map(|(name, _)| name.as_str())
    }

    /// Every instruction, decoded from each symbol to the next.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction> {
        let ends = self.symbols.iter().skip(1).map(|(_, address)| *address);
        let end = self.address + self.size as u64;
        let [first_32, first_64] = BITS_32.map(|name| self.address_of(name).unwrap_or(0));
        self.symbols.iter().zip(ends.chain([end])).flat_map(move |((_, start), end)| {
            let bits = if (first_32..first_64).contains(start) { 32 } else { 64 };
            let code = &self.bytes[self.at(*start)..self.at(end)];
            Decoder::with_ip(bits, code, *start, DecoderOptions::NONE).into_iter().collect::<Vec<_>>()
        })
    }

    /// The instructions of the one function whose name contains `name`.
    pub fn function(&self, name: &str) -> Result<Vec<Instruction>, Failed> {
        let start = self.address_of(name).ok_or_else(|| format!("the kernel has no function {name}"))?;
        let next = self.symbols.iter().map(|(_, address)| *address).find(|address| *address > start);
        let end = next.unwrap_or(self.address + self.size as u64);
        Ok(self.instructions().filter(|instruction| (start..end).contains(&instruction.ip())).collect())
    }

    /// Writes `code` over the instruction, the rest of which becomes NOPs; what is longer goes on over the next.
    pub fn replace(&mut self, instruction: &Instruction, code: &[u8]) {
        let at = self.at(instruction.ip());
        self.bytes[at..at + instruction.len()].fill(NOP);
        self.bytes[at..at + code.len()].copy_from_slice(code);
    }

    /// Replaces every instruction of these kinds by NOPs, and returns how many there were.
    pub fn remove(&mut self, mnemonics: &[Mnemonic]) -> usize {
        let found: Vec<_> =
            self.instructions().filter(|instruction| mnemonics.contains(&instruction.mnemonic())).collect();
        found.iter().for_each(|instruction| self.replace(instruction, &[]));
        found.len()
    }

    fn address_of(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|(symbol, _)| symbol.contains(name)).map(|(_, address)| *address)
    }

    fn at(&self, address: u64) -> usize {
        self.offset + (address - self.address) as usize
    }
}
