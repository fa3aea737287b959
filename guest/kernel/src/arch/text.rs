//! Search in text by one instruction, however long the text: where ring 0 is emulated, a loop costs for each byte.

use core::arch::asm;

/// The part before the first `byte`, and what is behind it. Without that byte the first part is all, and the second empty.
pub fn cut(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let left: usize;
    let found: u8;
    // SAFETY: SCAS reads no more than the slice; DF is 0. RCX is compared with itself first, so that ZF is 1 and `found`
    // does not matter where the slice is empty.
    unsafe {
        asm!("cmp rcx, rcx", "repne scasb", "sete {found}", found = out(reg_byte) found,
            inout("rcx") text.len() => left, inout("rdi") text.as_ptr() => _, in("al") byte,
            options(nostack, readonly));
    }
    let behind = text.len() - left;
    let end = behind - usize::from(found != 0 && behind > 0);
    (text.get(..end).unwrap_or(text), text.get(behind..).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn text_is_cut_at_the_first_such_byte() {
        let cases: [(&[u8], &[u8], &[u8]); 6] = [
            (b"a=b=c", b"a", b"b=c"),
            (b"=b", b"", b"b"),
            (b"ab=", b"ab", b""),
            (b"ab", b"ab", b""),
            (b"=", b"", b""),
            (b"", b"", b""),
        ];
        for (text, before, behind) in cases {
            assert_eq!(cut(text, b'='), (before, behind), "{text:?}");
        }
    }
}
