//! STAND-IN with the trace room's signatures; dropped at merge.
#![allow(missing_docs, dead_code)]
use std::io::Write;
use std::path::Path;

use abi::record::{Head, Kind};

#[derive(Debug, Clone, Default)]
pub struct Image {
    pub name: String,
    pub sha256: String,
    pub size: u64,
}
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub name: String,
    pub arguments: Vec<String>,
    pub sha256: String,
    pub size: u64,
}
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub policy: String,
    pub quantum_us: u64,
    pub timer: String,
    pub batch: u64,
    pub memory_mib: u64,
    pub timeout_ms: Option<u64>,
    pub kernel_command_line: String,
}
#[derive(Debug, Clone, Default)]
pub struct Meta {
    pub abi_version: u16,
    pub trapline_version: String,
    pub host_cpu: String,
    pub kvm_backend: String,
    pub tsc_khz: u64,
    pub kernel: Image,
    pub programs: Vec<Program>,
    pub options: Options,
}
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WriteError(#[from] std::io::Error);

#[derive(Debug)]
pub struct Writer {
    file: std::io::BufWriter<std::fs::File>,
}
impl Writer {
    pub fn create(path: &Path, replace: bool, _meta: &Meta) -> Result<Writer, WriteError> {
        let mut open = std::fs::OpenOptions::new();
        if replace {
            open.create(true).truncate(true);
        } else {
            open.create_new(true);
        }
        Ok(Writer { file: std::io::BufWriter::new(open.write(true).open(path)?) })
    }
    pub fn guest_records<E>(
        &mut self,
        bytes: usize,
        _records: u64,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, WriteError> {
        let mut buffer = vec![0; bytes];
        let result = fill(&mut buffer);
        if result.is_ok() {
            self.file.write_all(&buffer)?;
        }
        Ok(result)
    }
    pub fn host_record(
        &mut self,
        tsc: u64,
        kind: Kind,
        process: u16,
        detail: u32,
        words: &[u64],
    ) -> Result<(), WriteError> {
        let _ = (kind as u8, process, detail, size_of::<Head>());
        self.file.write_all(&tsc.to_le_bytes())?;
        for word in words {
            self.file.write_all(&word.to_le_bytes())?;
        }
        Ok(())
    }
    pub fn flush(&mut self) -> Result<(), WriteError> {
        Ok(self.file.flush()?)
    }
    pub fn finish(mut self) -> Result<(), WriteError> {
        Ok(self.file.flush()?)
    }
}
