//! What was needed for a moment goes back to the kernel: a supervisor reads a list of 18,000 servers in a second and then
//! idles for days.
//!
//! glibc keeps freed memory, and for each thread in an arena of its own, the top of which `malloc_trim` leaves alone. So there
//! is one arena, which costs nothing where two threads seldom allocate at once. It also raises the size from which memory is
//! mapped with each mapping that is freed; held where it begins, a long table grows by moving its mapping and is
//! gone when it is dropped. Other C libraries have none of these calls.

/// From this size on memory is mapped: glibc's own first value (mallopt(3)).
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 128 << 10;

/// At the start of a process, before its first thread.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two numbers and sets a field of the allocator (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
    }
}

/// Keeps keys and tokens out of core files, wherever the machine collects those (prctl(2), PR_SET_DUMPABLE).
pub fn keep_private() {
    // SAFETY: takes numbers and sets a flag of the process.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
}

/// Gives free pages back (malloc_trim(3)): after work that took many.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; the allocator's own locks let other threads go on.
    unsafe {
        libc::malloc_trim(0);
    }
}
