//! The machinery below the table of records: what a field is, and the macros that turn the table into types.
//!
//! The table itself is in [`super`]. From it come, for each kind: a variant of [`super::What`] (the decoded record), a
//! struct in [`super::emit`] (the record before it is written, for those who write it) and a [`Schema`] (for programs that
//! show any record). Nothing here allocates, formats or panics, so that the kernel can use it.

use super::Kind;

/// A word of a record as it lies in memory: little-endian.
pub type Word = [u8; 8];

/// What a kind of record, or a step of the boot, consists of.
#[derive(Debug)]
pub struct Schema {
    /// The number of the kind; of the step in [`super::STEPS`].
    pub number: u32,
    /// The name of the kind or step.
    pub name: &'static str,
    /// What it says, in one or more sentences.
    pub doc: &'static str,
    /// Its fields, in the order of the table.
    pub fields: &'static [Field],
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    /// Its name, unique within the record.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// Where it is.
    pub place: Place,
    /// What its bits mean, and so how to show them.
    pub style: Style,
}

/// Where a field lies in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Bits of the detail: the first, and the one behind the last.
    Detail(u32, u32),
    /// A word.
    Word(usize),
    /// A range of words: the first, and the one behind the last. A list may have fewer.
    Words(usize, usize),
}

/// What the bits of a field mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// An unsigned number, to be shown in decimal.
    Number,
    /// A number in two's complement.
    Signed,
    /// Bits, to be shown in hexadecimal.
    Hex,
    /// A virtual or physical address.
    Address,
    /// RFLAGS.
    Flags,
    /// The vector of a trap, [`super::SYSCALL_VECTOR`] or [`super::FIRST_RETURN`].
    Vector,
    /// The number of a system call.
    Call,
    /// A `KVM_EXIT_*`.
    Exit,
    /// A [`super::Panic`], or the vector of an exception in kernel mode.
    Panic,
    /// A value of an enum: each number with its name.
    Name(&'static [(u64, &'static str)]),
    /// UTF-8, padded with zeros.
    Text,
    /// Bytes of memory.
    Bytes,
    /// A [`super::Frame`]: its address, then the words of [`super::FRAME`].
    Frame,
    /// A [`super::Context`]: the words of [`super::CONTEXT`].
    Context,
    /// A [`super::GateTable`]: descriptors of the trap table, two words each.
    Gates,
}

impl Style {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Style::Number => "number",
            Style::Signed => "signed",
            Style::Hex => "hex",
            Style::Address => "address",
            Style::Flags => "flags",
            Style::Vector => "vector",
            Style::Call => "call",
            Style::Exit => "exit",
            Style::Panic => "panic",
            Style::Name(_) => "name",
            Style::Text => "text",
            Style::Bytes => "bytes",
            Style::Frame => "frame",
            Style::Context => "context",
            Style::Gates => "gates",
        }
    }
}

/// A record before it is written.
pub trait Record {
    /// Its kind.
    const KIND: Kind;
    /// The detail is the same for all records of the kind or step: no field lies in it.
    const DETAIL_IS_CONSTANT: bool;
    /// Its detail.
    fn detail(&self) -> u32;
    /// The number of its words.
    fn words(&self) -> usize;
    /// Writes its words.
    ///
    /// # Safety
    /// `to` has room for [`Record::words`] words.
    unsafe fn write(&self, to: *mut u64);
}

/// The parts of a record beside its time and process, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The number of the kind.
    pub kind: u8,
    /// The detail.
    pub detail: u32,
    /// How many of `words` there are.
    pub count: usize,
    /// The words, and zeros behind them.
    pub words: [u64; super::WORDS_MAX],
}

impl Parts {
    pub(super) fn new(kind: u8) -> Parts {
        Parts { kind, detail: 0, count: 0, words: [0; super::WORDS_MAX] }
    }

    /// The words there are.
    pub fn words(&self) -> &[u64] {
        self.words.get(..self.count).unwrap_or(&self.words)
    }
}

/// A value of up to 64 bits.
pub(super) trait Bits: Sized + Copy {
    /// The value of these bits; `None`: no value has them.
    fn from_bits(bits: u64) -> Option<Self>;
    /// Its bits.
    fn into_bits(self) -> u64;
}

macro_rules! bits {
    ($($type:ty)*) => {$(
        impl Bits for $type {
            #[inline(always)]
            fn from_bits(bits: u64) -> Option<Self> {
                Some(bits as $type)
            }
            #[inline(always)]
            fn into_bits(self) -> u64 {
                self as u64
            }
        }
    )*};
}

bits! { u8 u16 u32 u64 i64 }

impl Bits for bool {
    #[inline(always)]
    fn from_bits(bits: u64) -> Option<bool> {
        Some(bits != 0)
    }
    #[inline(always)]
    fn into_bits(self) -> u64 {
        self.into()
    }
}

/// A value of several words, which the writer of the record copies in one piece from its place in memory.
pub trait Block: Sized {
    /// What is copied.
    type Source: ?Sized;
    /// The fewest words it takes.
    const MIN: usize;
    /// Reads it from the words of a record, which are at least [`Block::MIN`] from here on.
    fn read(words: &[Word]) -> Option<Self>;
    /// Its words.
    fn words(&self) -> impl Iterator<Item = u64> + '_;
    /// How many words the source takes.
    fn size(source: &Self::Source) -> usize;
    /// Writes the source as words.
    ///
    /// # Safety
    /// `to` has room for [`Block::size`] words.
    unsafe fn write(source: &Self::Source, to: *mut u64);
}

pub(super) const fn max(ends: &[usize]) -> usize {
    let (mut most, mut index) = (0, 0);
    while index < ends.len() {
        if ends[index] > most {
            most = ends[index];
        }
        index += 1;
    }
    most
}

/// What a place means: `at!(OPERATION PLACE, ...)`.
macro_rules! at {
    (place detail [$from:literal .. $to:literal]) => {
        Place::Detail($from, $to)
    };
    (place word [$word:literal]) => {
        Place::Word($word)
    };
    (place words [$from:literal .. $to:literal]) => {
        Place::Words($from, $to)
    };

    (min detail [$($place:tt)*], $type:ident) => {
        0
    };
    (min word [$word:literal], $type:ident) => {
        $word + 1
    };
    (min words [$from:literal .. $to:literal], $type:ident) => {
        $from + <$type as Block>::MIN
    };

    (read detail [$from:literal .. $to:literal], $type:ident, $detail:ident, $words:ident) => {
        <$type as Bits>::from_bits(u64::from($detail) >> $from & (u64::MAX >> (64 - ($to - $from))))
    };
    (read word [$word:literal], $type:ident, $detail:ident, $words:ident) => {
        <$type as Bits>::from_bits(u64::from_le_bytes($words[$word]))
    };
    (read words [$from:literal .. $to:literal], $type:ident, $detail:ident, $words:ident) => {
        <$type as Block>::read(&$words[$from..])
    };

    (parts detail [$from:literal .. $to:literal], $value:ident, $parts:ident) => {
        $parts.detail |= (Bits::into_bits(*$value) << $from) as u32;
    };
    (parts word [$word:literal], $value:ident, $parts:ident) => {
        $parts.words[$word] = Bits::into_bits(*$value);
        $parts.count = $parts.count.max($word + 1);
    };
    (parts words [$from:literal .. $to:literal], $value:ident, $parts:ident) => {
        for (to, word) in $parts.words[$from..$to].iter_mut().zip(Block::words($value)) {
            *to = word;
            $parts.count += 1;
        }
        $parts.count = $parts.count.max($from);
    };

    (detail detail [$from:literal .. $to:literal], $type:ident, $value:expr) => {
        (Bits::into_bits($value) << $from) as u32
    };
    (detail $place:ident [$($at:tt)*], $type:ident, $value:expr) => {
        0
    };

    (outside detail [$($at:tt)*]) => {
        false
    };
    (outside $place:ident [$($at:tt)*]) => {
        true
    };
    (end detail [$($at:tt)*], $type:ident, $value:expr) => {
        0
    };
    (end word [$word:literal], $type:ident, $value:expr) => {
        $word + 1
    };
    (end words [$from:literal .. $to:literal], $type:ident, $value:expr) => {
        $from + <$type as Block>::size($value)
    };

    (write detail [$($at:tt)*], $type:ident, $value:expr, $to:ident) => {};
    (write word [$word:literal], $type:ident, $value:expr, $to:ident) => {
        // SAFETY: the caller's promise: the word is one of the record's.
        unsafe { $to.add($word).write(Bits::into_bits($value).to_le()) }
    };
    (write words [$from:literal .. $to:literal], $type:ident, $value:expr, $room:ident) => {
        // SAFETY: the caller's promise: the words are the record's.
        unsafe { <$type as Block>::write($value, $room.add($from)) }
    };
}

/// The type of a field of a record that is to be written: a block is copied from where it lies.
macro_rules! source {
    ($type:ident) => { $type };
    (& $life:lifetime $type:ident) => { &$life <$type as Block>::Source };
}

macro_rules! style {
    (name $names:ident) => {
        Style::Name($names::NAMES)
    };
    (number) => {
        Style::Number
    };
    (signed) => {
        Style::Signed
    };
    (hex) => {
        Style::Hex
    };
    (address) => {
        Style::Address
    };
    (flags) => {
        Style::Flags
    };
    (vector) => {
        Style::Vector
    };
    (call) => {
        Style::Call
    };
    (exit) => {
        Style::Exit
    };
    (panic) => {
        Style::Panic
    };
    (text) => {
        Style::Text
    };
    (bytes) => {
        Style::Bytes
    };
    (frame) => {
        Style::Frame
    };
    (context) => {
        Style::Context
    };
    (gates) => {
        Style::Gates
    };
}

/// Numbers with names.
macro_rules! numbered {
    ($(#[$meta:meta])* $vis:vis enum $name:ident: $repr:ident { $($(#[$doc:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($repr)]
        $vis enum $name { $($(#[$doc])* $variant = $value,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
            /// Every number with its name.
            pub const NAMES: &'static [(u64, &'static str)] = &[$(($value, $text),)*];

            /// Its name in text and JSON.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl TryFrom<$repr> for $name {
            type Error = $repr;
            #[inline]
            fn try_from(value: $repr) -> Result<Self, $repr> {
                match value { $($value => Ok($name::$variant),)* other => Err(other) }
            }
        }

        impl Bits for $name {
            #[inline(always)]
            fn from_bits(bits: u64) -> Option<Self> {
                $name::try_from($repr::try_from(bits).ok()?).ok()
            }
            #[inline(always)]
            fn into_bits(self) -> u64 {
                self as u64
            }
        }
    };
}

/// An enum of decoded records: one variant for each entry, and what `$more` adds.
macro_rules! decoded {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($more:tt)* }
        $($variant:ident = $doc:expr, { $($field:ident: $field_doc:expr, $type:ident;)* })*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $(
                #[doc = $doc]
                $variant { $(#[doc = $field_doc] $field: $type,)* },
            )*
            $($more)*
        }
    };
}

/// The schemas of some entries.
macro_rules! schemas {
    ($($number:literal, $name:literal, $doc:expr,
        { $($field:ident: $field_doc:expr, $style:ident $(($of:ident))?, $place:ident [$($at:tt)*];)* })*) => {
        &[$(Schema {
            number: $number,
            name: $name,
            doc: $doc,
            fields: &[$(Field {
                name: stringify!($field),
                doc: $field_doc,
                place: at!(place $place [$($at)*]),
                style: style!($style $($of)?),
            },)*],
        },)*]
    };
}

/// The struct of a record that is to be written.
macro_rules! emitter {
    ($doc:expr, $kind:expr, $variant:ident $(<$life:lifetime>)?, $detail:expr,
        { $($field:ident: $field_doc:expr, [$($type:tt)*] $base:ident, $place:ident [$($at:tt)*];)* }) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $variant $(<$life>)? { $(#[doc = $field_doc] pub $field: source!($($type)*),)* }

        impl $(<$life>)? Record for $variant $(<$life>)? {
            const KIND: Kind = $kind;
            const DETAIL_IS_CONSTANT: bool = true $(&& at!(outside $place [$($at)*]))*;
            #[inline(always)]
            fn detail(&self) -> u32 {
                $detail $(| at!(detail $place [$($at)*], $base, self.$field))*
            }
            #[inline(always)]
            fn words(&self) -> usize {
                schema::max(&[$(at!(end $place [$($at)*], $base, self.$field)),*])
            }
            #[inline(always)]
            unsafe fn write(&self, to: *mut u64) {
                let _ = to;
                $(at!(write $place [$($at)*], $base, self.$field, to);)*
            }
        }
    };
}

/// Turns the table into types. See the table for what an entry looks like.
macro_rules! records {
    (
        $(#[doc = $boot_doc:literal])*
        Boot = $boot_number:literal, $boot_name:literal, by Step {
            $(
                $(#[doc = $step_doc:literal])*
                $step:ident = $step_number:literal, $step_name:literal {
                    $(
                        $(#[doc = $part_doc:literal])*
                        $part:ident: $part_type:ident, $part_style:ident $(($part_of:ident))?, $part_place:ident [$($part_at:tt)*];
                    )*
                }
            )*
        }
        $(
            $(#[doc = $doc:literal])*
            $kind:ident $(<$life:lifetime>)? = $number:literal, $name:literal {
                $(
                    $(#[doc = $field_doc:literal])*
                    $field:ident: $(& $ref:lifetime)? $type:ident, $style:ident $(($of:ident))?, $place:ident [$($at:tt)*];
                )*
            }
        )*
    ) => {
        numbered! {
            /// A kind of record.
            pub enum Kind: u8 {
                $(#[doc = $boot_doc])* Boot = $boot_number, $boot_name;
                $($(#[doc = $doc])* $kind = $number, $name;)*
            }
        }

        numbered! {
            /// A step of the boot, the detail of a [`Kind::Boot`].
            pub enum Step: u32 { $($(#[doc = $step_doc])* $step = $step_number, $step_name;)* }
        }

        decoded! {
            /// A step of the boot, decoded.
            pub enum Boot {}
            $($step = concat!($($step_doc, "\n"),*), { $($part: concat!($($part_doc, "\n"),*), $part_type;)* })*
        }

        decoded! {
            /// A record, decoded, without its time and process.
            pub enum What {
                /// A step of the boot.
                Boot(Boot),
                /// A record of a kind that this version does not know, or that lacks words or has a value without meaning.
                Unknown {
                    /// The number of its kind.
                    kind: u8,
                    /// Its detail.
                    detail: u32,
                    /// How many of `words` there are.
                    count: u8,
                    /// Its words.
                    words: [u64; WORDS_MAX],
                },
            }
            $($kind = concat!($($doc, "\n"),*), { $($field: concat!($($field_doc, "\n"),*), $type;)* })*
        }

        impl Boot {
            /// Which step it is.
            pub fn step(&self) -> Step {
                match self { $(Boot::$step { .. } => Step::$step,)* }
            }

            fn decode(step: u32, words: &[Word]) -> Option<Boot> {
                match step {
                    $($step_number => {
                        const MIN: usize = schema::max(&[$(at!(min $part_place [$($part_at)*], $part_type)),*]);
                        if words.len() < MIN {
                            return None;
                        }
                        Some(Boot::$step { $($part: at!(read $part_place [$($part_at)*], $part_type, step, words)?,)* })
                    })*
                    _ => None,
                }
            }
        }

        impl What {
            /// The number of its kind: a [`Kind`], except for [`What::Unknown`].
            pub fn kind(&self) -> u8 {
                match self {
                    What::Boot(_) => $boot_number,
                    $(What::$kind { .. } => $number,)*
                    What::Unknown { kind, .. } => *kind,
                }
            }

            /// Decodes a record. A record that cannot be decoded is [`What::Unknown`].
            #[inline]
            pub fn decode(kind: u8, detail: u32, words: &[Word]) -> What {
                // No `Option` on the way: each would be another copy of all the fields.
                match kind {
                    $boot_number => match Boot::decode(detail, words) {
                        Some(boot) => What::Boot(boot),
                        None => What::unknown(kind, detail, words),
                    },
                    $($number => {
                        const MIN: usize = schema::max(&[$(at!(min $place [$($at)*], $type)),*]);
                        if words.len() < MIN {
                            return What::unknown(kind, detail, words);
                        }
                        What::$kind {
                            $($field: match at!(read $place [$($at)*], $type, detail, words) {
                                Some(value) => value,
                                None => return What::unknown(kind, detail, words),
                            },)*
                        }
                    })*
                    _ => What::unknown(kind, detail, words),
                }
            }

            /// The record again, in numbers.
            pub fn parts(&self) -> Parts {
                let mut parts = Parts::new(self.kind());
                match self {
                    What::Boot(boot) => {
                        parts.detail = boot.step() as u32;
                        match boot {
                            $(Boot::$step { $($part),* } => { $(at!(parts $part_place [$($part_at)*], $part, parts);)* })*
                        }
                    }
                    $(What::$kind { $($field),* } => { $(at!(parts $place [$($at)*], $field, parts);)* })*
                    What::Unknown { detail, count, words, .. } => {
                        (parts.detail, parts.count, parts.words) = (*detail, usize::from(*count), *words);
                    }
                }
                parts
            }
        }

        /// Every kind of record except [`Kind::Boot`], whose fields depend on its step.
        pub const RECORDS: &[Schema] = schemas! {
            $($number, $name, concat!($($doc),*), { $($field: concat!($($field_doc),*), $style $(($of))?, $place [$($at)*];)* })*
        };

        /// Every step of the boot: a record of [`Kind::Boot`] whose detail is the step.
        pub const STEPS: &[Schema] = schemas! {
            $($step_number, $step_name, concat!($($step_doc),*),
                { $($part: concat!($($part_doc),*), $part_style $(($part_of))?, $part_place [$($part_at)*];)* })*
        };

        /// Records before they are written, a struct for each kind.
        pub mod emit {
            use super::schema::Bits;
            use super::*;

            $(emitter! {
                concat!($($doc, "\n"),*), Kind::$kind, $kind $(<$life>)?, 0,
                { $($field: concat!($($field_doc, "\n"),*), [$(& $ref)? $type] $type, $place [$($at)*];)* }
            })*

            /// The steps of the boot.
            pub mod boot {
                use super::*;

                $(emitter! {
                    concat!($($step_doc, "\n"),*), Kind::Boot, $step, Step::$step as u32,
                    { $($part: concat!($($part_doc, "\n"),*), [$part_type] $part_type, $part_place [$($part_at)*];)* }
                })*
            }
        }
    };
}
