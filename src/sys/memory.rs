//! What was needed for a moment goes back to the kernel: a supervisor reads a list of 18,000 servers in a second and then
//! idles for days.
//!
//! glibc keeps freed memory, and for each thread in an arena of its own, the top of which `malloc_trim` leaves alone. So there
//! is one arena, which costs nothing where two threads seldom allocate at once. Other C libraries have neither call.

/// For the process that stays; before its first thread.
pub fn keep_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two numbers and sets a field of the allocator (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives free pages back (malloc_trim(3)): after work that took many.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; the allocator's own locks let other threads go on.
    unsafe {
        libc::malloc_trim(0);
    }
}
