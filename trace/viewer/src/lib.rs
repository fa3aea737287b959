//! The reader and the report as WebAssembly: `docs/viewer.html` makes the page of a trace with them, in the browser.
//!
//! There are two buffers. The page's script makes [`room`] in them for the name of a trace and for its bytes, and calls
//! [`make_page`], which replaces them by the page and its records. Limit: one trace per instance of the module.

use std::cell::RefCell;
use std::error::Error;

use trace::{Trace, report};

thread_local! {
    static BUFFERS: RefCell<[Vec<u8>; 2]> = RefCell::default();
}

/// Makes a buffer of `size` bytes, and returns its address. `which`: 0 for the name, 1 for the bytes of the trace.
#[unsafe(no_mangle)]
pub extern "C" fn room(which: usize, size: usize) -> *mut u8 {
    BUFFERS.with_borrow_mut(|buffers| {
        buffers[which] = vec![0; size];
        buffers[which].as_mut_ptr()
    })
}

/// Makes the page of the trace. True: buffer 0 has the page without its records, and buffer 1 has the records. False: buffer 0 has
/// the error.
#[unsafe(no_mangle)]
pub extern "C" fn make_page() -> bool {
    let [name, bytes] = BUFFERS.take();
    let made = page(&String::from_utf8_lossy(&name), bytes);
    let is_made = made.is_ok();
    BUFFERS.set(made.unwrap_or_else(|error| [error.to_string().into_bytes(), Vec::new()]));
    is_made
}

/// The address of what is in a buffer.
#[unsafe(no_mangle)]
pub extern "C" fn address(which: usize) -> *const u8 {
    BUFFERS.with_borrow(|buffers| buffers[which].as_ptr())
}

/// How many bytes a buffer has.
#[unsafe(no_mangle)]
pub extern "C" fn size(which: usize) -> usize {
    BUFFERS.with_borrow(|buffers| buffers[which].len())
}

fn page(name: &str, bytes: Vec<u8>) -> Result<[Vec<u8>; 2], Box<dyn Error>> {
    let trace = Trace::from_source(bytes, name)?;
    let (mut page, mut records) = (Vec::new(), Vec::new());
    report::write_without_records(&trace, name, &mut page)?;
    report::write_records(&trace, &mut records)?;
    trace.intact()?;
    Ok([page, records])
}
