//! `immediate_exit` of a VP's kvm_run, where the kick's signal handler can reach it.
#![expect(unsafe_code, reason = "a mapping of memory that is shared with KVM")]

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::AsRawFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// A second mapping of the page that KVM shares with a VP's owner. The first one belongs to the `VcpuFd`, which lends
/// it out as `&mut kvm_run`: by Rust's rules each such loan ends the life of every other pointer into it. This one
/// lies elsewhere, so that a handler may store to it at any time.
#[derive(Debug)]
pub(super) struct ExitByte {
    page: NonNull<kvm_run>,
}

// SAFETY: a mapping belongs to the process, and what is done to it is an atomic store.
unsafe impl Send for ExitByte {}

impl ExitByte {
    /// That of the VP behind `fd`.
    pub(super) fn map(fd: &VcpuFd) -> io::Result<ExitByte> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping, where the kernel likes. The file is at least as long: kvm-ioctls has mapped all of it.
        let page = unsafe {
            libc::mmap(
                null_mut(),
                size_of::<kvm_run>(),
                access,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(ExitByte { page })
    }

    /// The byte, valid as long as this lives.
    pub(super) fn as_ptr(&self) -> *mut AtomicU8 {
        // SAFETY: the field lies within the mapping. AtomicU8 has the layout of u8.
        unsafe {
            let page = self.page.as_ptr().cast::<u8>();
            page.add(offset_of!(kvm_run, immediate_exit)).cast()
        }
    }

    /// KVM_RUN enters again.
    pub(super) fn clear(&self) {
        // SAFETY: valid, see `as_ptr`; the kernel and the handler access it as single bytes, too.
        unsafe { (*self.as_ptr()).store(0, SeqCst) };
    }
}

impl Drop for ExitByte {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; nobody has a pointer to it outside of a run of its VP.
        unsafe { libc::munmap(self.page.as_ptr().cast(), size_of::<kvm_run>()) };
    }
}
