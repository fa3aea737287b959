//! Apache Parquet: the rows of [`fields`](super::fields) as typed columns, for DuckDB, Polars or Spark.
//!
//! Numbers, addresses and registers are 64-bit integers; a column is null where the kind has no such field. The file's
//! metadata has the trace's own as JSON, and how many records are missing. Memory holds one row group, whatever the size
//! of the trace.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::arguments::Arguments;
use super::fields::{HEAD, Holds, Rows, Value, head};
use super::survey::Survey;
use crate::file::{Names, Trace};

/// Rows in a row group: enough to compress well, and few enough to keep in memory.
const GROUP: usize = 1 << 15;

/// Writes a trace.
pub fn write(trace: &Trace, out: &mut (impl Write + Send)) -> io::Result<()> {
    let meta = serde_json::to_string(trace.meta())?;
    let missing = Survey::of(trace).missing.to_string();
    let own = [("trapline.meta", meta), ("trapline.missing_records", missing)];
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(own.map(|(key, value)| KeyValue::new(key.into(), value)).into()));
    let rows = Rows::all();
    let schema = Arc::new(parse_message_type(&schema(rows)).map_err(into_io)?);
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties.build())).map_err(into_io)?;
    let (mut columns, mut names, mut arguments) = (columns(rows), Names::default(), Arguments::default());
    for event in trace.events() {
        names.learn(&event);
        let (of_head, others) = columns.split_at_mut(HEAD.len());
        for (column, value) in of_head.iter_mut().zip(head(&event, &names)) {
            column.push(Some(value));
        }
        let parts = arguments.parts(event.origin, event.sequence, event.process, &event.what);
        let mut values = vec![None; others.len()];
        for (column, value) in rows.cells(&event.what, &parts) {
            if let Some(to) = values.get_mut(column) {
                *to = Some(value);
            }
        }
        others.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        if columns.first().is_some_and(|column| column.levels.len() == GROUP) {
            write_group(&mut file, &mut columns).map_err(into_io)?;
        }
    }
    write_group(&mut file, &mut columns).map_err(into_io)?;
    file.close().map_err(into_io)?;
    Ok(())
}

/// The schema, in Parquet's own language.
fn schema(rows: &Rows) -> String {
    let head = HEAD.iter().map(|&(name, holds)| ("required", name, holds));
    let others = rows.columns().iter().map(|(name, holds)| ("optional", name.as_str(), *holds));
    let lines = head.chain(others).map(|(repetition, name, holds)| match holds {
        Holds::Signed => format!("{repetition} int64 {name};"),
        Holds::Unsigned | Holds::Hex => format!("{repetition} int64 {name} (INTEGER(64, false));"),
        Holds::Text => format!("{repetition} binary {name} (STRING);"),
    });
    format!("message event {{ {} }}", lines.collect::<String>())
}

/// The rows of a group in one column.
#[derive(Debug)]
struct Column {
    values: Values,
    /// 1 for a row with a value, 0 for a null.
    levels: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Numbers(Vec<i64>),
    Texts(Vec<ByteArray>),
}

fn columns(rows: &Rows) -> Vec<Column> {
    let others = rows.columns().iter().map(|(_, holds)| holds);
    let values = HEAD.iter().map(|(_, holds)| holds).chain(others).map(|holds| match holds {
        Holds::Text => Values::Texts(Vec::new()),
        Holds::Signed | Holds::Unsigned | Holds::Hex => Values::Numbers(Vec::new()),
    });
    values.map(|values| Column { values, levels: Vec::new() }).collect()
}

impl Column {
    fn push(&mut self, value: Option<Value>) {
        self.levels.push(value.is_some().into());
        match (&mut self.values, value) {
            (_, None) => {}
            // Parquet keeps unsigned words in signed ones: the type says how to read the 64 bits.
            (Values::Numbers(numbers), Some(Value::Number(number))) => numbers.push(number as i64),
            (Values::Numbers(numbers), Some(Value::Hex(word))) => numbers.push(word as i64),
            (Values::Numbers(_), Some(Value::Text(text))) => unreachable!("{text} in a column of numbers"),
            (Values::Texts(texts), Some(Value::Text(text))) => {
                texts.push(text.into_owned().into_bytes().into())
            }
            (Values::Texts(_), Some(value)) => unreachable!("{value:?} in a column of texts"),
        }
    }
}

/// Writes what the columns hold as a row group, and empties them.
fn write_group<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    columns: &mut [Column],
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for column in columns {
        let Some(writer) = group.next_column()? else { break };
        match &mut column.values {
            Values::Numbers(numbers) => write_column::<Int64Type>(writer, numbers, &column.levels)?,
            Values::Texts(texts) => write_column::<ByteArrayType>(writer, texts, &column.levels)?,
        }
        column.levels.clear();
    }
    group.close()?;
    Ok(())
}

fn write_column<T: DataType>(
    mut writer: SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: &[i16],
) -> Result<(), ParquetError> {
    writer.typed::<T>().write_batch(values, Some(levels), None)?;
    values.clear();
    writer.close()
}

fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
