//! The command line: one file a subcommand, each with its `Args` and its `execute`.

pub mod view;
