//! The guest image: loaded, and checked to be one that this host can talk to.

use apportion_abi::{ABI_VERSION, ImageHeader, layout};
use linux_loader::elf::{Elf64_Ehdr, Elf64_Phdr, PT_LOAD};
use linux_loader::loader::{KernelLoader, elf::Elf};
use std::io::Cursor;
use std::mem::offset_of;
use std::ops::Range;
use thiserror::Error;
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryMmap};

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
    /// More than any of ours has.
    #[error("the guest image has {0} segments: one of Apportion's has at most {MOST_SEGMENTS}")]
    Segments(u16),
    /// It lies where images do not, or enters there.
    #[error(
        "the guest image's {what} is at {address:#x}, outside of where images lie: \
         link it to {:#x}, below {:#x}",
        PLACE.start,
        PLACE.end
    )]
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
/// Program headers that an image may have; ours has five.
const MOST_SEGMENTS: u16 = 16;

impl Image {
    /// Loads an ELF to where it is linked to.
    pub(crate) fn load(elf: &[u8], memory: &GuestMemoryMmap) -> Result<Image, ImageError> {
        check_segments(elf)?;
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

/// The loader copies each segment to wherever it says, also to what host and
/// guest share, and as many as the image has: up to 65,535 times the whole file.
fn check_segments(elf: &[u8]) -> Result<(), ImageError> {
    // Where it is no ELF, or not a whole one, the loader says so.
    let Some(header) = read::<Elf64_Ehdr>(elf, 0).filter(|_| elf.starts_with(b"\x7fELF")) else {
        return Ok(());
    };
    if header.e_phnum > MOST_SEGMENTS {
        return Err(ImageError::Segments(header.e_phnum));
    }
    for index in 0..u64::from(header.e_phnum) {
        let at = header
            .e_phoff
            .checked_add(index * size_of::<Elf64_Phdr>() as u64);
        let Some(segment) = at.and_then(|at| read::<Elf64_Phdr>(elf, at)) else {
            return Ok(());
        };
        let start = segment.p_paddr;
        let end = start.checked_add(segment.p_filesz.max(segment.p_memsz));
        let inside = PLACE.start <= start && end.is_some_and(|end| end <= PLACE.end);
        if segment.p_type == PT_LOAD && !inside {
            return Err(ImageError::Outside {
                what: "segment",
                address: start,
            });
        }
    }
    Ok(())
}

fn read<T: ByteValued + Default>(elf: &[u8], at: u64) -> Option<T> {
    let mut value = T::default();
    let bytes = elf.get(usize::try_from(at).ok()?..)?;
    let bytes = bytes.get(..size_of::<T>())?;
    value.as_mut_slice().copy_from_slice(bytes);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an ELF header, its segments' number; of the first program header behind it, its address.
    const SEGMENTS: usize = 56;
    const FIRST_ADDRESS: usize = 64 + offset_of!(Elf64_Phdr, p_paddr);

    /// Loads the shipped image with these bytes in it.
    fn load(at: usize, bytes: &[u8]) -> Result<Image, ImageError> {
        let size = layout::LEAST_MEMORY as usize;
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), size)]).unwrap();
        let mut elf = apportion_guest_payloads::IMAGE.to_vec();
        elf[at..at + bytes.len()].copy_from_slice(bytes);
        Image::load(&elf, &memory)
    }

    #[test]
    fn segments_lie_where_images_lie() {
        for address in [
            layout::DEMAND_RINGS,
            layout::HEAP - 1,
            layout::HEAP,
            u64::MAX,
        ] {
            let refused = load(FIRST_ADDRESS, &address.to_le_bytes()).unwrap_err();
            let ImageError::Outside { what, address: at } = refused else {
                panic!("{refused}");
            };
            assert_eq!((what, at), ("segment", address));
        }
        load(FIRST_ADDRESS, &layout::IMAGE.to_le_bytes()).unwrap();
    }

    #[test]
    fn segments_are_few() {
        let refused = load(SEGMENTS, &u16::MAX.to_le_bytes()).unwrap_err();
        assert!(
            matches!(refused, ImageError::Segments(u16::MAX)),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_elf_is_called_so() {
        let refused = load(0, b"#!/bin/sh").unwrap_err();
        assert!(matches!(refused, ImageError::Load(_)), "{refused}");
        assert!(refused.to_string().contains("magic"), "{refused}");
    }
}
