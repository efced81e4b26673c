//! Micro-kernels, and the operators built from them. The only place with `unsafe`.
//!
//! * [`micro`] defines the families of micro-kernels: what each gets and must compute.
//! * [`isa`] says what a CPU can do; [`registry`] lists every micro-kernel with the ISA that it needs. Selection,
//!   self-test, tests, benches and table keys all read that one list.
//! * Every family has a naive oracle, a portable implementation, and one file per ISA.

pub mod isa;
pub mod micro;
