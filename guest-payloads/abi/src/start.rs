//! What stands in the image and in the start page, so that host and guest know what they deal with.

use crate::payload::Payload;
use crate::processor::Features;
use crate::{ABI_VERSION, MAX_VPS};

/// The first bytes of an image, at [`crate::layout::IMAGE`]. The host reads
/// them before any VP enters, and refuses an image of another version.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ImageHeader<Address = u64> {
    /// [`ImageHeader::MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] that the image was built with.
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// Where a VP goes, at ring 0, when an interrupt comes.
    pub interrupt_handler: Address,
}

impl ImageHeader {
    /// "guestimg", little-endian.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"guestimg");
}

impl<Address> ImageHeader<Address> {
    /// The header of an image of this build.
    pub const fn new(interrupt_handler: Address) -> ImageHeader<Address> {
        ImageHeader {
            magic: ImageHeader::MAGIC,
            version: ABI_VERSION,
            reserved: 0,
            interrupt_handler,
        }
    }
}

/// Read by every VP before anything else. Written by the host, never by a well-behaved guest.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartPage {
    /// [`StartPage::MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the host.
    pub version: u32,
    /// Which [`Payload`]; see [`Payload::id`].
    pub payload: u32,
    /// How many VPs the guest may have in all, those included that are added while it runs.
    pub vps: u32,
    /// Zero.
    pub reserved: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Ticks of the time-stamp counter in a millisecond; 0 where it does not tell time.
    pub tsc_per_ms: u64,
    /// What the guest may use of its processor; see [`Features`].
    pub features: u64,
    /// Seed of everything random in the guest.
    pub seed: u64,
    /// The payload's parameters; see [`Payload::words`].
    pub words: [u64; Payload::WORDS],
}

impl StartPage {
    /// "apportio", little-endian.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"apportio");

    /// The page for a guest of this build.
    pub fn new(payload: Payload, vps: u32, memory: u64) -> StartPage {
        StartPage {
            magic: StartPage::MAGIC,
            version: ABI_VERSION,
            payload: payload.id(),
            vps,
            reserved: 0,
            memory,
            tsc_per_ms: 0,
            features: Features::ALL.0,
            seed: 0,
            words: payload.words(),
        }
    }

    /// Whether it is a page of this build for `vp`.
    pub fn is_for(&self, vp: u32) -> bool {
        self.magic == StartPage::MAGIC
            && self.version == ABI_VERSION
            && vp < self.vps
            && self.vps <= MAX_VPS
    }

    /// As it lies in guest memory.
    pub fn to_bytes(&self) -> [u8; size_of::<StartPage>()] {
        let mut bytes = [0; size_of::<StartPage>()];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&self.magic.to_le_bytes());
        for half in [self.version, self.payload, self.vps, self.reserved] {
            put(&half.to_le_bytes());
        }
        for word in [self.memory, self.tsc_per_ms, self.features, self.seed] {
            put(&word.to_le_bytes());
        }
        for word in self.words {
            put(&word.to_le_bytes());
        }
        bytes
    }
}
