//! Conclusions from reports. Nothing in here runs a load or prints.

pub mod compare;
