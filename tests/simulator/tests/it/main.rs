//! The simulator seen from outside, through sockets.

mod endpoints;
mod faults;
mod rig;
mod volume;
