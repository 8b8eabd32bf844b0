//! What the standard library asks about a thread's stack, answered with "unknown".
//!
//! At its start, and with each thread, it looks for the end of the stack, only to put "has overflowed its stack" in front of
//! the death by SIGSEGV, which comes either way. glibc's answer reads `/proc/self/maps` with `sscanf`, and that brings in
//! every conversion of it: 70 kB of a static binary, and a file read at each start of `pvpn status`.

/// Takes the place of glibc's own where it is linked statically, see pthread_getattr_np(3): an error, which the standard
/// library takes for "no guard page that I know of". Nobody else asks.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(_thread: libc::pthread_t, _attr: *mut libc::pthread_attr_t) -> libc::c_int {
    libc::ENOSYS
}
