//! What a guest is before any VP runs, and what the host shares with it: memory, image, boot state, hypercalls.

mod boot;
mod hypercalls;
mod image;
mod memory;
mod processor;
mod shared;
#[cfg(test)]
mod tests;

pub(crate) use boot::{registers, segments};
pub use hypercalls::Request;
pub use image::ImageError;
pub use memory::{BuildError, GuestMemory};
pub(crate) use processor::Model;
pub(crate) use shared::READABLE;
