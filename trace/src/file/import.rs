//! Makes a trace of a stream: what a guest with `doorbell=stream` writes to a port, kept in a file by an emulator.
//!
//! A stream is the trace buffer as it was at each bell, one after the other: its head, [`BufferHead`], and the records that
//! waited. The running count in the head numbers the records. It is read twice, in bounded memory: what the new file's head says
//! stands in the records.

use std::io;
use std::path::Path;

use abi::record::{BUFFER_MAGIC, BUFFER_MAX, Boot, BufferHead, What};

use super::format::{self, CHUNK_SIZE, ChunkHead, Content, RAW};
use super::output::{Output, create_file};
use super::{Meta, Origin, Program, ReadAt, WriteError, name_text};

/// Why a stream cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The stream cannot be read.
    #[error("cannot read the stream")]
    Read(#[source] io::Error),
    /// It does not start with a trace buffer, or another thing stands where one is expected.
    #[error(
        "the stream has no trace buffer at byte {at}: record what the guest writes to port {:#x}, and boot the guest with \
         doorbell=stream",
        abi::ports::DOORBELL
    )]
    NoBuffer {
        /// The offset.
        at: u64,
    },
    /// The guest was built for another version of the contract.
    #[error("the guest uses version {guest} of the ABI, but this Trapline uses version {}", abi::VERSION)]
    Version {
        /// The guest's version.
        guest: u16,
    },
    /// The trace cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The trace buffer at one bell.
struct Bell {
    /// The number of its first record.
    first: u64,
    records: u32,
    bytes: Vec<u8>,
}

/// Writes the records of a stream to a new trace at `path`, and returns how many they are. A file that exists is refused unless
/// `replace`.
pub fn import(stream: &dyn ReadAt, path: &Path, replace: bool) -> Result<u64, ImportError> {
    let meta = meta(stream)?;
    let (file, name) = create_file(path, replace)?;
    let mut output = Output::new(Box::new(file), path, &meta)?;
    let (mut total, mut records) = (0_u64, 0_u64);
    let failed = |cause| WriteError::Create { path: path.into(), cause };
    each_bell(stream, |bell| {
        total = bell.first.saturating_add(bell.records.into());
        records = records.saturating_add(bell.records.into());
        Ok(write(&mut output, &bell, total).map_err(failed)?)
    })?;
    output.use_room();
    output.close(total, 0).map_err(failed)?;
    name.publish()?;
    Ok(records)
}

fn write(output: &mut Output, bell: &Bell, total: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_SIZE];
    chunk.extend_from_slice(&bell.bytes);
    let size = bell.bytes.len() as u32; // at most BUFFER_MAX
    ChunkHead {
        content: Content::Records(Origin::Guest),
        encoding: RAW,
        stored: size,
        decoded: size,
        records: bell.records,
        first: bell.first,
        guest_total: total,
        host_total: 0,
    }
    .seal(&mut chunk);
    let tsc = bell.bytes.first_chunk().map_or(0, |tsc| u64::from_le_bytes(*tsc));
    output.chunk(Origin::Guest, bell.records, tsc, &chunk)
}

/// What the records say of the run. A time of an emulated CPU must never pass for one of hardware, and a stream does not say
/// which it is.
fn meta(stream: &dyn ReadAt) -> Result<Meta, ImportError> {
    let mut meta = Meta {
        abi_version: abi::VERSION,
        trapline_version: env!("CARGO_PKG_VERSION").into(),
        emulator: Some("QEMU".into()),
        ..Meta::default()
    };
    let is_whole = each_bell(stream, |bell| {
        let mut rest = bell.bytes.as_slice();
        while let Some((record, after)) =
            format::record_size(rest, Origin::Guest).and_then(|size| rest.split_at_checked(size))
        {
            note(record, &mut meta);
            rest = after;
        }
        Ok(())
    })?;
    if !is_whole {
        meta.recovered.push("the stream that it was imported from was cut short".into());
    }
    Ok(meta)
}

fn note(record: &[u8], meta: &mut Meta) {
    let (Some(&kind), Some(words)) = (record.get(8), record.get(abi::record::HEAD_SIZE..)) else { return };
    match What::decode(kind, format::u32_at(record, 12), words.as_chunks().0) {
        What::Boot(Boot::Timer { tsc_khz, .. }) => meta.tsc_khz = tsc_khz,
        What::Boot(Boot::Scheduler { policy, quantum_us, batch }) => {
            meta.options.policy = policy.name().into();
            (meta.options.quantum_us, meta.options.batch) = (quantum_us, batch);
        }
        What::TimerArmed { timer, .. } => meta.options.timer = timer.name().into(),
        What::ProcessCreated { program, .. } if meta.programs.len() < abi::boot::PROCESSES_MAX => {
            meta.programs.push(Program { name: name_text(program), ..Program::default() });
        }
        _ => {}
    }
}

/// Calls `take` with each bell of a stream. Returns whether the stream ends with a whole one; of one that is cut short, the whole
/// records are taken.
fn each_bell(
    stream: &dyn ReadAt,
    mut take: impl FnMut(Bell) -> Result<(), ImportError>,
) -> Result<bool, ImportError> {
    let mut at = 0_u64;
    loop {
        let head = read(stream, at, BufferHead::SIZE)?;
        if head.len() < BufferHead::SIZE {
            return Ok(head.is_empty());
        }
        let (version, used) = (format::u16_at(&head, 4), format::u32_at(&head, 12) as usize);
        if format::u32_at(&head, 0) != BUFFER_MAGIC || used > BUFFER_MAX {
            return Err(ImportError::NoBuffer { at });
        }
        if version != abi::VERSION {
            return Err(ImportError::Version { guest: version });
        }
        let counted = format::u64_at(&head, 16);
        let mut bytes = read(stream, at.saturating_add(BufferHead::SIZE as u64), used)?;
        let is_cut = bytes.len() < used;
        let (mut size, mut records) = (0_usize, 0_u32);
        while let Some(next) = bytes.get(size..).and_then(|rest| format::record_size(rest, Origin::Guest)) {
            let end = size.saturating_add(next);
            if end > bytes.len() {
                break;
            }
            (size, records) = (end, records.saturating_add(1));
        }
        bytes.truncate(size);
        if records > 0 {
            // The count of a buffer that is cut short has records that are not there.
            take(Bell { first: counted.saturating_sub(records.into()), records, bytes })?;
        }
        if is_cut {
            return Ok(false);
        }
        at = at.saturating_add(BufferHead::SIZE.saturating_add(used) as u64);
    }
}

/// So many bytes from an offset on, or those that are left.
fn read(stream: &dyn ReadAt, at: u64, size: usize) -> Result<Vec<u8>, ImportError> {
    let (mut bytes, mut filled) = (vec![0; size], 0_usize);
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read_at(rest, at.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(more) => filled = filled.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::Read(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Trace, samples};

    /// A stream of the guest's records of the samples, some at each bell.
    fn stream(each: usize) -> (Vec<u8>, u64) {
        let records: Vec<Vec<u8>> = samples::every_kind()
            .iter()
            .filter(|sample| sample.origin() == Origin::Guest)
            .map(samples::Sample::to_bytes)
            .collect();
        let (mut stream, mut counted) = (Vec::new(), 0_u64);
        for records in records.chunks(each) {
            counted += records.len() as u64;
            let bytes = records.concat();
            stream.extend(BUFFER_MAGIC.to_le_bytes());
            stream.extend([abi::VERSION, BufferHead::SIZE as u16].map(u16::to_le_bytes).as_flattened());
            stream.extend([BUFFER_MAX as u32, bytes.len() as u32].map(u32::to_le_bytes).as_flattened());
            stream.extend([counted, 0].map(u64::to_le_bytes).as_flattened());
            stream.extend(bytes);
        }
        (stream, counted)
    }

    fn imported(stream: &[u8]) -> Result<(u64, Trace), ImportError> {
        let place = tempfile::tempdir().expect("a directory for the test");
        let path = place.path().join("t.trap");
        let records = import(&stream.to_vec(), &path, false)?;
        Ok((records, Trace::open(&path).expect("a trace")))
    }

    #[test]
    fn every_record_of_a_stream_is_in_the_trace() {
        let (stream, counted) = stream(7);
        let (records, trace) = imported(&stream).expect("a stream");
        assert_eq!((records, trace.total(Origin::Guest)), (counted, counted));
        assert!(trace.damage().is_empty(), "{:?}", trace.damage());
        assert_eq!(trace.events().count() as u64, counted);
        assert!(trace.meta().is_emulated() && trace.meta().tsc_khz > 0, "{:?}", trace.meta());
        assert_eq!(trace.meta().programs[0].name, "hello");
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_keeps_its_whole_records() {
        let (stream, counted) = stream(7);
        for end in (0..stream.len()).step_by(5) {
            let (records, trace) = imported(&stream[..end]).expect("a stream");
            assert!(records < counted && trace.events().count() as u64 == records, "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let (mut stream, _) = stream(7);
        assert!(matches!(imported(&[b'x'; 100]), Err(ImportError::NoBuffer { at: 0 })));
        let second = stream.len();
        stream.extend([0; 40]);
        assert!(matches!(imported(&stream), Err(ImportError::NoBuffer { at }) if at == second as u64));
        stream[4] = 1;
        assert!(matches!(imported(&stream), Err(ImportError::Version { guest: 1 })));
    }
}
