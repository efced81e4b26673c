//! Importers: one per file format.
