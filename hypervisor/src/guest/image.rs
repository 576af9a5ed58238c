//! The guest image: loaded, and checked to be one that this host can talk to.

use apportion_abi::{ABI_VERSION, ImageHeader, layout};
use linux_loader::loader::{KernelLoader, elf::Elf};
use std::io::Cursor;
use std::mem::offset_of;
use std::ops::Range;
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Why an image was refused.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The loader says so.
    #[error("cannot load the guest image: {0}")]
    Load(#[from] linux_loader::loader::Error),
    /// Not one of ours.
    #[error(
        "the guest image has no header at {:#x}: it is not one of Apportion's",
        layout::IMAGE
    )]
    NoHeader,
    /// Of another build.
    #[error(
        "the guest image speaks version {image} of the guest interface, this host version {host}: \
         build both from one source"
    )]
    Version {
        /// Its.
        image: u32,
        /// Ours.
        host: u32,
    },
    /// It enters where it does not lie.
    #[error("the guest image's {what} is at {address:#x}, outside of where images lie")]
    Outside {
        /// What.
        what: &'static str,
        /// Where it was to be.
        address: u64,
    },
}

/// An image in a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// Where every VP enters.
    pub(crate) entry: u64,
    /// Where a VP goes when an interrupt comes.
    pub(crate) handler: u64,
}

/// Where images lie.
const PLACE: Range<u64> = layout::IMAGE..layout::HEAP;

impl Image {
    /// Loads an ELF to where it is linked to.
    pub(crate) fn load(elf: &[u8], memory: &GuestMemoryMmap) -> Result<Image, ImageError> {
        let loaded = Elf::load(memory, None, &mut Cursor::new(elf), None)?;
        // The header lies inside the memory that every guest has.
        let word = |field: usize| -> u64 {
            let at = GuestAddress(layout::IMAGE + field as u64);
            memory.read_obj(at).unwrap_or(0)
        };
        if word(offset_of!(ImageHeader, magic)) != ImageHeader::MAGIC {
            return Err(ImageError::NoHeader);
        }
        // The lower half of the word.
        let image = word(offset_of!(ImageHeader, version)) as u32;
        if image != ABI_VERSION {
            return Err(ImageError::Version {
                image,
                host: ABI_VERSION,
            });
        }
        let inside = |what, address| match PLACE.contains(&address) {
            true => Ok(address),
            false => Err(ImageError::Outside { what, address }),
        };
        Ok(Image {
            entry: inside("entry", loaded.kernel_load.0)?,
            handler: inside(
                "interrupt handler",
                word(offset_of!(ImageHeader, interrupt_handler)),
            )?,
        })
    }
}
