//! What traps and exits cost on this host: guests measure it on the virtual CPU, and this module collects their samples.
//!
//! `guests` runs the guests, [`figures`] makes numbers of their samples, [`compare`] compares two results, [`text`] prints
//! them, and [`page`] shows them in a browser. docs/costs.md explains each row.

pub mod compare;
pub mod figures;
mod guests;
mod meaning;
pub mod page;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::machine::host;
pub use figures::{Figures, Numbers};
pub use guests::{BenchError, measure};

/// The version of the JSON form: fields may be added, none changes its meaning within a version.
pub const VERSION: u32 = 1;

/// A result of `trapline bench`, as JSON has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bench {
    /// The version of this form.
    pub version: u32,
    /// Trapline's version.
    pub trapline: String,
    /// The host's CPU.
    pub cpu: String,
    /// KVM's back end, such as `kvm_amd`.
    pub back_end: String,
    /// Whether the host itself is a virtual machine.
    pub is_nested: bool,
    /// The rate of the guest's TSC in kHz.
    pub tsc_khz: u64,
    /// The rows, by group.
    pub rows: Vec<Row>,
}

/// A row: what was measured, and the result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its group, one of eight.
    pub group: String,
    /// Its name in the group.
    pub name: String,
    /// What the back end does for it.
    pub meaning: String,
    /// The figures, if it could be measured.
    pub figures: Option<Figures>,
    /// Why it could not be measured.
    pub unmeasured: Option<String>,
}

impl Bench {
    fn new(tsc_khz: u64, rows: Vec<Row>) -> Bench {
        Bench {
            version: VERSION,
            trapline: env!("CARGO_PKG_VERSION").into(),
            cpu: host::cpu_name(),
            back_end: host::back_end().into(),
            is_nested: host::is_virtual(),
            tsc_khz,
            rows,
        }
    }

    /// The row of this group and name.
    pub fn row(&self, group: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.group == group && row.name == name)
    }

    /// The median of a row in nanoseconds.
    fn median(&self, group: &str, name: &str) -> Option<u64> {
        Some(self.row(group, name)?.figures.as_ref()?.ns.median)
    }
}
